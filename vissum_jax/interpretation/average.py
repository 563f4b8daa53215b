"""The mean of what a filter responds to most: crops of receptive fields, one upon the other (VE section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, UInt8

Field = tuple[int, int, int, int]
"""(x, y, width, height) in pixels; may reach beyond the image."""

GREY = 127
"""What is shown of places beyond the image."""


def crop_field(
    image: UInt8[np.ndarray, "h w 3"], field: Field
) -> tuple[UInt8[np.ndarray, "rows columns 3"], Bool[np.ndarray, "rows columns"]]:
    """What an image shows in a field, and where the field is within the image."""
    x, y, width, height = field
    crop = np.full((height, width, 3), GREY, np.uint8)
    inside = np.zeros((height, width), bool)
    top, left = max(y, 0), max(x, 0)
    bottom, right = min(y + height, image.shape[0]), min(x + width, image.shape[1])
    if top < bottom and left < right:
        here = (slice(top - y, bottom - y), slice(left - x, right - x))
        crop[here] = image[top:bottom, left:right]
        inside[here] = True
    return crop, inside


def average_crops(
    crops: Sequence[UInt8[np.ndarray, "h w 3"]], inside: Sequence[Bool[np.ndarray, "h w"]], *, coverage: float
) -> tuple[UInt8[np.ndarray, "rows columns 3"], tuple[slice, slice]]:
    """The mean colour of each place over the crops whose image reaches it.

    Args:
        crops: Of one size, at least one.
        inside: Where each is within its image.
        coverage: The mean is cut down to the rows and columns that so large a share of the crops reach somewhere:
            large fields of units at the border lie beyond their images for the most part.

    Returns:
        The mean, grey where no crop reaches; and the rows and columns it was cut down to.
    """
    count = np.zeros(inside[0].shape, np.int64)
    total: Float[np.ndarray, "h w 3"] = np.zeros(crops[0].shape)
    for crop, here in zip(crops, inside, strict=True):
        count += here
        total += crop * here[..., None]
    mean = np.where(count[..., None] > 0, np.rint(total / np.maximum(count, 1)[..., None]), GREY).astype(np.uint8)
    needed = min(coverage * len(crops), count.max())
    rows, columns = (_extent(np.any(count >= needed, axis=axis)) for axis in (1, 0))
    return mean[rows, columns], (rows, columns)


def _extent(wanted: np.ndarray) -> slice:
    first, last = np.flatnonzero(wanted)[[0, -1]]
    return slice(int(first), int(last) + 1)
