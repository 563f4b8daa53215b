"""Depthwise convolution as shifted multiply-adds, for backends that have no kernel of their own for it."""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

Pads = tuple[tuple[int, int], tuple[int, int]]


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def depthwise_as_shifts(
    images: Float[Array, "b h w c"], kernel: Float[Array, "kh kw 1 c"], stride: int, pads: Pads
) -> Float[Array, "b out_h out_w c"]:
    """One multiply-add of a shifted, strided slice per kernel position.

    Args:
        images: Batch, channels last.
        kernel: One window per channel.
        stride: Step between outputs, in pixels, along both axes.
        pads: Zeros around the image, ((top, bottom), (left, right)).

    Returns:
        The convolved batch.
    """
    return _shifted_sum(images, kernel, stride, pads)


def _forward(images: Array, kernel: Array, stride: int, pads: Pads) -> tuple[Array, tuple[Array, Array]]:
    return _shifted_sum(images, kernel, stride, pads), (images, kernel)


def _backward(stride: int, pads: Pads, kept: tuple[Array, Array], upstream: Array) -> tuple[Array, Array]:
    images, kernel = kept
    (to_kernel,) = jax.linear_transpose(lambda k: _shifted_sum(images, k, stride, pads), kernel)(upstream)
    return _input_gradient(upstream, kernel, images.shape, stride, pads), to_kernel


depthwise_as_shifts.defvjp(_forward, _backward)


def _shifted_sum(images: Array, kernel: Array, stride: int, pads: Pads) -> Array:
    padded = jnp.pad(images, ((0, 0), *pads, (0, 0)))
    size_h, size_w = kernel.shape[:2]
    span_h = (padded.shape[1] - size_h) // stride * stride + 1
    span_w = (padded.shape[2] - size_w) // stride * stride + 1
    result = jnp.zeros((), images.dtype)
    for row in range(size_h):
        for column in range(size_w):
            shifted = padded[:, row : row + span_h : stride, column : column + span_w : stride]
            result = result + shifted * kernel[row, column, 0]
    return result


def _input_gradient(
    upstream: Array, kernel: Array, shape: tuple[int, ...], stride: int, pads: Pads
) -> Float[Array, "b h w c"]:
    """Shifted multiply-adds again, one sum for each position within a cell of stride x stride pixels.

    Input pixel stride * cell + phase hears from the kernel positions stride * tap + phase, at output cell - tap.
    Derived by JAX this would be a sum of scatters, two to nine times slower.
    """
    size_h, size_w = kernel.shape[:2]
    (top, _), (left, _) = pads
    taps_h, taps_w = -(-size_h // stride), -(-size_w // stride)
    cells_h, cells_w = upstream.shape[1] + taps_h - 1, upstream.shape[2] + taps_w - 1
    padded = jnp.pad(upstream, ((0, 0), (taps_h - 1, taps_h - 1), (taps_w - 1, taps_w - 1), (0, 0)))

    def phase(phase_h: int, phase_w: int) -> Array:
        result = jnp.zeros((upstream.shape[0], cells_h, cells_w, upstream.shape[3]), upstream.dtype)
        for tap_h, row in enumerate(range(phase_h, size_h, stride)):
            for tap_w, column in enumerate(range(phase_w, size_w, stride)):
                start_h, start_w = taps_h - 1 - tap_h, taps_w - 1 - tap_w
                shifted = padded[:, start_h : start_h + cells_h, start_w : start_w + cells_w]
                result = result + shifted * kernel[row, column, 0]
        return result

    rows = [jnp.stack([phase(row, column) for column in range(stride)], axis=3) for row in range(stride)]
    height, width = cells_h * stride, cells_w * stride
    whole = jnp.stack(rows, axis=2).reshape(shape[0], height, width, shape[3])
    # Cut the padding off; where windows left a rest of the image, nothing comes back to it.
    cut_h, cut_w = (-top, shape[1] + top - height, 0), (-left, shape[2] + left - width, 0)
    return lax.pad(whole, jnp.zeros((), whole.dtype), ((0, 0, 0), cut_h, cut_w, (0, 0, 0)))
