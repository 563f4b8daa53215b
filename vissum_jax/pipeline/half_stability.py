"""Stability of a class's summaries: each half of its photographs is clustered anew (see `analysis.stability`).

The class is matched once, and a half's matches are those of the class between the half's boxes: the scores of a pair
of photographs depend on no other photograph (but for the whitening of a network's features, which is the class's).
Which of the redundant boxes stay, and the clusters, are the half's own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from vissum_jax.analysis.stability import Agreement, agreement, halves
from vissum_jax.matching import match_class
from vissum_jax.matching.classwise import Matches, _best_mean
from vissum_jax.pipeline.feature_maps import feature_maps
from vissum_jax.pipeline.memory import _by_content
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
    """How far the summaries of a class agree with those of two halves of its photographs.

    Args:
        classifier: The network explained, whose features may describe the boxes.
        images: The class's photographs.
        masks: Their masks.
        result: The class's summaries.
        configs: Constants of proposals, matching and clustering, as for the class.
        seed: Of the halves.
        batch_size: Photographs on the device at once.
        progress: Shows proposals and matches.

    Returns:
        Plain values: `value`, the mean of the halves that have one, or None and a reason; and each half's.
    """
    maps = feature_maps(classifier, configs.matching, batch_size=batch_size)
    rows = _by_content(images, masks)
    progress.start("proposals", len(rows))
    proposals = propose_batch(images[rows], masks.salient[rows], configs.proposals, progress=progress.advance)
    progress.finish()
    progress.start("matches", len(rows) * (len(rows) + 1) // 2)
    matches = match_class(images[rows], proposals, configs.matching, feature_maps=maps, progress=progress.advance)
    progress.finish()
    found = []
    for half in halves(len(rows), seed):
        inside = np.isin(matches.image_ids, half)
        clustered = _summarize_some(images, rows, matches, inside, result.class_index, configs)
        found.append(agreement(result.summaries, clustered.summaries, set(rows[half].tolist())))
    known = [half.value for half in found if np.isfinite(half.value)]
    return {
        "value": float(np.mean(known)) if known else None,
        "reason": "" if known else "no half of the photographs clusters two of the members anew",
        "halves": [_plain(half) for half in found],
    }


def _summarize_some(
    images: UInt8[np.ndarray, "n h w 3"],
    rows: np.ndarray,
    matches: Matches,
    inside: Bool[np.ndarray, " m"],
    class_index: int,
    configs: StageConfigs,
) -> ClassSummaries:
    some = matches.select(inside)
    best = _best_mean(some.similarity, some.image_ids, configs.matching.best_matches)
    kept = some.select(prune_redundant(some.boxes, some.image_ids, best, configs.proposals))
    return summarize_class(
        images, class_index, kept.similarity, kept.boxes, rows[kept.image_ids], configs.summaries, proposals=len(some)
    )


def _plain(half: Agreement) -> dict[str, Any]:
    return {**vars(half), "value": half.value if np.isfinite(half.value) else None}
