"""Clusters of boxes by affinity propagation."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from sklearn.cluster import AffinityPropagation
from sklearn.exceptions import ConvergenceWarning

from vissum_jax.summaries.config import SummaryConfig


class Clustering(NamedTuple):
    """Clusters and how they came about.

    Attributes:
        labels: Cluster of each box, -1 everywhere if it did not converge.
        exemplars: The box that stands for each cluster; none if it did not converge.
        converged: Whether affinity propagation converged.
        damping: The damping of the last attempt.
    """

    labels: Int[np.ndarray, " m"]
    exemplars: Int[np.ndarray, " clusters"]
    converged: bool
    damping: float


def _attempt(
    relative: Float[np.ndarray, "m m"], preference: float, damping: float, config: SummaryConfig, seed: int
) -> Clustering:
    """One run of affinity propagation; scikit-learn says by a warning that it did not converge."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = AffinityPropagation(
            affinity="precomputed",
            preference=preference,
            damping=damping,
            max_iter=config.max_iterations,
            convergence_iter=config.convergence_iterations,
            random_state=seed,
        ).fit(relative)
    if any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
        none = np.zeros(0, dtype=int)
        return Clustering(np.full(len(relative), -1), none, converged=False, damping=damping)
    exemplars = np.asarray(result.cluster_centers_indices_, dtype=int)
    return Clustering(np.asarray(result.labels_, dtype=int), exemplars, converged=True, damping=damping)


def cluster(similarity: Float[np.ndarray, "m m"], config: SummaryConfig, seed: int, *, images: int) -> Clustering:
    """Group boxes around exemplars (Frey and Dueck, Science 2007; VS 3.2).

        S = C - max(C),   preference = (factor + per_image * images) * median(S) over all entries

    The maximum is over pairs of different boxes, unless `config.self_matches` (then as VS prints it); affinity
    propagation has no use for the diagonal itself.

    If it does not converge it is tried again with more damping, and if it never does the answer says so.
    When all similarities are equal there is one cluster, with the first box as its exemplar.

    Args:
        similarity: C, finite.
        config: Constants.
        seed: Of the noise that breaks ties.
        images: Number of images that the boxes are from.

    Returns:
        Clusters; see `Clustering` for a failure.
    """
    if not len(similarity):
        none = np.zeros(0, dtype=int)
        return Clustering(none, none, converged=True, damping=config.damping)
    pairs = np.ones(similarity.shape, bool) if config.self_matches else ~np.eye(len(similarity), dtype=bool)
    relative = similarity - similarity.max(where=pairs, initial=similarity.min())
    factor = config.preference_factor + config.preference_per_image * images
    preference = factor * float(np.median(relative))
    damping = config.damping
    result = _attempt(relative, preference, damping, config, seed)
    for _ in range(config.retries):
        if result.converged:
            break
        damping = 1 - (1 - damping) * config.retry_factor
        result = _attempt(relative, preference, damping, config, seed)
    return result
