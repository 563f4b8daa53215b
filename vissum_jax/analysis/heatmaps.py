"""Does a heat map show the part that truly separates the classes? Overlap with its mask, and the pointing game.

VE section 4.3: a heat map is stretched to [0, 1] and cut at thresholds; the intersection over union of what is left
with the truth is a curve, and its area is the score. One image at a time; callers average.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import distance_transform_edt


@dataclass(frozen=True, kw_only=True)
class HeatmapConfig:
    """Constants of the measures.

    Attributes:
        thresholds: Thresholds, equally spaced on [0, 1], both ends included.
        tolerance: Of the pointing game: how far from the part the strongest pixel may lie, as a share of the image's
            shorter side. The game's 15 pixels are 3 % of the 500 that its photographs have (Zhang et al. 2016).
    """

    thresholds: int = 101
    tolerance: float = 0.03

    def __post_init__(self) -> None:
        """Check ranges."""
        if self.thresholds < 2:
            raise ValueError(f"`thresholds` must be at least 2, got {self.thresholds}.")
        if not 0 <= self.tolerance < 1:
            raise ValueError(f"`tolerance` must be in [0, 1), got {self.tolerance}.")

    @property
    def levels(self) -> Float[np.ndarray, " thresholds"]:
        """The thresholds."""
        return np.linspace(0.0, 1.0, self.thresholds)


def unit_range(heat: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Stretch a map to [0, 1]: (heat - min) / (max - min); one that is the same everywhere becomes 0.

    Raises:
        ValueError: If a value is not finite.
    """
    if not np.isfinite(heat).all():
        raise ValueError("`heat` must be finite.")
    heat = heat.astype(np.float64)
    low, high = heat.min(), heat.max()
    return np.clip((heat - low) / (high - low), 0.0, 1.0) if high > low else np.zeros_like(heat)


def overlap_curve(
    heat: Float[np.ndarray, "h w"], truth: Bool[np.ndarray, "h w"], config: HeatmapConfig
) -> Float[np.ndarray, " thresholds"]:
    """Intersection over union of {u: heat(u) >= t} with the truth, at every threshold t (VE section 4.3).

    The heat map is stretched to [0, 1] first. At t = 0 the set is the whole image.

    Args:
        heat: Higher = more salient.
        truth: Pixels of the part; at least one.
        config: Constants.

    Returns:
        Values in [0, 1].

    Raises:
        ValueError: If the shapes differ, the truth is empty, or the map is not finite.
    """
    _check(heat, truth)
    levels = config.levels
    # The last threshold that each pixel reaches: one sorting of the pixels, not one comparison a threshold.
    reached = np.searchsorted(levels, unit_range(heat).ravel(), side="right") - 1
    inside = truth.ravel()
    hits = _at_least(reached[inside], len(levels))
    alarms = _at_least(reached[~inside], len(levels))
    return hits / (truth.sum() + alarms)


def area_under(curve: Float[np.ndarray, " thresholds"]) -> float:
    """Area under a curve of values at equally spaced thresholds on [0, 1], by the trapezoidal rule."""
    return float(np.trapezoid(curve, dx=1.0 / (len(curve) - 1)))


def pointing_hit(heat: Float[np.ndarray, "h w"], truth: Bool[np.ndarray, "h w"], config: HeatmapConfig) -> float:
    """Whether the strongest pixel lies on the part, or no further from it than the tolerance (Zhang et al. 2016).

    Of equally strong pixels each counts alike, so that a map without a peak gets what guessing would.

    Args:
        heat: Higher = more salient.
        truth: Pixels of the part; at least one.
        config: Constants.

    Returns:
        1 or 0, or the share of the strongest pixels that hit.

    Raises:
        ValueError: If the shapes differ, the truth is empty, or the map is not finite.
    """
    _check(heat, truth)
    values = unit_range(heat)
    strongest = values == values.max()
    distance = np.asarray(distance_transform_edt(~truth))
    return float(np.mean(distance[strongest] <= config.tolerance * min(heat.shape)))


def _at_least(reached: np.ndarray, count: int) -> np.ndarray:
    """How many pixels reach each threshold."""
    return np.bincount(reached, minlength=count)[::-1].cumsum()[::-1].astype(np.float64)


def _check(heat: np.ndarray, truth: np.ndarray) -> None:
    if heat.shape != truth.shape:
        raise ValueError(f"`heat` and `truth` must have one shape, got {heat.shape} and {truth.shape}.")
    if not truth.any():
        raise ValueError("`truth` must have at least one pixel.")
