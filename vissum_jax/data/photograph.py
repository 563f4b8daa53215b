"""Whole photographs, at the scale at which a network looks at them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from vissum_jax.data.decode import (
    FILTERS,
    DecodeLimits,
    UnreadableImage,
    checked,
    crop_of,
    decode_upright,
    in_threads,
)
from vissum_jax.types import ClassifierSpec

MAX_ELONGATION = 32
"""Times that a side may exceed the other: a photograph of one line of pixels would fill the memory when scaled."""


class Photograph(NamedTuple):
    """A whole photograph, scaled so that a crop of the network's input size shows what the network is used to.

    Attributes:
        pixels: RGB; both sides at least the network's input's.
        width: Width of the original in pixels, upright after its EXIF orientation.
        height: Height of the original.
        content_hash: SHA-256 of the file.
    """

    pixels: UInt8[np.ndarray, "h w 3"]
    width: int
    height: int
    content_hash: str


def read_photographs(
    files: Sequence[bytes | UnreadableImage], spec: ClassifierSpec, *, workers: int, limits: DecodeLimits | None = None
) -> list[Photograph | UnreadableImage]:
    """Decode whole photographs in threads, upright, in RGB, their short side `spec.resize_short_side` (antialiased).

    Args:
        files: What was read of each, see `ImageSource.fetch`.
        spec: Input geometry.
        workers: Threads.
        limits: What a file may ask for.

    Returns:
        For each file, in order, the photograph or why there is none.
    """
    limits = limits or DecodeLimits()

    def read(file: bytes | UnreadableImage) -> Photograph:
        data = checked(file, limits)
        upright = decode_upright(data, limits)
        width, height = upright.size
        if max(width, height) > MAX_ELONGATION * min(width, height):
            raise UnreadableImage(f"{width} x {height} pixels: one side is more than {MAX_ELONGATION} times the other")
        scale = spec.input_width / crop_of(width, height, spec).w
        size = (max(round(width * scale), spec.input_width), max(round(height * scale), spec.input_height))
        pixels = np.asarray(upright.resize(size, FILTERS[spec.interpolation]))
        return Photograph(pixels, width, height, hashlib.sha256(data).hexdigest())

    return in_threads(read, files, workers=workers)
