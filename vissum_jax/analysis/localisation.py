"""Do masks lie where the truth is? Share inside the annotated object, annotated parts hit.

Annotations speak of the original photograph's pixels, masks live in the network's input geometry; a `Crop` is
the box of the photograph that the input shows.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from vissum_jax.types import Crop


def points_in_mask(points: Float[np.ndarray, "k 2"], crop: Crop, height: int, width: int) -> Float[np.ndarray, "k 2"]:
    """(x, y) in pixels of the photograph to pixels of the mask; outside of the mask where the crop cuts them off."""
    return (points - [crop.x, crop.y]) * [width / crop.w, height / crop.h]


def boxes_in_mask(boxes: Float[np.ndarray, "k 4"], crop: Crop, height: int, width: int) -> Float[np.ndarray, "k 4"]:
    """(x, y, width, height) in pixels of the photograph to pixels of the mask; they may reach beyond it."""
    corners = points_in_mask(boxes[:, :2], crop, height, width)
    return np.concatenate([corners, boxes[:, 2:] * [width / crop.w, height / crop.h]], axis=1)


def inside_boxes(boxes: Float[np.ndarray, "k 4"], height: int, width: int) -> Bool[np.ndarray, "height width"]:
    """Pixels whose centre lies in any of the boxes."""
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    columns = (x >= boxes[:, :1]) & (x < boxes[:, :1] + boxes[:, 2:3])
    rows = (y >= boxes[:, 1:2]) & (y < boxes[:, 1:2] + boxes[:, 3:4])
    return np.any(rows[:, :, None] & columns[:, None, :], axis=0)


def share_inside(salient: Bool[np.ndarray, "h w"], boxes: Float[np.ndarray, "k 4"]) -> float:
    """Share of the salient pixels that lie in the object's boxes (any of several).

    Args:
        salient: True where pixels are perturbed.
        boxes: (x, y, width, height) in pixels of the mask.

    Returns:
        A share, or NaN where nothing is salient or there is no box.
    """
    if not salient.any() or not len(boxes):
        return float("nan")
    return float(np.mean(inside_boxes(boxes, *salient.shape)[salient]))


def parts_hit(salient: Bool[np.ndarray, "h w"], centres: Float[np.ndarray, "k 2"]) -> float:
    """Share of the visible parts whose centre is salient.

    Args:
        salient: True where pixels are perturbed.
        centres: (x, y) of every part in pixels of the mask; NaN where the photograph does not show it. Parts that
            the crop cuts off are not visible either.

    Returns:
        A share, or NaN where no part is visible.
    """
    height, width = salient.shape
    visible = np.all((centres >= 0) & (centres < [width, height]), axis=1)
    if not visible.any():
        return float("nan")
    x, y = np.floor(centres[visible]).astype(int).T
    return float(np.mean(salient[y, x]))
