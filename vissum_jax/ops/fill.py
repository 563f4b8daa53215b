"""Filling holes of an image from their surroundings."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from vissum_jax.ops.resize import sampling_matrix


def fill_holes(
    image: Float[Array, "h w c"], known: Float[Array, "h w"], fallback: Float[Array, " c"]
) -> Float[Array, "h w c"]:
    """Interpolate smoothly over what is not known: push-pull (Gortler et al. 1996, The Lumigraph, 3.4).

    Pull: weighted colours and weights are averaged to half the size until one pixel is left, w = min(1, 4 mean w).
    Push: from coarse to fine, out = w x + (1 - w) up(out of the coarser level).

    Args:
        image: Any channels, any range.
        known: Weight of every pixel in [0, 1]; where it is 1 the image is kept exactly.
        fallback: Colour where nothing at all is known.

    Returns:
        The filled image.
    """
    if min(image.shape[:2]) <= 1 and max(image.shape[:2]) <= 1:
        return known[..., None] * image + (1 - known[..., None]) * fallback
    half = tuple(-(-size // 2) for size in image.shape[:2])
    down_rows, down_columns = (_resample(size, to) for size, to in zip(image.shape[:2], half, strict=True))
    up_rows, up_columns = (_resample(size, to) for size, to in zip(half, image.shape[:2], strict=True))
    weight = _apply(down_rows, known[..., None], down_columns)
    colour = _apply(down_rows, known[..., None] * image, down_columns) / jnp.maximum(
        weight, jnp.finfo(image.dtype).tiny
    )
    coarse = fill_holes(colour, jnp.minimum(1.0, 4.0 * weight[..., 0]), fallback)
    return known[..., None] * image + (1 - known[..., None]) * _apply(up_rows, coarse, up_columns)


def _resample(source: int, to: int) -> Float[Array, "to source"]:
    return sampling_matrix(jnp.zeros(()), jnp.asarray(float(source)), to, rows=to, source=source)


def _apply(rows: Array, image: Array, columns: Array) -> Array:
    return jnp.einsum("yh,hwc,xw->yxc", rows, image, columns, precision="highest")
