"""SqueezeNet 1.1 (Iandola et al. 2016) as trained with Caffe."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from vissum_jax.models.architecture import Activation, Architecture
from vissum_jax.models.keys import ConvKeys, KeyMap
from vissum_jax.models.layers import Conv, Normalization, global_average
from vissum_jax.ops.pooling import ceil_padding, max_pool

# Outputs of a fire module: squeeze, each of the two expansions.
_FIRES = {
    "fire2": (16, 64),
    "fire3": (16, 64),
    "fire4": (32, 128),
    "fire5": (32, 128),
    "fire6": (48, 192),
    "fire7": (48, 192),
    "fire8": (64, 256),
    "fire9": (64, 256),
}
_POOLED_BEFORE = ("fire2", "fire4", "fire6")
_PARTS = {"squeeze": "squeeze1x1", "expand_1x1": "expand1x1", "expand_3x3": "expand3x3"}


class Fire(nnx.Module):
    """A 1x1 squeeze, then 1x1 and 3x3 expansions side by side."""

    def __init__(self, inputs: int, squeeze: int, expand: int, *, activation: Activation, rngs: nnx.Rngs):
        self.squeeze = Conv(inputs, squeeze, 1, rngs=rngs)
        self.expand_1x1 = Conv(squeeze, expand, 1, rngs=rngs)
        self.expand_3x3 = Conv(squeeze, expand, 3, rngs=rngs)
        self.activation = activation

    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b h w o"]:
        """Concatenate both expansions."""
        x = self.activation(self.squeeze(x))
        return jnp.concatenate([self.activation(self.expand_1x1(x)), self.activation(self.expand_3x3(x))], axis=-1)


class SqueezeNet(nnx.Module):
    """SqueezeNet 1.1 for inputs of 224 x 224."""

    def __init__(self, *, num_classes: int, activation: Activation, rngs: nnx.Rngs):
        self.conv1 = Conv(3, 64, 3, stride=2, padding="VALID", rngs=rngs)
        channels = 64
        for name, (squeeze, expand) in _FIRES.items():
            setattr(self, name, Fire(channels, squeeze, expand, activation=activation, rngs=rngs))
            channels = 2 * expand
        self.conv10 = Conv(channels, num_classes, 1, rngs=rngs)
        self.activation = activation

    def __call__(self, x: Float[Array, "b 224 224 3"]) -> tuple[Float[Array, "b classes"], dict[str, Array]]:
        """Logits and endpoints."""
        endpoints = {}
        endpoints["conv1"] = x = self.activation(self.conv1(x))
        for name in _FIRES:
            if name in _POOLED_BEFORE:
                x = max_pool(x, window=3, stride=2, padding=ceil_padding(x.shape[1:3], window=3, stride=2))
            endpoints[name] = x = getattr(self, name)(x)
        endpoints["pooled"] = global_average(x)
        endpoints["conv10"] = x = self.activation(self.conv10(x))
        return global_average(x), endpoints


def key_map() -> KeyMap:
    """Keys of the published Caffe model."""
    names = {"conv1": "conv1", "conv10": "conv10"}
    for fire in _FIRES:
        names |= {f"{fire}.{part}": f"{fire}/{name}" for part, name in _PARTS.items()}
    return {path: ConvKeys(f"{name}/weight", f"{name}/bias") for path, name in names.items()}


SQUEEZENET_1_1 = Architecture(
    name="squeezenet1_1",
    build=SqueezeNet,
    head="conv10",
    input_size=224,
    resize_short_side=256,
    feature_endpoint="pooled",
    normalization=Normalization(mean=(104.0, 117.0, 123.0), bgr=True),
    key_map=key_map,
    known_top1=0.575,
    source="the Caffe model squeezenet_v1.1, as .npz with keys like fire2/squeeze1x1/weight",
    licence="BSD-2-Clause",
)
