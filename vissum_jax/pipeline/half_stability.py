"""Stability of a class's summaries: each half of its photographs is clustered anew (see `analysis.stability`).

The class is matched once, and a half's matches are those of the class between the half's boxes: the scores of a pair
of photographs depend on no other photograph (but for the whitening of a network's features, which is the class's).
Which of the redundant boxes stay, and the clusters, are the half's own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from vissum_jax.analysis.stability import agreement, halves, nearest_exemplar
from vissum_jax.matching import match_class
from vissum_jax.matching.classwise import Matches, best_mean_scores
from vissum_jax.pipeline.feature_maps import feature_maps
from vissum_jax.pipeline.memory import by_content
from vissum_jax.pipeline.progress import Progress
from vissum_jax.pipeline.settings import StageConfigs
from vissum_jax.proposals import propose_batch, prune_redundant
from vissum_jax.summaries import summarize_class
from vissum_jax.types import Classifier, ClassSummaries, MaskBatch


def half_stability(
    classifier: Classifier,
    images: UInt8[np.ndarray, "n h w 3"],
    masks: MaskBatch,
    result: ClassSummaries,
    configs: StageConfigs,
    *,
    seed: int,
    batch_size: int,
    progress: Progress,
) -> dict[str, Any]:
    """How far two halves of a class's photographs agree on which members of its summaries belong together.

    Args:
        classifier: The network explained, whose features may describe the boxes.
        images: The class's photographs.
        masks: Their masks.
        result: The class's summaries; their kept members are what is compared.
        configs: Constants of proposals, matching and clustering, as for the class.
        seed: Of the halves.
        batch_size: Photographs on the device at once.
        progress: Shows proposals and matches.

    Returns:
        Plain values: `value`, the stability, or None and a reason; `members` compared, and `missing` ones that are no
        proposals any more (of a run made by another version); of each half its photographs and clusters, and
        `agreement`, the adjusted mutual information of its labels with the class's own summaries.
    """
    maps = feature_maps(classifier, configs.matching, batch_size=batch_size)
    rows = by_content(images, masks)
    progress.start("proposals", len(rows))
    proposals = propose_batch(images[rows], masks.salient[rows], configs.proposals, progress=progress.advance)
    progress.finish()
    progress.start("matches", len(rows) * (len(rows) + 1) // 2)
    matches = match_class(images[rows], proposals, configs.matching, feature_maps=maps, progress=progress.advance)
    progress.finish()
    boxes = zip(rows[matches.image_ids].tolist(), map(tuple, matches.boxes.tolist()), strict=True)
    position = {box: row for row, box in enumerate(boxes)}
    kept = [(s.number, position.get((m.image, m.box))) for s in result.kept for m in s.kept_members]
    members = np.array([row for _, row in kept if row is not None], int)
    own = np.array([number for number, row in kept if row is not None], int)
    labels, described = [], []
    for half in halves(len(rows), seed):
        clustered = _summarize_some(images, rows, matches, half, result.class_index, configs)
        exemplars = [s.members[0] for s in clustered.summaries]
        about = {"photographs": len(half), "clusters": len(exemplars), "agreement": None, "reason": ""}
        if exemplars:
            chosen = np.array([position[exemplar.image, exemplar.box] for exemplar in exemplars])
            labels.append(nearest_exemplar(matches.similarity, members, chosen))
            about["agreement"] = _known(agreement(labels[-1], own))
        else:
            about["reason"] = clustered.reason
        described.append(about)
    value = _known(agreement(*labels)) if len(labels) == len(described) else None
    reason = next((about["reason"] for about in described if about["reason"]), "")
    return {
        "value": value,
        "reason": f"a half of the photographs has no clusters: {reason}" if reason else _too_few(value, members),
        "members": len(members),
        "missing": len(kept) - len(members),
        "halves": described,
    }


def _summarize_some(
    images: UInt8[np.ndarray, "n h w 3"],
    rows: Int[np.ndarray, " k"],
    matches: Matches,
    half: Int[np.ndarray, " half"],
    class_index: int,
    configs: StageConfigs,
) -> ClassSummaries:
    """Clusters of some of the photographs; of each the exemplar comes first."""
    some = matches.select(np.isin(matches.image_ids, half))
    best = best_mean_scores(some.similarity, some.image_ids, configs.matching.best_matches)
    kept = some.select(prune_redundant(some.boxes, some.image_ids, best, configs.proposals))
    return summarize_class(
        images, class_index, kept.similarity, kept.boxes, rows[kept.image_ids], configs.summaries, proposals=len(some)
    )


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _too_few(value: float | None, members: Int[np.ndarray, " k"]) -> str:
    return "" if value is not None else f"{len(members)} members, and two are needed to be together or apart"
