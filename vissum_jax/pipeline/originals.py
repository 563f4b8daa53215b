"""A run's photographs in their own size, and the parts of summaries in them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from vissum_jax.data.decode import DecodeLimits, UnreadableImage, decode_upright, in_threads, read_file
from vissum_jax.pipeline.stages import ChangedError


def read_originals(root: Path, rows: Sequence[Mapping[str, Any]]) -> list[UInt8[np.ndarray, "h w 3"]]:
    """Photographs upright, in RGB and in their own size, as they were when their masks were found.

    Args:
        root: The folder that names are relative to.
        rows: Mask rows: ``image`` and ``content_sha256``.

    Raises:
        ChangedError: If one is another one now, or gone.
    """
    limits = DecodeLimits()

    def read(path: Path) -> tuple[np.ndarray, str]:
        data = read_file(path, limits, root)
        return np.asarray(decode_upright(data, limits)), hashlib.sha256(data).hexdigest()

    found = in_threads(read, [root / row["image"] for row in rows], workers=os.cpu_count() or 1)
    pixels = []
    for row, result in zip(rows, found, strict=True):
        if isinstance(result, UnreadableImage) or result[1] != row["content_sha256"]:
            why = f" ({result})" if isinstance(result, UnreadableImage) else ""
            raise ChangedError(
                f"{row['image']!r} has changed since its mask was found{why}; put it back, or start another run."
            )
        pixels.append(result[0])
    return pixels


def part_square(
    photograph: UInt8[np.ndarray, "h w 3"], row: Mapping[str, Any], box: Sequence[int], margin: float
) -> UInt8[np.ndarray, "k l 3"]:
    """The part of a photograph that a box of the mask's geometry shows, as a square where the photograph allows.

    Args:
        photograph: In its own size.
        row: Its mask row: ``crop_*``, ``height``, ``width``.
        box: (x, y, width, height) in the mask's pixels.
        margin: The square's side by the box's longer side: networks cut the borders of what they are shown.

    Returns:
        Pixels of the photograph, at least one.
    """
    height, width = photograph.shape[:2]
    across, down = row["crop_w"] / row["width"], row["crop_h"] / row["height"]
    x, y, w, h = box
    side = margin * max(w * across, h * down)
    centres = (row["crop_x"] + (x + w / 2) * across, row["crop_y"] + (y + h / 2) * down)
    spans = []
    for centre, extent in zip(centres, (width, height), strict=True):
        length = min(max(round(side), 1), extent)
        start = min(max(round(centre - side / 2), 0), extent - length)  # moved inside, not cut
        spans.append(slice(start, start + length))
    return photograph[spans[1], spans[0]]
