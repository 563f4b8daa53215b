"""Cropping and resizing in one step, as two matrix products.

Boxes of any size give outputs of one fixed shape, so nothing recompiles per box, and the work is a dense
product on every backend. The filter is the average over the footprint of an output pixel, a window at least
one source pixel wide:

    out(i) = 1/s * integral of the source over [c_i - s/2, c_i + s/2],   s = max(extent / samples, 1)

with the source read as constant over each pixel and continued beyond its borders by its edge pixels. This is
exact area averaging when shrinking, bilinear interpolation when growing, and the identity at scale one. Its
weights have a closed form, unlike sampled triangles, whose sums must be normalised row by row.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, Num


def sampling_matrix(
    start: Num[Array, ""], extent: Num[Array, ""], samples: Num[Array, ""] | int, *, rows: int, source: int
) -> Float[Array, "rows source"]:
    """Weights that resample the interval [start, start + extent) of a line to `samples` values.

    Args:
        start: Lower end of the interval in source pixels; it may lie outside of the source.
        extent: Length of the interval in source pixels, positive.
        samples: Number of values wanted; it may be traced.
        rows: Number of values computed, fixed. Rows from `samples` on continue beyond the interval.
        source: Length of the source line in pixels.

    Returns:
        One row per value; every row sums to one.
    """
    step = extent / samples
    window = jnp.maximum(step, 1.0)
    low = start + (jnp.arange(rows) + 0.5) * step - window / 2
    # The share of the window below each inner pixel edge; the outermost pixels take all that lies beyond.
    below = jnp.clip((jnp.arange(1, source) - low[:, None]) / window, 0.0, 1.0)
    below = jnp.pad(below, ((0, 0), (1, 1)), constant_values=((0, 0), (0, 1)))
    return below[:, 1:] - below[:, :-1]


def crop_and_resize(
    image: Float[Array, "h w c"],
    box: Num[Array, " 4"],
    size: Num[Array, " 2"] | tuple[int, int],
    *,
    height: int,
    width: int,
) -> Float[Array, "height width c"]:
    """Resize what a box of an image shows to `size`, in the upper left of a canvas of fixed shape.

    Args:
        image: Any channels, any range.
        box: (x, y, width, height) in pixels, fractional or outside of the image as one likes.
        size: (rows, columns) of the result; may be traced, at most (height, width).
        height: Rows of the canvas.
        width: Columns of the canvas.

    Returns:
        The canvas; what lies beyond `size` is filled by continuing the crop and means nothing.
    """
    rows = sampling_matrix(box[1], box[3], size[0], rows=height, source=image.shape[0])
    columns = sampling_matrix(box[0], box[2], size[1], rows=width, source=image.shape[1])
    lines = jnp.einsum("yh,hwc->ycw", rows, image, precision="highest")
    return jnp.einsum("ycw,xw->yxc", lines, columns, precision="highest")
