"""How surely a cluster is found again when some of the images are not there."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from vissum_jax.summaries.clustering import Clustering, cluster
from vissum_jax.summaries.config import SummaryConfig


def cluster_stability(
    clusters: Clustering,
    similarity: Float[np.ndarray, "m m"],
    image_ids: Int[np.ndarray, " m"],
    config: SummaryConfig,
) -> Float[np.ndarray, " clusters"]:
    """Stability of every cluster by clustering again without some of the images.

        stability_c = mean over repeats of max over clusters d of the repeat of |c' & d| / |c' | d|,   c' = c & D

    where D are the boxes of the images that the repeat draws, without replacement, and & and | are the
    intersection and the union of sets of boxes. Similarities between boxes do not change, so that a repeat costs
    one smaller clustering. A repeat that does not converge finds nothing again: 0. (Hennig, Cluster-wise
    assessment of cluster stability, 2007: Jaccard similarity of subsets.)

    Args:
        clusters: Of all boxes.
        similarity: Match scores of all boxes.
        image_ids: The image of each box.
        config: Constants; the images are drawn with its seed.

    Returns:
        In [0, 1]; NaN without repeats and for a cluster of which no repeat drew a box.
    """
    # In the order of the boxes: what an image is called must not decide whether it is drawn.
    images = image_ids[np.sort(np.unique(image_ids, return_index=True)[1])]
    drawn_images = max(1, round(config.stability_share * len(images)))
    generator = np.random.default_rng(config.seed)
    overlaps = np.full((config.stability_repeats, len(clusters.exemplars)), np.nan)
    for repeat in range(config.stability_repeats):
        drawn = np.flatnonzero(np.isin(image_ids, generator.choice(images, drawn_images, replace=False)))
        again = cluster(similarity[np.ix_(drawn, drawn)], config, config.seed, images=drawn_images)
        overlaps[repeat] = _best_overlaps(clusters.labels[drawn], again.labels, len(clusters.exemplars))
    seen = np.isfinite(overlaps)
    count = seen.sum(axis=0)
    return np.where(count > 0, np.where(seen, overlaps, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)


def _best_overlaps(
    labels: Int[np.ndarray, " d"], again: Int[np.ndarray, " d"], clusters: int
) -> Float[np.ndarray, " clusters"]:
    """Largest Jaccard overlap of each cluster with one of another clustering's; NaN for an empty cluster."""
    # One more column, for boxes that the other clustering leaves out (label -1).
    shared = np.zeros((clusters, again.max(initial=-1) + 2))
    np.add.at(shared, (labels, again), 1)
    sizes = shared.sum(axis=1, keepdims=True)
    shared = shared[:, :-1]
    union = sizes + shared.sum(axis=0) - shared
    best = (shared / np.maximum(union, 1)).max(axis=1, initial=0.0)
    return np.where(sizes[:, 0] > 0, best, np.nan)
