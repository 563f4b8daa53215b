"""Superpixels at several resolutions: what ACE takes for candidate parts (Ghorbani et al. 2019, section 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from skimage.segmentation import slic


@dataclass(frozen=True, kw_only=True)
class SegmentConfig:
    """Constants of the superpixels, as ACE's.

    Attributes:
        resolutions: Superpixels wanted of an image, one number a resolution.
        compactness: Weight of place against colour (SLIC).
        smoothing: Standard deviation of the Gaussian applied first, in pixels.
        same: A superpixel that overlaps one of a coarser resolution by more (intersection over union) is the same.
        fill: Grey level, in [0, 1], around a superpixel when the network looks at it.
    """

    resolutions: tuple[int, ...] = (15, 50, 80)
    compactness: float = 20.0
    smoothing: float = 1.0
    same: float = 0.5
    fill: float = 117 / 255

    def __post_init__(self) -> None:
        """Check ranges."""
        if not self.resolutions or min(self.resolutions) < 1:
            raise ValueError(f"`resolutions` must be positive numbers, got {self.resolutions}.")
        for name in ("compactness", "smoothing"):
            if getattr(self, name) <= 0:
                raise ValueError(f"`{name}` must be positive, got {getattr(self, name)}.")
        for name in ("same", "fill"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"`{name}` must be in [0, 1], got {getattr(self, name)}.")


def segments(image: UInt8[np.ndarray, "h w 3"], config: SegmentConfig) -> Bool[np.ndarray, "k h w"]:
    """Superpixels of an image at all resolutions, the coarsest first, without those that come twice.

    Args:
        image: RGB.
        config: Constants.

    Returns:
        Masks, none of them empty; at least one.
    """
    maps = [
        slic(image, n_segments=count, compactness=config.compactness, sigma=config.smoothing, start_label=0)
        for count in sorted(config.resolutions)
    ]
    kept = []
    for level, labels in enumerate(maps):
        fresh = np.bincount(labels.ravel()) > 0
        for coarser in maps[:level]:
            fresh &= _overlaps(labels, coarser).max(axis=1) <= config.same
        kept += [labels == number for number in np.flatnonzero(fresh)]
    return np.array(kept)


def bounding_boxes(masks: Bool[np.ndarray, "k h w"]) -> Int[np.ndarray, "k 4"]:
    """The smallest box (x, y, width, height) around each mask, none of them empty."""

    def span(occupied: Bool[np.ndarray, "k side"]) -> tuple[np.ndarray, np.ndarray]:
        start = occupied.argmax(axis=1)
        return start, occupied.shape[1] - occupied[:, ::-1].argmax(axis=1) - start

    x, width = span(np.any(masks, axis=1))
    y, height = span(np.any(masks, axis=2))
    return np.stack([x, y, width, height], axis=1)


def _overlaps(first: Int[np.ndarray, "h w"], second: Int[np.ndarray, "h w"]) -> Float[np.ndarray, "a b"]:
    """Intersection over union of every superpixel of one resolution with every one of another."""
    shape = (first.max() + 1, second.max() + 1)
    shared = np.bincount(first.ravel() * shape[1] + second.ravel(), minlength=shape[0] * shape[1]).reshape(shape)
    union = shared.sum(axis=1, keepdims=True) + shared.sum(axis=0) - shared
    return shared / np.maximum(union, 1)
