"""Do the images of a summary have more in common than images drawn from its class? VS 4.2, figure 4."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import stats

from vissum_jax.analysis.bootstrap import BootstrapConfig, Difference, paired_difference

LEAST_DRAWS = 10
"""Fewer draws say little about chance."""

LEAST_CLASSES = 2
"""One class is no sample."""


@dataclass(frozen=True, kw_only=True)
class CoherencyConfig:
    """Constants of the measure.

    Attributes:
        draws: How often random sets take the summaries' places.
        seed: Of the draws.
    """

    draws: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        """Check ranges."""
        if self.draws < LEAST_DRAWS:
            raise ValueError(f"`draws` must be at least {LEAST_DRAWS}, got {self.draws}.")
        if self.seed < 0:
            raise ValueError(f"`seed` must not be negative, got {self.seed}.")


@dataclass(frozen=True, kw_only=True)
class ClassCoherency:
    """One class.

    Attributes:
        mu_s: Mean over summaries of the mean distance of two members, in [0, 1].
        mu_r: The same over random sets of equal sizes, mean over the draws.
        mu_r_deviation: Standard deviation over the draws.
        below: Share of the draws whose sets are at most as far apart as the summaries' members.
        distances: Mean distance of each summary; NaN for one with fewer than two members.
    """

    mu_s: float
    mu_r: float
    mu_r_deviation: float
    below: float
    distances: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class PairedTest:
    """Are summaries closer than chance over classes?

    Attributes:
        classes: Classes measured.
        lower: How many have muS < muR.
        difference: Mean of muS - muR, with its interval over classes.
        wilcoxon: Two-sided p value of Wilcoxon's signed-rank test; 1 where all differences are 0.
        sign: Two-sided p value of the sign test, classes without a difference left out.
    """

    classes: int
    lower: int
    difference: Difference
    wilcoxon: float
    sign: float


def tag_vectors(tags: Sequence[Set[str]]) -> Bool[np.ndarray, "n t"]:
    """Sets of nouns as binary vectors over all nouns that occur, by alphabet."""
    nouns = sorted({noun for each in tags for noun in each})
    column = {noun: number for number, noun in enumerate(nouns)}
    vectors = np.zeros((len(tags), len(nouns)), bool)
    for row, each in enumerate(tags):
        vectors[row, [column[noun] for noun in each]] = True
    return vectors


def jaccard_distances(vectors: Bool[np.ndarray, "n t"]) -> Float[np.ndarray, "n n"]:
    """Jaccard's distance of every two sets, 1 - |A and B| / |A or B|; 0 between two empty sets (VS 4.2)."""
    counts = vectors.astype(np.float64)
    both = counts @ counts.T
    sizes = counts.sum(axis=1)
    either = sizes[:, None] + sizes[None, :] - both
    return 1.0 - np.divide(both, either, out=np.ones_like(both), where=either > 0)


def class_coherency(
    distances: Float[np.ndarray, "n n"],
    summaries: Sequence[Int[np.ndarray, " k"]],
    config: CoherencyConfig,
    *,
    stream: int,
) -> ClassCoherency:
    """MuS of a class's summaries, and muR of random sets of equal sizes (VS 4.2).

        muS = mean over summaries of the mean over pairs of members of their distance

    Summaries with fewer than two members have no pair and are left out of both.

    Args:
        distances: Between the class's images, or between its parts.
        summaries: Rows of the members of each summary, none twice in a summary.
        config: Constants of the measure.
        stream: Tells the draws of this class from those of others with the same seed.

    Raises:
        ValueError: If no summary has two members, or one names a row twice.
    """
    if any(len(set(members.tolist())) != len(members) for members in summaries):
        raise ValueError("`summaries` must name each row at most once in a summary.")
    own = tuple(_mean_pair(distances, members) for members in summaries)
    paired = [members for members in summaries if len(members) > 1]
    if not paired:
        raise ValueError("`summaries` must hold one with at least two members.")
    random = np.random.default_rng([config.seed, stream])
    drawn = np.array(
        [
            np.mean([_mean_pair(distances, random.permutation(len(distances))[: len(each)]) for each in paired])
            for _ in range(config.draws)
        ]
    )
    mu_s = float(np.nanmean(own))
    return ClassCoherency(
        mu_s=mu_s,
        mu_r=float(drawn.mean()),
        mu_r_deviation=float(drawn.std()),
        # Sums of the same numbers in another order differ in the last digit.
        below=float(np.mean(drawn <= mu_s + 1e-12)),
        distances=own,
    )


def compare_classes(
    mu_s: Float[np.ndarray, " c"], mu_r: Float[np.ndarray, " c"], config: BootstrapConfig
) -> PairedTest:
    """Test over classes whether muS differs from muR, class by class.

    Raises:
        ValueError: If there are fewer than two classes.
    """
    if len(mu_s) < LEAST_CLASSES or mu_s.shape != mu_r.shape:
        raise ValueError(f"`mu_s` and `mu_r` must be of at least {LEAST_CLASSES} classes alike, got {len(mu_s)}.")
    lower, higher = int(np.count_nonzero(mu_s < mu_r)), int(np.count_nonzero(mu_s > mu_r))
    differs = lower + higher > 0
    return PairedTest(
        classes=len(mu_s),
        lower=lower,
        difference=paired_difference(mu_s, mu_r, config),
        wilcoxon=float(stats.wilcoxon(mu_s, mu_r)[1]) if differs else 1.0,  # pyright: ignore[reportArgumentType]
        sign=float(stats.binomtest(lower, lower + higher).pvalue) if differs else 1.0,
    )


def _mean_pair(distances: Float[np.ndarray, "n n"], rows: Int[np.ndarray, " k"]) -> float:
    """Mean distance of two of the rows; NaN where there are not two."""
    count = len(rows)
    return float(distances[np.ix_(rows, rows)].sum() / (count * (count - 1))) if count > 1 else float("nan")
