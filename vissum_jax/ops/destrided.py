"""Convolution whose input gradient knows no stride, so that explanations show the network and not its grid.

What comes back through a convolution with stride s lands on every input pixel through another part of the kernel:
a pattern of period s on all that is backpropagated. Here the incoming signal is first spread over all positions of
the window, as if the convolution had been computed at each of them.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from vissum_jax.ops.conv import Padding, conv2d, explicit_padding
from vissum_jax.ops.depthwise import Pads


def destrided_conv2d(
    images: Float[Array, "b h w i"],
    kernel: Float[Array, "kh kw i_per_group o"],
    *,
    stride: int = 1,
    padding: Padding = "SAME",
) -> Float[Array, "b out_h out_w o"]:
    r"""`conv2d`, bit for bit, but for its gradient in the images.

        G = out_h out_w / (full_h full_w)  K_1^T  resize(g, full_h x full_w),    full = size + padding - window + 1,

    is that gradient, with g what comes in, resized by nearest neighbour with pixels' centres aligned, and K_1^T the
    transpose of the same convolution without stride. The gradient in the kernel is the true one, and so is all of a
    convolution that has no stride.

    The factor is ours: it keeps the sum of the signal (up to the border), so that a convolution with stride does not
    outweigh a pooling or a shortcut beside it. A network that is one chain is explained alike without it.

    Source: Oramas, Wang, Tuytelaars, Visual Explanation by Interpretation, ICLR 2019. See `conv2d` for
    arguments.
    """
    if stride == 1:
        return conv2d(images, kernel, stride=stride, padding=padding)
    return _destrided(images, kernel, stride, explicit_padding(images.shape[1:3], kernel.shape[:2], stride, padding))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _destrided(images: Array, kernel: Array, stride: int, pads: Pads) -> Array:
    return conv2d(images, kernel, stride=stride, padding=pads)


def _forward(images: Array, kernel: Array, stride: int, pads: Pads) -> tuple[Array, tuple[Array, Array]]:
    return _destrided(images, kernel, stride, pads), (images, kernel)


def _backward(stride: int, pads: Pads, kept: tuple[Array, Array], upstream: Array) -> tuple[Array, Array]:
    images, kernel = kept
    (to_kernel,) = jax.vjp(lambda k: conv2d(images, k, stride=stride, padding=pads), kernel)[1](upstream)
    everywhere, to_images = jax.vjp(lambda x: conv2d(x, kernel, stride=1, padding=pads), images)
    rows, columns = (_nearest(upstream.shape[axis], everywhere.shape[axis]) for axis in (1, 2))
    share = upstream.shape[1] * upstream.shape[2] / (len(rows) * len(columns))
    spread = jnp.take(jnp.take(upstream, rows, axis=1), columns, axis=2)
    return to_images(spread * share)[0], to_kernel


_destrided.defvjp(_forward, _backward)


def _nearest(size: int, resized: int) -> Int[np.ndarray, " resized"]:
    """Where each pixel of a resized row comes from: the pixel that holds its centre."""
    return (2 * np.arange(resized) + 1) * size // (2 * resized)
