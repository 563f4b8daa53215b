"""Geometry of boxes (x, y, width, height), on the host and on the device alike.

The functions take NumPy or JAX arrays and answer in kind: they use the array's own namespace.
"""

from __future__ import annotations

from typing import Any

from jaxtyping import Num


def area(boxes: Num[Any, "*n 4"]) -> Num[Any, "*n"]:
    """Area ``w h`` in square pixels."""
    return boxes[..., 2] * boxes[..., 3]


def centre(boxes: Num[Any, "*n 4"]) -> Num[Any, "*n 2"]:
    """Centre ``(x + w/2, y + h/2)`` in pixels."""
    return boxes[..., :2] + boxes[..., 2:] / 2


def mirror(boxes: Num[Any, "*n 4"], *, width: int) -> Num[Any, "*n 4"]:
    """The boxes in the left-right mirrored image: ``x -> width - x - w``."""
    xp = boxes.__array_namespace__()
    return xp.stack([width - boxes[..., 0] - boxes[..., 2], *(boxes[..., k] for k in (1, 2, 3))], axis=-1)


def intersection(first: Num[Any, "n 4"], second: Num[Any, "m 4"]) -> Num[Any, "n m"]:
    """Area that each box of `first` shares with each box of `second`, in square pixels."""
    xp = first.__array_namespace__()
    low = xp.maximum(first[:, None, :2], second[None, :, :2])
    high = xp.minimum((first[..., :2] + first[..., 2:])[:, None], (second[..., :2] + second[..., 2:])[None])
    sides = xp.maximum(high - low, 0)
    return sides[..., 0] * sides[..., 1]


def iou(first: Num[Any, "n 4"], second: Num[Any, "m 4"]) -> Num[Any, "n m"]:
    """Intersection over union of every pair, in [0, 1]; 0 for a pair of empty boxes."""
    xp = first.__array_namespace__()
    shared = intersection(first, second)
    union = area(first)[:, None] + area(second)[None] - shared
    return shared / xp.where(union > 0, union, 1)
