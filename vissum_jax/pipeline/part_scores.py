"""Part measures of a grouping of a class's boxes: each box gets the part that it shows, then the parts are counted."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Int

from vissum_jax.analysis.parts import NO_PART, PartConfig, own_part_share, score_parts
from vissum_jax.analysis.parts_comparison import ON_OWN_PART
from vissum_jax.pipeline.part_baselines import Grouping
from vissum_jax.pipeline.part_truth import PartTruth


def scored(
    grouping: Grouping,
    files: tuple[str, ...],
    mask_rows: Mapping[str, Mapping[str, Any]],
    truth: PartTruth,
    config: PartConfig,
) -> dict[str, Any]:
    """Measures of a grouping; boxes of photographs of which nothing is known are counted and left out.

    Args:
        grouping: Boxes in groups.
        files: Names of the class's photographs, as the grouping counts them.
        mask_rows: What each of them shows of its photograph (`crop_*`, height, width).
        truth: What is known of their parts.
        config: Constants of the measures.

    Returns:
        Plain values; None for a measure that is not defined, with the reason.
    """
    images = [files[int(row)] for row in grouping.images]
    found = [
        truth.shown(image, box.tolist(), mask_rows[image]) for image, box in zip(images, grouping.boxes, strict=True)
    ]
    annotated = np.array([part is not None for part in found], bool)
    part = np.array([part for part in found if part is not None], int)
    labels = grouping.labels[annotated]
    reason = grouping.reason
    if not reason and not len(part):
        reason = f"none of its {len(found)} boxes lies in an annotated photograph"
    measured = score_parts(labels, part, config)
    measures = {**dataclasses.asdict(measured), "gain": measured.gain}
    if truth.tells_own_parts:
        own = [truth.own_parts(image) for image, is_known in zip(images, annotated, strict=True) if is_known]
        measures[ON_OWN_PART] = own_part_share(part, own)
    return {
        "reason": reason,
        **{name: value if np.isfinite(value) else None for name, value in measures.items()},
        "not_annotated": int(np.count_nonzero(~annotated)),
        "groups": _groups(truth.names, labels, part),
    }


def _groups(names: tuple[str, ...], labels: Int[np.ndarray, " n"], part: Int[np.ndarray, " n"]) -> list[dict[str, Any]]:
    """What each group shows, the commonest part first; members without a part are in no part's number."""
    listed = []
    for label in np.unique(labels):
        own = part[labels == label]
        found, counts = np.unique(own[own != NO_PART], return_counts=True)
        shows = {names[int(found[row])]: int(counts[row]) for row in np.argsort(-counts, kind="stable")}
        listed.append({"group": int(label), "members": len(own), "shows": shows})
    return listed
