"""Would other photographs of the class have given the same summaries?

The images are split in two; each half is clustered on its own. A member of a summary of the whole class that the half
clusters too has two labels, its summary in the whole class and its cluster in the half:

    stability of a half = adjusted mutual information (Vinh et al. 2010) of the two labellings of these members

0 is the agreement of chance, 1 is the same grouping. The stability of a class is the mean of its two halves.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from sklearn.metrics import adjusted_mutual_info_score

from vissum_jax.types import Summary


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far a half of the images agrees with all of them.

    Attributes:
        value: Adjusted mutual information, NaN if fewer than two members are compared. 1, too, where both
            labellings know one cluster only.
        members: Kept members that the whole class's summaries have in the half's images.
        compared: Those of them that the half clusters too: the same box in the same image. The half chooses anew
            among redundant boxes, and takes one box of a cluster in each image.
    """

    value: float
    members: int
    compared: int


def halves(count: int, seed: int) -> tuple[Int[np.ndarray, " first"], Int[np.ndarray, " second"]]:
    """Rows 0..count-1 in two halves, drawn by a seed; the first is the larger by one where `count` is odd."""
    order = np.random.default_rng(seed).permutation(count)
    middle = -(-count // 2)
    return np.sort(order[:middle]), np.sort(order[middle:])


def agreement(whole: Sequence[Summary], half: Sequence[Summary], images: Collection[int]) -> Agreement:
    """Compare the summaries of a whole class with those of a half of its images.

    Args:
        whole: The class's summaries; those kept, and of them the members kept, count.
        half: Summaries of the half, kept or not: what is asked is which boxes belong together, not how many clusters
            pass the consistency rule, which a half passes less easily.
        images: Rows of the half's images; members count them as in the whole class.
    """
    own = {
        (member.image, member.box): number
        for number, summary in enumerate(whole)
        if summary.kept
        for member in summary.kept_members
        if member.image in images
    }
    other = {(m.image, m.box): number for number, summary in enumerate(half) for m in summary.members}
    both = sorted(own.keys() & other.keys())
    value = float("nan")
    if len(both) > 1:
        value = float(adjusted_mutual_info_score([own[key] for key in both], [other[key] for key in both]))
    return Agreement(value=value, members=len(own), compared=len(both))
