"""Part measures of a grouping of a class's boxes: each box gets its annotated part, then the parts are counted."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from vissum_jax.analysis.localisation import points_in_mask
from vissum_jax.analysis.parts import NO_PART, PartConfig, nearest_part, score_parts
from vissum_jax.data.part_points import PartPoints
from vissum_jax.pipeline.part_baselines import Grouping
from vissum_jax.types import Crop


def scored(
    grouping: Grouping,
    files: tuple[str, ...],
    mask_rows: Mapping[str, Mapping[str, Any]],
    points: PartPoints,
    config: PartConfig,
) -> dict[str, Any]:
    """Measures of a grouping; boxes of photographs without annotations are counted and left out.

    Args:
        grouping: Boxes in groups.
        files: Names of the class's photographs, as the grouping counts them.
        mask_rows: What each of them shows of its photograph (`crop_*`, height, width).
        points: Annotated parts.
        config: Constants of the measures.

    Returns:
        Plain values; None for a measure that is not defined, with the reason.
    """
    found = []
    for row, box in zip(grouping.images, grouping.boxes, strict=True):
        image = files[int(row)]
        found.append(_part_of(box.tolist(), image, mask_rows[image], points))
    annotated = np.array([part is not None for part in found], bool)
    part = np.array([part for part in found if part is not None], int)
    labels = grouping.labels[annotated]
    reason = grouping.reason
    if not reason and not len(part):
        reason = f"none of its {len(found)} boxes lies in an annotated photograph"
    measured = score_parts(labels, part, config)
    measures = {**dataclasses.asdict(measured), "gain": measured.gain}
    return {
        "reason": reason,
        **{name: value if np.isfinite(value) else None for name, value in measures.items()},
        "not_annotated": int(np.count_nonzero(~annotated)),
        "groups": _groups(points.names, labels, part),
    }


def _part_of(box: Sequence[int], image: str, row: Mapping[str, Any], points: PartPoints) -> int | None:
    """The annotated part nearest to a box's centre; None where the photograph is not annotated."""
    annotated = points.of(image)
    if annotated is None:
        return None
    parts, centres = annotated
    crop = Crop(*(row[f"crop_{side}"] for side in "xywh"))
    x, y, w, h = box
    nearest = nearest_part(points_in_mask(centres, crop, row["height"], row["width"]), (x, y, w, h))
    return NO_PART if nearest == NO_PART else int(parts[nearest])


def _groups(names: tuple[str, ...], labels: Int[np.ndarray, " n"], part: Int[np.ndarray, " n"]) -> list[dict[str, Any]]:
    """What each group shows, the commonest part first; members without a part are in no part's number."""
    listed = []
    for label in np.unique(labels):
        own = part[labels == label]
        found, counts = np.unique(own[own != NO_PART], return_counts=True)
        shows = {names[int(found[row])]: int(counts[row]) for row in np.argsort(-counts, kind="stable")}
        listed.append({"group": int(label), "members": len(own), "shows": shows})
    return listed
