"""Convolution with the kernel that is fastest on the backend at hand.

XLA's CPU backend runs grouped convolutions 20 to 80 times slower than the same sum written as shifted
multiply-adds, 1x1 convolutions several times slower than matrix products, wide 3x3 convolutions without Winograd's
saving, and input gradients up to three times slower than they could be. GPUs and TPUs have kernels of their own for
all of them and get the plain convolution. The numbers agree to rounding.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from vissum_jax.ops.depthwise import Pads, depthwise_as_shifts
from vissum_jax.ops.winograd import conv3x3_winograd, winograd_pays

Padding = str | tuple[tuple[int, int], tuple[int, int]]
"""``SAME``, ``VALID``, or ((top, bottom), (left, right)) in pixels, as in `jax.lax`."""

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def conv2d(
    images: Float[Array, "b h w i"],
    kernel: Float[Array, "kh kw i_per_group o"],
    *,
    stride: int = 1,
    padding: Padding = "SAME",
) -> Float[Array, "b out_h out_w o"]:
    """Cross-correlate a batch with a kernel: y(u, o) = sum over v, i of k(v, i, o) x(stride u + v, i).

    Args:
        images: Batch, channels last.
        kernel: Height, width, input channels of one group, output channels. The number of groups follows
            from the shapes: input channels / input channels of one group.
        stride: Step between outputs, in pixels, along both axes.
        padding: Zeros around the image.

    Returns:
        The convolved batch.

    Raises:
        ValueError: If the channels of images and kernel do not fit.
    """
    channels, per_group, outputs = images.shape[-1], kernel.shape[2], kernel.shape[3]
    if channels % per_group or outputs % (channels // per_group):
        raise ValueError(
            f"`kernel` of shape {kernel.shape} does not fit images of {channels} channels: these must be a "
            "multiple of the kernel's third dimension, and its fourth a multiple of the number of groups."
        )
    groups = channels // per_group
    pads = explicit_padding(images.shape[1:3], kernel.shape[:2], stride, padding)
    if jax.default_backend() == "cpu":
        if groups == channels == outputs and groups > 1:
            return depthwise_as_shifts(images, kernel, stride, pads)
        if kernel.shape[:2] == (1, 1) and groups == 1 and pads == ((0, 0), (0, 0)):
            return images[:, ::stride, ::stride] @ kernel[0, 0]
        if groups == 1:
            return _dense(images, kernel, stride, pads)
    return _plain(images, kernel, stride, pads, groups)


def explicit_padding(size: tuple[int, ...], window: tuple[int, ...], stride: int, padding: Padding) -> Pads:
    """((top, bottom), (left, right)) for any way of naming a padding."""
    if isinstance(padding, str):
        rows, columns = lax.padtype_to_pads(size, window, (stride, stride), padding)
        return (int(rows[0]), int(rows[1])), (int(columns[0]), int(columns[1]))
    return padding


def _plain(images: Array, kernel: Array, stride: int, pads: Pads, groups: int = 1) -> Array:
    """XLA's own convolution."""
    return lax.conv_general_dilated(
        images, kernel, (stride, stride), pads, dimension_numbers=_DIMENSIONS, feature_group_count=groups
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _dense(images: Array, kernel: Array, stride: int, pads: Pads) -> Array:
    """A convolution, and its input gradient, in the forms that the CPU backend runs fastest."""
    return _fastest(images, kernel, stride, pads)


def _fastest(images: Array, kernel: Array, stride: int, pads: Pads) -> Array:
    """Winograd's form where it pays, else XLA's own convolution.

    The latter never without padding: without, the CPU backend runs it three to six times slower.
    """
    height, width, channels = images.shape[1:]
    same = stride == 1 and kernel.shape[:2] == (3, 3) and pads == ((1, 1), (1, 1))
    if same and winograd_pays(height, width, channels, kernel.shape[3]):
        return conv3x3_winograd(images, kernel)
    if pads != ((0, 0), (0, 0)):
        return _plain(images, kernel, stride, pads)
    rows = (height - kernel.shape[0]) // stride + 1
    return _plain(images, kernel, stride, ((0, 1), (0, 0)))[:, :rows]


def _dense_forward(images: Array, kernel: Array, stride: int, pads: Pads) -> tuple[Array, tuple[Array, Array]]:
    return _fastest(images, kernel, stride, pads), (images, kernel)


def _dense_backward(stride: int, pads: Pads, kept: tuple[Array, Array], upstream: Array) -> tuple[Array, Array]:
    images, kernel = kept
    (to_kernel,) = jax.linear_transpose(lambda k: _plain(images, k, stride, pads), kernel)(upstream)
    if stride > 1:
        _, pullback = jax.vjp(lambda x: _strided_by_cells(x, kernel, stride, pads), images)
        return pullback(upstream)[0], to_kernel
    # Derived by JAX, this would be a convolution whose kernel has its channels swapped. Inside a loop XLA leaves
    # the swap to the convolution, which then runs several times slower, on one core.
    flipped = kernel[::-1, ::-1].swapaxes(2, 3)
    (top, bottom), (left, right) = pads
    reach_h, reach_w = kernel.shape[0] - 1, kernel.shape[1] - 1
    opposite = ((reach_h - top, reach_h - bottom), (reach_w - left, reach_w - right))
    return _fastest(upstream, flipped, 1, opposite), to_kernel


_dense.defvjp(_dense_forward, _dense_backward)


def _strided_by_cells(images: Array, kernel: Array, stride: int, pads: Pads) -> Array:
    """A strided convolution as one without stride, over cells of stride x stride pixels.

    The rows of cells under a window are gathered side by side, so that one row is left to convolve along. Slower
    than the plain form, but its transpose is what the gradient wants: a dense convolution with many outputs, then
    a few additions of whole rows. (Derived from the plain form, it would be a convolution over zeros.)
    """
    size_h, size_w, channels, outputs = kernel.shape
    (top, bottom), (left, right) = pads
    out_h = (images.shape[1] + top + bottom - size_h) // stride + 1
    out_w = (images.shape[2] + left + right - size_w) // stride + 1
    taps_h, taps_w = -(-size_h // stride), -(-size_w // stride)
    cells_h, cells_w = out_h + taps_h - 1, out_w + taps_w - 1
    far_h = cells_h * stride - images.shape[1] - top  # negative where the windows leave a rest
    far_w = cells_w * stride - images.shape[2] - left
    fitted = lax.pad(images, jnp.zeros((), images.dtype), ((0, 0, 0), (top, far_h, 0), (left, far_w, 0), (0, 0, 0)))
    cells = fitted.reshape(-1, cells_h, stride, cells_w, stride * channels).swapaxes(2, 3)
    cells = cells.reshape(-1, cells_h, cells_w, stride * stride * channels)
    gathered = jnp.concatenate([cells[:, tap : tap + out_h] for tap in range(taps_h)], axis=-1)

    whole = jnp.pad(kernel, ((0, taps_h * stride - size_h), (0, taps_w * stride - size_w), (0, 0), (0, 0)))
    by_cell = whole.reshape(taps_h, stride, taps_w, stride, channels, outputs).transpose(2, 0, 1, 3, 4, 5)
    return _dense(gathered, by_cell.reshape(1, taps_w, -1, outputs), 1, ((0, 0), (0, 0)))
