"""Does a map depend on what the network has learnt? Agreement with the map of a network of meaningless weights.

Adebayo et al. 2018 (Sanity Checks for Saliency Maps): a map that stays when the weights are randomised shows the
image, not the network. Chance: the agreement of a map with an unrelated one.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats


def intersection_over_union(first: Bool[np.ndarray, "h w"], second: Bool[np.ndarray, "h w"]) -> float:
    """|A and B| / |A or B|; NaN of two empty masks."""
    union = np.count_nonzero(first | second)
    return float(np.count_nonzero(first & second) / union) if union else float("nan")


def chance_overlap(area: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """Intersection over union of two unrelated masks of one area: a^2 / (2 a - a^2) = a / (2 - a)."""
    return area / (2.0 - area)


def rank_correlation(first: Float[np.ndarray, "h w"], second: Float[np.ndarray, "h w"]) -> float:
    """Spearman's rank correlation over the pixels; NaN where a map is constant. Chance is 0."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    ranks = [stats.rankdata(values, method="average", axis=None) for values in (first, second)]
    return float(np.corrcoef(*ranks)[0, 1])
