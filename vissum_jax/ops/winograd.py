"""3x3 convolution with 16 products where a direct one has 36: Winograd's minimal filtering F(2x2, 3x3).

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016), section 4.1.
"""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

_SMALLEST_SIDE = 12
_LEAST_WORK = 50


def winograd_pays(height: int, width: int, inputs: int, outputs: int) -> bool:
    """Whether on a processor the products saved are worth the additions.

    There are as many products as inputs x outputs, and additions as inputs + outputs. Small images leave few rows to
    each of the sixteen matrix products. Both limits lie between shapes that gained and shapes that lost.
    """
    return min(height, width) >= _SMALLEST_SIDE and inputs * outputs >= _LEAST_WORK * (inputs + outputs)


def conv3x3_winograd(images: Float[Array, "b h w i"], kernel: Float[Array, "3 3 i o"]) -> Float[Array, "b h w o"]:
    """Cross-correlate with a 3x3 kernel, stride 1, one row of zeros around the image.

    For each tile of 2x2 outputs, with d the 4x4 inputs that they see,

        y = A^T [ sum over i of (G k_i G^T) * (B^T d_i B) ] A

    where * is elementwise, so that the sum over the channels i is a matrix product at each of the 16 places.

    Args:
        images: Batch, channels last.
        kernel: Height, width, input channels, output channels.

    Returns:
        The convolved batch; the direct sum up to rounding.
    """
    height, width, inputs = images.shape[1:]
    outputs = kernel.shape[-1]
    rows, columns = -(-height // 2), -(-width // 2)
    # A tile sees two pairs of rows, its own and the next; then of what is left two pairs of columns.
    margins = ((1, 2 * rows - height + 1), (1, 2 * columns - width + 1))
    pairs = jnp.pad(images, ((0, 0), *margins, (0, 0))).reshape(-1, rows + 1, 2, 2 * (columns + 1), inputs)
    seen = _place(pairs[:, :-1, 0], pairs[:, :-1, 1], pairs[:, 1:, 0], pairs[:, 1:, 1], axis=0)
    pairs = seen.reshape(4, -1, rows, columns + 1, 2, inputs)
    seen = _place(pairs[..., :-1, 0, :], pairs[..., :-1, 1, :], pairs[..., 1:, 0, :], pairs[..., 1:, 1, :], axis=1)

    filters = _spread(*_spread(*kernel, axis=0).swapaxes(0, 1), axis=1)
    products = seen.reshape(16, -1, inputs) @ filters.reshape(16, inputs, outputs)
    found = _gather(*products.reshape(4, 4, -1, rows, columns, outputs), axis=3)
    found = _gather(*found, axis=4)  # tile's row, row in the tile, tile's column, column in the tile
    return found.reshape(-1, 2 * rows, 2 * columns, outputs)[:, :height, :width]


def _place(d0: Array, d1: Array, d2: Array, d3: Array, *, axis: int) -> Array:
    """B^T d."""
    return jnp.stack([d0 - d2, d1 + d2, d2 - d1, d1 - d3], axis=axis)


def _spread(k0: Array, k1: Array, k2: Array, *, axis: int) -> Array:
    """G k."""
    return jnp.stack([k0, (k0 + k1 + k2) / 2, (k0 - k1 + k2) / 2, k2], axis=axis)


def _gather(m0: Array, m1: Array, m2: Array, m3: Array, *, axis: int) -> Array:
    """A^T m."""
    return jnp.stack([m0 + m1 + m2, m1 - m2 - m3], axis=axis)
