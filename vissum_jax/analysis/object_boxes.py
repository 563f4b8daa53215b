"""How well boxes fit objects: shares of photographs with an overlap of at least a half, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import binomtest

from vissum_jax.ops.boxes import iou

OVERLAP = 0.5
"""Intersection over union from which a box counts as right (ILSVRC's rule)."""

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Share:
    """A share of photographs, with Wilson's interval (1927) at 95 %."""

    count: int
    images: int

    @classmethod
    def of(cls, right: Bool[np.ndarray, " n"]) -> Share:
        """The share that is true."""
        return cls(count=int(np.sum(right)), images=len(right))

    def plain(self) -> dict[str, float | int]:
        """As plain values for JSON."""
        interval = binomtest(self.count, self.images).proportion_ci(CONFIDENCE, method="wilson")
        return {
            "share": self.count / self.images,
            "low": float(interval.low),
            "high": float(interval.high),
            "count": self.count,
            "images": self.images,
        }


def best_overlap(box: Float[np.ndarray, " 4"], truth: Float[np.ndarray, "k 4"]) -> float:
    """Largest intersection over union of a box with any of an image's; 0 for a box that is not there (NaN)."""
    if not np.isfinite(box).all():
        return 0.0
    return float(iou(box[None], truth).max())


def whole_box(width: int, height: int) -> Float[np.ndarray, " 4"]:
    """The box around all of a photograph."""
    return np.array([0.0, 0.0, width, height])


def central_box(width: int, height: int, size: Float[np.ndarray, " 2"]) -> Float[np.ndarray, " 4"]:
    """A box in the middle of a photograph; `size` is its width and height as shares of the photograph's."""
    sides = size * [width, height]
    return np.concatenate([([width, height] - sides) / 2, sides])
