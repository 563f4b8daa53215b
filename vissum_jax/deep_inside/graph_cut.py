"""From saliency to an object: seeds, colour models, graph cut, box of the largest component (DI section 3.2).

Saliency marks an object's most telling parts, not all of it. Its highest values are taken for the object and its
lowest for the background; Gaussian mixtures learn the colours of both, and the cheapest cut along the photograph's
edges decides on everything between (Boykov and Jolly 2001; GrabCut, Rother et al. 2004, learns and cuts in turns).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class GraphCutConfig:
    """Seeds and cut.

    Attributes:
        foreground_quantile: Pixels above this quantile of the saliency are the object's (DI: 95 %).
        background_quantile: Pixels below this one are the background's (DI: 30 %).
        sigma: Width in pixels of the Gaussian that smooths the saliency before, at the size that is cut.
        side: Long side in pixels at which photographs are cut; no smaller ones are enlarged.
        rounds: Cuts. The first one, DI's only one, takes the colours of the seeds; further ones, as in GrabCut, those
            of what the cut before found.
        threshold_quantile: What the box without graph cut holds: pixels above this quantile of the saliency.
        threshold_sigma: Width of the Gaussian before that.
        seed: Of the first guess at the mixtures.
    """

    foreground_quantile: float = 0.95
    background_quantile: float = 0.30
    sigma: float = 2.0
    side: int = 128
    rounds: int = 1
    threshold_quantile: float = 0.70
    threshold_sigma: float = 6.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check ranges."""
        if not 0 < self.background_quantile < self.foreground_quantile < 1:
            raise ValueError(
                "`background_quantile` and `foreground_quantile` must be in (0, 1), the first below the second, got "
                f"{self.background_quantile} and {self.foreground_quantile}."
            )
        if not 0 < self.threshold_quantile < 1:
            raise ValueError(f"`threshold_quantile` must be in (0, 1), got {self.threshold_quantile}.")
        for name in ("sigma", "threshold_sigma"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"`{name}` must not be negative, got {getattr(self, name)}.")
        if self.side < 16:
            raise ValueError(f"`side` must be at least 16, got {self.side}.")
        if self.rounds < 1:
            raise ValueError(f"`rounds` must be at least 1, got {self.rounds}.")


@dataclass(frozen=True, kw_only=True)
class Segment:
    """An object in a photograph.

    Attributes:
        mask: The largest connected component of what was cut out, at the size of the cut.
        box: (x, y, width, height) around it, in shares of the photograph's sides.
        threshold_box: The same around the largest component of the thresholded saliency, without graph cut.
    """

    mask: Bool[np.ndarray, "h w"]
    box: Box
    threshold_box: Box


def segment(
    photograph: UInt8[np.ndarray, "h w 3"], saliency: Float[np.ndarray, "h w"], config: GraphCutConfig
) -> Segment | None:
    """Cut out of a photograph what its saliency points at.

    Args:
        photograph: RGB.
        saliency: Finite, >= 0.
        config: Seeds and cut.

    Returns:
        The object; None where the saliency is the same everywhere, or nearly so: there is nothing to start from.
    """
    height, width = saliency.shape
    scale = min(config.side / max(height, width), 1.0)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small = cv2.resize(photograph, size, interpolation=cv2.INTER_AREA)
    saliency = cv2.resize(saliency.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    seeds = _seeds(_smooth(saliency, config.sigma), config)
    if seeds is None:
        return None
    mask = largest_component(_cut(small, seeds, config))
    smooth = _smooth(saliency, config.threshold_sigma)
    thresholded = largest_component(smooth > np.quantile(smooth, config.threshold_quantile))
    return Segment(mask=mask, box=_relative_box(mask), threshold_box=_relative_box(thresholded))


def largest_component(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The largest 8-connected component, the first of several; empty where the mask is."""
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if len(statistics) < 2:
        return np.zeros_like(mask)
    return labels == 1 + np.argmax(statistics[1:, cv2.CC_STAT_AREA])


def _seeds(saliency: Float[np.ndarray, "h w"], config: GraphCutConfig) -> UInt8[np.ndarray, "h w"] | None:
    """OpenCV's labels: certain object and background, and probably background between; None without both."""
    low, high = np.quantile(saliency, [config.background_quantile, config.foreground_quantile])
    # Many equal values, such as zeros, may sit on a quantile, or on both: no pixel is a seed of either kind.
    certain = (saliency >= high) & (saliency > low)
    if not certain.any():
        return None
    seeds = np.full(saliency.shape, cv2.GC_PR_BGD, np.uint8)
    seeds[saliency <= low] = cv2.GC_BGD
    seeds[certain] = cv2.GC_FGD
    return seeds


def _cut(
    photograph: UInt8[np.ndarray, "h w 3"], seeds: UInt8[np.ndarray, "h w"], config: GraphCutConfig
) -> Bool[np.ndarray, "h w"]:
    labels = seeds.copy()
    models = np.zeros((1, 65)), np.zeros((1, 65))  # OpenCV's layout of five Gaussians of colour
    anywhere = (0, 0, 0, 0)  # the seeds say where, not a rectangle
    certain = seeds != cv2.GC_PR_BGD
    cv2.setRNGSeed(config.seed)  # of this thread: clusters start the mixtures
    # Without a round, grabCut only learns colours: from the seeds alone, laid out as a picture of one line.
    cv2.grabCut(photograph[certain][None], labels[certain][None], anywhere, *models, 0, cv2.GC_INIT_WITH_MASK)
    cv2.grabCut(photograph, labels, anywhere, *models, 1, cv2.GC_EVAL_FREEZE_MODEL)
    if config.rounds > 1:
        cv2.grabCut(photograph, labels, anywhere, *models, config.rounds - 1, cv2.GC_EVAL)
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)


def _smooth(saliency: Float[np.ndarray, "h w"], sigma: float) -> Float[np.ndarray, "h w"]:
    return cv2.GaussianBlur(saliency, (0, 0), sigma) if sigma > 0 else saliency


def _relative_box(mask: Bool[np.ndarray, "h w"]) -> Box:
    height, width = mask.shape
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    return x / width, y / height, w / width, h / height
