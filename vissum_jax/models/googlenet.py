"""GoogLeNet (Szegedy et al. 2015) as trained with Caffe: no batch normalisation, no auxiliary heads."""

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from vissum_jax.models.architecture import Activation, Architecture
from vissum_jax.models.keys import ConvKeys, KeyMap, LinearKeys
from vissum_jax.models.layers import Conv, Linear, Normalization, convolve_together, global_average
from vissum_jax.ops.normalization import local_response_normalization
from vissum_jax.ops.pooling import ceil_padding, max_pool

# Outputs of an inception module (table 1): 1x1; the 3x3 branch's reduction, 3x3; the same for 5x5; pool projection.
INCEPTIONS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
_BRANCHES = {
    "conv_1x1": "1x1",
    "reduce_3x3": "3x3_reduce",
    "conv_3x3": "3x3",
    "reduce_5x5": "5x5_reduce",
    "conv_5x5": "5x5",
    "pool_proj": "pool_proj",
}


class Inception(nnx.Module):
    """Four branches of different receptive fields, concatenated."""

    def __init__(
        self, inputs: int, widths: tuple[int, ...], *, wide_kernel: int, activation: Activation, rngs: nnx.Rngs
    ):
        conv_1x1, reduce_3x3, conv_3x3, reduce_5x5, conv_5x5, pool_proj = widths
        self.conv_1x1 = Conv(inputs, conv_1x1, 1, rngs=rngs)
        self.reduce_3x3 = Conv(inputs, reduce_3x3, 1, rngs=rngs)
        self.conv_3x3 = Conv(reduce_3x3, conv_3x3, 3, rngs=rngs)
        self.reduce_5x5 = Conv(inputs, reduce_5x5, 1, rngs=rngs)
        self.conv_5x5 = Conv(reduce_5x5, conv_5x5, wide_kernel, rngs=rngs)
        self.pool_proj = Conv(inputs, pool_proj, 1, rngs=rngs)
        self.activation = activation

    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b h w o"]:
        """Concatenate the branches: 1x1, 3x3, 5x5, pool."""
        act = self.activation
        entry = (self.conv_1x1, self.reduce_3x3, self.reduce_5x5)
        cuts = np.cumsum([layer.bias.shape[0] for layer in entry])[:-1]
        one, reduced_3x3, reduced_5x5 = jnp.split(act(convolve_together(entry, x)), cuts, axis=-1)
        branches = (
            one,
            act(self.conv_3x3(reduced_3x3)),
            act(self.conv_5x5(reduced_5x5)),
            act(self.pool_proj(max_pool(x, window=3, stride=1, padding="SAME"))),
        )
        return jnp.concatenate(branches, axis=-1)


class GoogLeNet(nnx.Module):
    """GoogLeNet for inputs of 224 x 224.

    Args:
        num_classes: Number of logits.
        activation: After every convolution.
        wide_kernel: Kernel size of the inception modules' widest branch.
        last_window: Window of the pooling before module 5a.
        normalize: Whether local response normalisation stands before and after the second convolution.
        rngs: Random parameters.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        activation: Activation,
        wide_kernel: int = 5,
        last_window: int = 3,
        normalize: bool = True,
        rngs: nnx.Rngs,
    ):
        self.conv1 = Conv(3, 64, 7, stride=2, padding=((3, 3), (3, 3)), rngs=rngs)
        self.conv2_reduce = Conv(64, 64, 1, rngs=rngs)
        self.conv2 = Conv(64, 192, 3, rngs=rngs)
        channels = 192
        for name, widths in INCEPTIONS.items():
            module = Inception(channels, widths, wide_kernel=wide_kernel, activation=activation, rngs=rngs)
            setattr(self, f"inception_{name}", module)
            channels = widths[0] + widths[2] + widths[4] + widths[5]
        self.classifier = Linear(channels, num_classes, rngs=rngs)
        self.activation = activation
        self.normalize = _normalize if normalize else lambda x: x
        self.windows = {"4a": 3, "5a": last_window}

    def __call__(self, x: Float[Array, "b 224 224 3"]) -> tuple[Float[Array, "b classes"], dict[str, Array]]:
        """Logits and endpoints."""
        endpoints = {}
        endpoints["conv1"] = x = self.activation(self.conv1(x))
        x = self.normalize(_halve(x, 3))
        endpoints["conv2_reduce"] = x = self.activation(self.conv2_reduce(x))
        endpoints["conv2"] = x = self.activation(self.conv2(x))
        x = _halve(self.normalize(x), 3)
        for name in INCEPTIONS:
            if name in self.windows:
                x = _halve(x, self.windows[name])
            endpoints[f"inception_{name}"] = x = getattr(self, f"inception_{name}")(x)
        endpoints["pooled"] = x = global_average(x)
        return self.classifier(x), endpoints


def _halve(x: Float[Array, "b h w c"], window: int) -> Float[Array, "b half_h half_w c"]:
    return max_pool(x, window=window, stride=2, padding=ceil_padding(x.shape[1:3], window=window, stride=2))


def _normalize(x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    return local_response_normalization(x, window=5, alpha=1e-4, beta=0.75, bias=1.0)


def key_map() -> KeyMap:
    """Keys of the BVLC model."""
    names = {"conv1": "conv1/7x7_s2", "conv2_reduce": "conv2/3x3_reduce", "conv2": "conv2/3x3"}
    for inception in INCEPTIONS:
        for branch, name in _BRANCHES.items():
            names[f"inception_{inception}.{branch}"] = f"inception_{inception}/{name}"
    convolutions = {path: ConvKeys(f"{name}/weight", f"{name}/bias") for path, name in names.items()}
    return convolutions | {"classifier": LinearKeys("loss3/classifier/weight", "loss3/classifier/bias")}


GOOGLENET_BVLC = Architecture(
    name="googlenet-bvlc",
    build=GoogLeNet,
    head="classifier",
    input_size=224,
    resize_short_side=256,
    feature_endpoint="pooled",
    normalization=Normalization(mean=(104.0, 117.0, 123.0), bgr=True),
    key_map=key_map,
    known_top1=0.687,
    source="the Caffe model bvlc_googlenet, as .npz with keys like conv1/7x7_s2/weight",
    licence="unrestricted use",
)
