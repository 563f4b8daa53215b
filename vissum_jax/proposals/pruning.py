"""Removal of boxes that show the same thing twice."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from vissum_jax.ops.boxes import area, intersection
from vissum_jax.proposals.config import ProposalConfig


def redundant_pairs(boxes: Int[np.ndarray, "m 4"], config: ProposalConfig) -> Bool[np.ndarray, "m m"]:
    """Pairs of one image's boxes that overlap much and have similar areas; every box with itself."""
    areas = area(boxes)
    smaller = np.minimum(areas[:, None], areas[None])
    larger = np.maximum(areas[:, None], areas[None])
    overlapping = intersection(boxes, boxes) >= config.redundancy_overlap * smaller
    return overlapping & (larger < config.redundancy_area_ratio * smaller)


def prune_redundant(
    boxes: Int[np.ndarray, "m 4"],
    image_ids: Int[np.ndarray, m],
    best_mean: Float[np.ndarray, m],
    config: ProposalConfig,
) -> Bool[np.ndarray, m]:
    """Choose among redundant boxes those that find the best matches in other images (VS 3.2).

    Greedy: an image's boxes are visited by falling `best_mean`, and each one still there removes those
    redundant with it. So no two boxes kept are redundant, and every box removed is redundant with a kept one
    that matches at least as well. Ties go to the box that comes first.

    Args:
        boxes: (x, y, width, height), of all images of a class.
        image_ids: The image of each box.
        best_mean: Mean of each box's best match scores over the other images.
        config: Constants.

    Returns:
        True for boxes to keep.
    """
    keep = np.zeros(len(boxes), dtype=bool)
    for image in np.unique(image_ids):
        members = np.flatnonzero(image_ids == image)
        redundant = redundant_pairs(boxes[members], config)
        alive = np.ones(len(members), dtype=bool)
        for position in np.argsort(-best_mean[members], kind="stable"):
            if alive[position]:
                alive &= ~redundant[position]
                keep[members[position]] = True
    return keep
