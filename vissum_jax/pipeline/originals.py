"""A run's photographs in their own size, and the parts of summaries in them."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from vissum_jax.data import ImageSource
from vissum_jax.data.decode import DecodeLimits, UnreadableImage, decode_upright, in_threads
from vissum_jax.pipeline.stages import ChangedError

_CHUNK = 64  # files held in memory at once


def read_originals(source: ImageSource, rows: Sequence[Mapping[str, Any]]) -> list[UInt8[np.ndarray, "h w 3"]]:
    """Photographs upright, in RGB and in their own size, as they were when their masks were found.

    Args:
        source: Where they are kept.
        rows: Mask rows: ``image`` and ``content_sha256``.

    Raises:
        ChangedError: If one is another one now, or gone.
    """
    limits = DecodeLimits()

    def decode(data: bytes) -> np.ndarray:
        return np.asarray(decode_upright(data, limits))

    found = in_threads(decode, _fetch(source, rows, limits), workers=os.cpu_count() or 1)
    pixels = []
    for row, result in zip(rows, found, strict=True):
        if isinstance(result, UnreadableImage):
            raise _changed(row, result)
        pixels.append(result)
    return pixels


def write_originals(source: ImageSource, rows: Sequence[Mapping[str, Any]], folder: Path) -> dict[str, Path]:
    """Write the files of photographs, byte for byte as they were when their masks were found.

    Args:
        source: Where they are kept.
        rows: Mask rows: ``image`` and ``content_sha256``; one that was unreadable from the first is left out.
        folder: Where to.

    Returns:
        Each photograph's path within the folder: its name, and an ending that says its format where it has none.

    Raises:
        ChangedError: If one is another one now, or gone.
    """
    limits = DecodeLimits()
    readable = [row for row in rows if row["content_sha256"] is not None]
    written = {}
    for start in range(0, len(readable), _CHUNK):
        part = readable[start : start + _CHUNK]
        for row, data in zip(part, _fetch(source, part, limits), strict=True):
            path = Path(row["image"])
            if not path.suffix:
                with Image.open(io.BytesIO(data)) as picture:
                    path = path.with_suffix(f".{(picture.format or '').lower()}")
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
            written[row["image"]] = path
    return written


def _fetch(source: ImageSource, rows: Sequence[Mapping[str, Any]], limits: DecodeLimits) -> list[bytes]:
    files = []
    for row, data in zip(rows, source.fetch([row["image"] for row in rows], limits), strict=True):
        if isinstance(data, UnreadableImage):
            raise _changed(row, data)
        if hashlib.sha256(data).hexdigest() != row["content_sha256"]:
            raise _changed(row)
        files.append(data)
    return files


def _changed(row: Mapping[str, Any], reason: UnreadableImage | None = None) -> ChangedError:
    why = "" if reason is None else f" ({reason})"
    return ChangedError(
        f"{row['image']!r} has changed since its mask was found{why}; put it back, or start another run."
    )


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
