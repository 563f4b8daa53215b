"""Which summaries of two networks show the same part? Overlap of their boxes in the same photographs (VS figure 5)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment

from vissum_jax.ops.boxes import iou
from vissum_jax.types import Crop

Boxes = Mapping[str, Float[np.ndarray, " 4"]]
"""A summary: (x, y, width, height) by photograph, in pixels of the photograph."""


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """How far two summaries show the same.

    Attributes:
        similarity: Sum of the boxes' intersection over union / number of photographs that either summary has, in
            [0, 1]: 1 for the same boxes in the same photographs. Photographs that only one network could explain say
            nothing and do not count.
        photographs: Photographs that both summaries have.
        mean_iou: Mean intersection over union in these; NaN where there is none.
    """

    similarity: float
    photographs: int
    mean_iou: float


def box_in_photograph(box: tuple[int, int, int, int], crop: Crop, height: int, width: int) -> Float[np.ndarray, " 4"]:
    """A box in pixels of the mask to pixels of the photograph: networks see photographs at different sizes."""
    scale = np.array([crop.w / width, crop.h / height])
    corner = np.array(box[:2]) * scale + np.array([crop.x, crop.y])
    return np.concatenate([corner, np.array(box[2:]) * scale])


def overlap(first: Boxes, second: Boxes, shared: Collection[str]) -> Overlap:
    """Compare two summaries.

    Args:
        first: One network's summary.
        second: The other's.
        shared: Photographs that both networks could explain.
    """
    either = [image for image in first.keys() | second.keys() if image in shared]
    both = sorted(image for image in either if image in first and image in second)
    ious = np.array([iou(first[image][None], second[image][None]).item() for image in both])
    return Overlap(
        similarity=float(ious.sum() / len(either)) if either else 0.0,
        photographs=len(both),
        mean_iou=float(ious.mean()) if both else float("nan"),
    )


def match_summaries(similarity: Float[np.ndarray, "a b"], least: float) -> list[tuple[int, int]]:
    """Pairs of summaries, each in one pair at most, of largest total similarity (Kuhn 1955).

    Args:
        similarity: Of every pair.
        least: Pairs below it are none, although nothing better is left for them.

    Returns:
        (row, column) by falling similarity.
    """
    rows, columns = linear_sum_assignment(np.where(similarity >= least, similarity, 0.0), maximize=True)
    pairs = [(int(a), int(b)) for a, b in zip(rows, columns, strict=True) if similarity[a, b] >= least]
    return sorted(pairs, key=lambda pair: (-similarity[pair], pair))
