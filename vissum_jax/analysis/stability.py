"""Would other photographs of the class have given the same summaries?

The images are split in two halves A and B, and each is clustered on its own. Affinity propagation puts a box into the
cluster of the exemplar that it matches best, and by that rule either half says of any box of the class where it
belongs. The kept members of the class's summaries so have two labels:

    stability = AMI( label_A, label_B ),   label_H(i) = argmax over exemplars e of H of the match score of i and e

with AMI the adjusted mutual information (Vinh et al. 2010): 0 is the agreement of chance, 1 the same grouping.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from sklearn.metrics import adjusted_mutual_info_score


def halves(count: int, seed: int) -> tuple[Int[np.ndarray, " first"], Int[np.ndarray, " second"]]:
    """Rows 0..count-1 in two halves, drawn by a seed; the first is the larger by one where `count` is odd."""
    order = np.random.default_rng(seed).permutation(count)
    middle = -(-count // 2)
    return np.sort(order[:middle]), np.sort(order[middle:])


def nearest_exemplar(
    similarity: Float[np.ndarray, "m m"], rows: Int[np.ndarray, " k"], exemplars: Int[np.ndarray, " c"]
) -> Int[np.ndarray, " k"]:
    """The cluster of each box: the number of the exemplar that it matches best, the first of equals.

    Args:
        similarity: Match scores of all boxes.
        rows: Boxes asked about.
        exemplars: Boxes that stand for the clusters, at least one. An exemplar is in its own cluster.
    """
    scores = similarity[np.ix_(rows, exemplars)].astype(float)
    scores[rows[:, None] == exemplars] = np.inf
    return np.argmax(scores, axis=1)


def agreement(first: Int[np.ndarray, " k"], second: Int[np.ndarray, " k"]) -> float:
    """Adjusted mutual information of two labellings; NaN of fewer than two boxes.

    It is 1, too, where both know one cluster only: they do agree.
    """
    return float(adjusted_mutual_info_score(first, second)) if len(first) > 1 else float("nan")
