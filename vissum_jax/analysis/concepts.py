"""Other ways to group crops of a class, as baselines of part purity: one feature vector a crop in, labels out.

K-means and Ward's method group the features as they are. ACE (Ghorbani et al. 2019, Towards Automatic Concept-based
Explanations) is k-means of superpixels. CRAFT (Fel et al. 2023, Concept Recursive Activation FacTorization) splits the
activations into non-negative concepts; a crop belongs to the one that is strongest in it.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning


@dataclass(frozen=True, kw_only=True)
class ConceptConfig:
    """Constants of the groupings.

    Attributes:
        restarts: Of k-means; the best by its own criterion counts.
        iterations: Of the factorisation, at most.
        seed: Of both.
    """

    restarts: int = 10
    iterations: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        """Check ranges."""
        for name in ("restarts", "iterations"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be positive, got {getattr(self, name)}.")
        if self.seed < 0:
            raise ValueError(f"`seed` must not be negative, got {self.seed}.")


class Groups(NamedTuple):
    """Groups of crops.

    Attributes:
        labels: Group of each crop, 0..count-1; a group may be empty.
        distance: Distance of each crop to its group's centre.
    """

    labels: Int[np.ndarray, " n"]
    distance: Float[np.ndarray, " n"]


def unit_rows(features: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Features of length one, so that distances are about directions; a row of zeros stays."""
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.where(length > 0, length, 1.0)


def k_means(features: Float[np.ndarray, "n d"], count: int, config: ConceptConfig) -> Groups:
    """Groups around `count` means (Lloyd 1982); fewer where fewer crops differ.

    Raises:
        ValueError: If there are fewer crops than groups.
    """
    _check(features, count)
    with warnings.catch_warnings():
        # Fewer different crops than groups: some groups stay empty, and nothing is wrong with the others.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = KMeans(count, n_init=config.restarts, random_state=config.seed).fit(features)  # pyright: ignore[reportArgumentType]
    labels = np.asarray(fitted.labels_, dtype=int)
    return Groups(labels, np.linalg.norm(features - fitted.cluster_centers_[labels], axis=1))


def agglomerative(features: Float[np.ndarray, "n d"], count: int) -> Int[np.ndarray, " n"]:
    """`count` groups by merging those whose variance grows least (Ward 1963).

    Raises:
        ValueError: If there are fewer crops than groups.
    """
    _check(features, count)
    if len(features) == 1:
        return np.zeros(1, dtype=int)
    return np.asarray(AgglomerativeClustering(count, linkage="ward").fit_predict(features), dtype=int)


def strongest_factor(activations: Float[np.ndarray, "n d"], count: int, config: ConceptConfig) -> Int[np.ndarray, " n"]:
    """The concept that is strongest in each crop.

        min ||A - U W||^2,  U (n, count) >= 0,  W (count, d) >= 0;   label_i = argmax_k U_ik ||W_k||

    Args:
        activations: A, not negative.
        count: Number of concepts.
        config: Constants.

    Returns:
        A concept for each crop, the lowest of equals; concepts may have no crop.

    Raises:
        ValueError: If an activation is negative, or there are fewer crops than concepts.
    """
    _check(activations, count)
    if activations.min(initial=0.0) < 0:
        raise ValueError(f"`activations` must not be negative, got {activations.min():.3g}.")
    model = NMF(count, max_iter=config.iterations, random_state=config.seed)  # pyright: ignore[reportArgumentType]
    with warnings.catch_warnings():
        # Its criterion falls in every step: stopped early, it is less exact, and which concept is strongest is known.
        warnings.simplefilter("ignore", ConvergenceWarning)
        strengths = model.fit_transform(activations)
    return np.argmax(strengths * np.linalg.norm(model.components_, axis=1), axis=1)


def nearest_of_each_image(groups: Groups, images: Int[np.ndarray, " n"]) -> Int[np.ndarray, " m"]:
    """Rows of the crops that stand for their groups: in every group one of each image, the nearest to its centre."""
    order = np.lexsort((groups.distance, images, groups.labels))
    pairs = np.stack([groups.labels, images], axis=1)[order]
    return np.sort(order[np.unique(pairs, axis=0, return_index=True)[1]])


def _check(features: np.ndarray, count: int) -> None:
    if not 1 <= count <= len(features):
        raise ValueError(f"`count` must be in 1..{len(features)}, the number of crops, got {count}.")
