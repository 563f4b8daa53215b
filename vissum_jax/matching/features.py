"""The descriptor of a proposal: HOG of its crop."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from vissum_jax.ops.hog import HogConfig, hog
from vissum_jax.ops.resize import crop_and_resize

HOG = HogConfig()
CELLS = 8
"""Cells of the descriptor along each side of a box."""
DIMENSIONS = CELLS * CELLS * HOG.channels

# Crops at a time: enough to fill a matrix product, few enough to stay in a processor's cache.
_CROPS_ON_CPU = 8
_CROPS_ON_ACCELERATOR = 256


def box_descriptor(image: Float[Array, "h w 3"], box: Num[Array, " 4"]) -> Float[Array, "cells cells channels"]:
    """HOG of what a box shows (PF, section 5).

    The box grows by one of its cells (w/8, h/8) on each side, with the image's edge pixels beyond its
    borders, and is resized to 10 x 10 cells; the outermost ones serve as neighbours only.

    Args:
        image: Colours in [0, 255].
        box: (x, y, width, height) in pixels.

    Returns:
        8 x 8 cells with 31 channels.
    """
    box = jnp.asarray(box, dtype=image.dtype)
    cell = box[2:] / CELLS
    grown = jnp.concatenate([box[:2] - cell, box[2:] + 2 * cell])
    side = (CELLS + 2) * HOG.cell_size
    return hog(crop_and_resize(image, grown, (side, side), height=side, width=side), config=HOG)


def box_descriptors(image: Float[Array, "h w 3"], boxes: Num[Array, "p 4"]) -> Float[Array, "p dimensions"]:
    """Flat descriptors of an image's boxes.

    An empty box (padding) is described as one of one pixel, so that nothing is divided by zero.
    """
    boxes = jnp.concatenate([boxes[:, :2], jnp.maximum(boxes[:, 2:], 1)], axis=1)
    chunk = _CROPS_ON_CPU if jax.default_backend() == "cpu" else _CROPS_ON_ACCELERATOR
    return jax.lax.map(lambda box: box_descriptor(image, box).reshape(-1), boxes, batch_size=chunk)


def whitened_descriptors(
    image: Num[Array, "h w 3"],
    boxes: Num[Array, "p 4"],
    mean: Float[Array, dimensions] | np.ndarray,
    factor: Float[Array, "dimensions dimensions"] | np.ndarray,
) -> Float[Array, "p dimensions"]:
    """Descriptors whose inner products are the whitened similarities: ``L^-1 (f - mu)`` with ``S = L L'``.

    Args:
        image: Colours in [0, 255].
        boxes: (x, y, width, height) in pixels.
        mean: mu.
        factor: L^-1 of `vissum_jax.matching.whitening`.

    Returns:
        One row per box.
    """
    descriptors = box_descriptors(jnp.asarray(image, dtype=jnp.float32), boxes)
    return jnp.einsum("pd,ed->pe", descriptors - mean, factor, precision="highest")
