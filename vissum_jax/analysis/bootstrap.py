"""Is one method better than another on the same images? Paired bootstrap of the mean difference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, kw_only=True)
class BootstrapConfig:
    """Constants of the bootstrap.

    Attributes:
        resamples: How often the images are drawn anew.
        confidence: Share of the resampled means inside the interval.
        seed: Of the draws.
    """

    resamples: int = 10_000
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        """Check ranges."""
        if self.resamples < 1:
            raise ValueError(f"`resamples` must be positive, got {self.resamples}.")
        if not 0 < self.confidence < 1:
            raise ValueError(f"`confidence` must be in (0, 1), got {self.confidence}.")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Mean difference of two methods, with its percentile interval; NaN where they share no image.

    Attributes:
        mean: Mean over the images of first - second.
        low: Lower end of the interval.
        high: Upper end.
        images: Images that both have a value for.
    """

    mean: float
    low: float
    high: float
    images: int


def paired_difference(
    first: Float[np.ndarray, " n"], second: Float[np.ndarray, " n"], config: BootstrapConfig
) -> Difference:
    """Mean of first - second over images, with the percentile interval of its bootstrap (Efron 1979).

    Images are drawn with replacement, both methods' values of an image together. An image that misses a value
    (NaN) is left out. The interval of one image is its difference.

    Raises:
        ValueError: If the values are not one per image alike.
    """
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"`first` and `second` must be (n,) alike, got {first.shape} and {second.shape}.")
    difference = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    difference = difference[np.isfinite(difference)]
    count = len(difference)
    if not count:
        return Difference(mean=float("nan"), low=float("nan"), high=float("nan"), images=0)
    draws = np.random.default_rng(config.seed).integers(count, size=(config.resamples, count))
    means = difference[draws].mean(axis=1)
    outside = (1 - config.confidence) / 2
    low, high = np.quantile(means, [outside, 1 - outside])
    return Difference(mean=float(difference.mean()), low=float(low), high=float(high), images=count)
