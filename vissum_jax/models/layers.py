"""The layers that networks are made of, over the kernels of `ops`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from vissum_jax.ops.conv import Padding, conv2d


class Convolution(Protocol):
    """A function that stands in for `conv2d`, with its arguments."""

    def __call__(
        self, images: Float[Array, "b h w i"], kernel: Float[Array, "kh kw i o"], *, stride: int, padding: Padding
    ) -> Float[Array, "b out_h out_w o"]:
        """Convolve."""
        ...


class Conv(nnx.Module):
    """Convolution with bias; batch normalisation of a checkpoint is folded into both (see `keys`)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int | tuple[int, int],
        *,
        stride: int = 1,
        padding: Padding = "SAME",
        groups: int = 1,
        rngs: nnx.Rngs,
    ):
        window = (size, size) if isinstance(size, int) else size
        shape = (*window, inputs // groups, outputs)
        self.kernel = nnx.Param(jax.nn.initializers.he_normal()(rngs.params(), shape))
        self.bias = nnx.Param(jnp.zeros(outputs))
        self.stride = stride
        self.padding = padding
        self.convolution: Convolution = conv2d

    def __call__(self, images: Float[Array, "b h w i"]) -> Float[Array, "b out_h out_w o"]:
        """Convolve and add the bias."""
        return self.convolution(images, self.kernel[...], stride=self.stride, padding=self.padding) + self.bias[...]


def convolve_together(layers: Sequence[Conv], images: Float[Array, "b h w i"]) -> Float[Array, "b h w o"]:
    """Outputs of several convolutions of one input and one geometry, side by side in their order.

    One wide matrix product in place of several narrow ones, forwards and backwards.
    """
    kernel = jnp.concatenate([layer.kernel[...] for layer in layers], axis=-1)
    bias = jnp.concatenate([layer.bias[...] for layer in layers])
    return layers[0].convolution(images, kernel, stride=layers[0].stride, padding=layers[0].padding) + bias


def use_convolution(network: nnx.Module, convolution: Convolution) -> None:
    """Let every convolution of a network be computed by another function, e.g. one with a derivative of its own."""
    for _, module in nnx.iter_modules(network):
        if isinstance(module, Conv):
            module.convolution = convolution


class Linear(nnx.Module):
    """Fully connected layer with bias."""

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        self.kernel = nnx.Param(jax.nn.initializers.lecun_normal()(rngs.params(), (inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros(outputs))

    def __call__(self, features: Float[Array, "*b i"]) -> Float[Array, "*b o"]:
        """Multiply and add the bias."""
        return features @ self.kernel[...] + self.bias[...]


class LayerNorm(nnx.Module):
    """scale (x - mean) / sqrt(variance + epsilon) + bias over the channels of one position (Ba et al. 2016)."""

    def __init__(self, channels: int, *, epsilon: float):
        self.scale = nnx.Param(jnp.ones(channels))
        self.bias = nnx.Param(jnp.zeros(channels))
        self.epsilon = epsilon

    def __call__(self, features: Float[Array, "*b c"]) -> Float[Array, "*b c"]:
        """Normalise every position by itself."""
        centred = features - features.mean(axis=-1, keepdims=True)
        variance = (centred**2).mean(axis=-1, keepdims=True)
        return centred * jax.lax.rsqrt(variance + self.epsilon) * self.scale[...] + self.bias[...]


@dataclass(frozen=True, kw_only=True)
class Normalization:
    """What a network expects at its input: (255 image - mean) / scale per channel.

    Attributes:
        mean: Subtracted, in 0..255, in the network's channel order.
        scale: Divided by, in 0..255.
        bgr: Whether the network's channels are blue, green, red.
    """

    mean: tuple[float, float, float]
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    bgr: bool = False

    def __call__(self, images: Float[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
        """Turn RGB images in [0, 1] into the network's input."""
        ordered = images[..., ::-1] if self.bgr else images
        scale = jnp.asarray(self.scale, images.dtype)
        return ordered * (255 / scale) - jnp.asarray(self.mean, images.dtype) / scale


def average_around(images: Float[Array, "b h w c"], *, window: int) -> Float[Array, "b h w c"]:
    """Mean of the window around every pixel, where pixels beyond the border count as zeros."""
    kernel = jnp.full((window, window, 1, images.shape[-1]), 1 / window**2, images.dtype)
    return conv2d(images, kernel)


def global_average(images: Float[Array, "b h w c"]) -> Float[Array, "b c"]:
    """Mean over all pixels."""
    return images.mean(axis=(1, 2))


def flatten_by_channel(images: Float[Array, "b h w c"]) -> Float[Array, "b chw"]:
    """All pixels of the first channel, then of the second, and so on: the order in which PyTorch flattens."""
    return images.transpose(0, 3, 1, 2).reshape(len(images), -1)
