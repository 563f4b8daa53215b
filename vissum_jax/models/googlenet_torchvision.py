"""GoogLeNet in torchvision's form: batch normalisation instead of local response normalisation, and no 5x5."""

import functools

from vissum_jax.models.googlenet import INCEPTIONS, GoogLeNet
from vissum_jax.models.keys import ConvNormKeys, KeyMap, LinearKeys
from vissum_jax.models.torchvision import COUNTERS, UNIT, torchvision_architecture

_NORM_EPSILON = 1e-3
_STEM = {"conv1": "conv1", "conv2_reduce": "conv2", "conv2": "conv3"}
_BRANCHES = {
    "conv_1x1": "branch1",
    "reduce_3x3": "branch2.0",
    "conv_3x3": "branch2.1",
    "reduce_5x5": "branch3.0",
    "conv_5x5": "branch3.1",
    "pool_proj": "branch4.1",
}


def key_map() -> KeyMap:
    """Keys of torchvision's checkpoints."""
    names = _STEM | {
        f"inception_{module}.{branch}": f"inception{module}.{name}"
        for module in INCEPTIONS
        for branch, name in _BRANCHES.items()
    }
    convolutions = {
        path: ConvNormKeys(f"{name}.conv.weight", f"{name}.bn", _NORM_EPSILON) for path, name in names.items()
    }
    return convolutions | {"classifier": LinearKeys("fc.weight", "fc.bias")}


GOOGLENET = torchvision_architecture(
    "googlenet",
    # The branch that the paper convolves 5x5 has a 3x3 kernel here: an oversight that the weights were trained with.
    build=functools.partial(GoogLeNet, wide_kernel=3, last_window=2, normalize=False),
    key_map=key_map,
    weights="googlenet-1378be20.pth",
    known_top1=0.69778,
    normalization=UNIT,
    ignore=(COUNTERS, "aux1.*", "aux2.*"),
)
