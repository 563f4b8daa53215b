"""Do better networks have more summaries? Rank correlation of count and accuracy over networks (VS 4.3, table 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

from vissum_jax.analysis.bootstrap import BootstrapConfig

LEAST_RUNS = 3
"""Two networks have a rank correlation of 1 or -1 whatever they do."""


@dataclass(frozen=True, kw_only=True)
class CountCorrelation:
    """Spearman's rank correlation over networks, with the percentile interval over classes.

    Attributes:
        value: In [-1, 1]; NaN where all networks have the same number of summaries, or the same accuracy.
        low: Lower end of the interval; NaN likewise, or where no draw has a correlation.
        high: Upper end.
        runs: Networks.
        classes: Classes.
        undefined: Share of the draws without a correlation; they are left out of the interval.
    """

    value: float
    low: float
    high: float
    runs: int
    classes: int
    undefined: float


def count_correlation(
    counts: Float[np.ndarray, "r c"],
    hits: Float[np.ndarray, "r c"],
    trials: Float[np.ndarray, "r c"],
    config: BootstrapConfig,
) -> CountCorrelation:
    """Rank correlation of networks' mean count of summaries with their accuracy.

        rho = spearman over networks r of ( mean_c counts_rc,  sum_c hits_rc / sum_c trials_rc )

    For the interval classes are drawn with replacement, counts and accuracies of a class together: what is asked is
    whether other classes would have shown the same of these networks, not what other networks would show.

    Args:
        counts: Summaries of each class in each run.
        hits: Photographs of the class that the network answers rightly; a published accuracy is one hit of that size
            a class.
        trials: Photographs of the class; one a class for a published accuracy.
        config: Constants of the bootstrap.

    Raises:
        ValueError: If the arrays differ in shape, or there are fewer than three runs or no class.
    """
    if not counts.shape == hits.shape == trials.shape or counts.ndim != 2:
        raise ValueError(
            f"`counts`, `hits` and `trials` must be (r, c) alike, got {counts.shape}, {hits.shape} and {trials.shape}."
        )
    runs, classes = counts.shape
    if runs < LEAST_RUNS or not classes:
        raise ValueError(
            f"`counts` must have at least {LEAST_RUNS} runs and a class, got {runs} runs and {classes} classes."
        )

    def correlation(weights: Float[np.ndarray, "k c"]) -> Float[np.ndarray, " k"]:
        tried = weights @ trials.T
        accuracy = np.where(tried > 0, weights @ hits.T / np.where(tried > 0, tried, 1), np.nan)
        return _spearman(weights @ counts.T, accuracy)

    draws = np.random.default_rng(config.seed).multinomial(classes, np.full(classes, 1 / classes), config.resamples)
    drawn = correlation(draws.astype(float))
    known = drawn[np.isfinite(drawn)]
    value = float(correlation(np.ones((1, classes)))[0])
    low = high = float("nan")
    if len(known) and np.isfinite(value):
        outside = (1 - config.confidence) / 2
        low, high = (float(end) for end in np.quantile(known, [outside, 1 - outside]))
    return CountCorrelation(
        value=value, low=low, high=high, runs=runs, classes=classes, undefined=1 - len(known) / len(drawn)
    )


def _spearman(first: Float[np.ndarray, "k r"], second: Float[np.ndarray, "k r"]) -> Float[np.ndarray, " k"]:
    """Spearman's correlation of each row, ties at their mean rank; NaN where a row is constant or misses a value."""
    # Sums of the same numbers in another order differ in the last digit, and would rank equal means apart.
    ranks = [stats.rankdata(np.round(values, 12), axis=1, nan_policy="omit") for values in (first, second)]
    a, b = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    scale = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return np.where(scale > 0, (a * b).sum(axis=1) / np.where(scale > 0, scale, 1), np.nan)
