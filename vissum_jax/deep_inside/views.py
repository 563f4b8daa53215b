"""How a network that takes one input size looks at a photograph of any size: views, and their maps laid back.

A view is a box of the photograph, resized to the network's input if it has another size, mirrored or not. Maps of
views are resized back, turned back, and averaged where they overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

LAYOUTS = ("whole", "centre", "ten")
"""``whole``: all of the photograph, squeezed to the input's shape. ``centre``: the centred crop that classifiers are
measured on. ``ten``: DI's four corner crops, the centre, and their mirror images."""


class View(NamedTuple):
    """A box of a photograph in its pixels."""

    x: int
    y: int
    width: int
    height: int
    mirrored: bool = False


def views_of(height: int, width: int, *, input_height: int, input_width: int, layout: str) -> tuple[View, ...]:
    """The views of a photograph.

    Args:
        height: Rows of the photograph, at least the input's.
        width: Columns, likewise.
        input_height: Rows of the network's input.
        input_width: Columns.
        layout: One of `LAYOUTS`.

    Raises:
        ValueError: If the layout is unknown or the photograph is smaller than the input.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"`layout` must be one of {', '.join(LAYOUTS)}, got {layout!r}.")
    right, bottom = width - input_width, height - input_height
    if right < 0 or bottom < 0:
        raise ValueError(
            f"a photograph of {width} x {height} does not hold the input of {input_width} x {input_height}."
        )
    if layout == "whole":
        return (View(0, 0, width, height),)
    centre = (right // 2, bottom // 2)
    corners = ((0, 0), (right, 0), (0, bottom), (right, bottom)) if layout == "ten" else ()
    upright = [View(x, y, input_width, input_height) for x, y in (centre, *corners)]
    mirrored = [view._replace(mirrored=True) for view in upright] if layout == "ten" else []
    return (*upright, *mirrored)


def count_views(layout: str) -> int:
    """Number of views of a layout, the same for every photograph."""
    return {"whole": 1, "centre": 1, "ten": 10}[layout]


def look(
    photograph: UInt8[np.ndarray, "h w 3"], view: View, *, input_height: int, input_width: int
) -> UInt8[np.ndarray, "input_height input_width 3"]:
    """What the network sees of a photograph through a view."""
    box = photograph[view.y : view.y + view.height, view.x : view.x + view.width]
    if box.shape[:2] != (input_height, input_width):
        # Averages over the footprint of a pixel where it shrinks, which keeps it free of aliases.
        box = cv2.resize(box, (input_width, input_height), interpolation=cv2.INTER_AREA)
    return box[:, ::-1] if view.mirrored else box


def lay_back(
    maps: Sequence[Float[np.ndarray, "input_height input_width"]], views: Sequence[View], height: int, width: int
) -> Float[np.ndarray, "height width"]:
    """Mean of the views' maps at every pixel of the photograph; 0 where no view looks.

    Args:
        maps: A map of each view, in the network's input geometry.
        views: The views.
        height: Rows of the photograph.
        width: Columns.
    """
    total = np.zeros((height, width), np.float32)
    count = np.zeros((height, width), np.float32)
    for view_map, view in zip(maps, views, strict=True):
        upright = np.ascontiguousarray(view_map[:, ::-1] if view.mirrored else view_map, dtype=np.float32)
        if upright.shape != (view.height, view.width):
            upright = cv2.resize(upright, (view.width, view.height), interpolation=cv2.INTER_LINEAR)
        window = np.s_[view.y : view.y + view.height, view.x : view.x + view.width]
        total[window] += upright
        count[window] += 1
    return total / np.maximum(count, 1)
