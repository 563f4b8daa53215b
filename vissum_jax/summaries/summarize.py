"""From a class's match matrix to its visual summaries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from vissum_jax.summaries.cluster_stability import cluster_stability
from vissum_jax.summaries.clustering import cluster
from vissum_jax.summaries.config import SummaryConfig
from vissum_jax.summaries.consistency import member_similarities
from vissum_jax.summaries.overlays import flow_overlays, resized_overlays
from vissum_jax.types import ClassSummaries, ClusterDiagnostics, Member, Summary


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    """A cluster with one box per image, the exemplar first, its structural similarities and its stability."""

    members: Int[np.ndarray, " m"]
    ssim: Float[np.ndarray, "m k"]
    stability: float

    @property
    def median(self) -> float:
        """med_c: median over the pairs of compared members."""
        compared = self.ssim[: self.ssim.shape[1]]
        return _nanmedian(compared[np.triu_indices(len(compared), 1)])


def _nanmedian(values: Float[np.ndarray, ...]) -> float:
    """Median of what is a number; NaN, without a warning, if nothing is."""
    values = values[np.isfinite(values)]
    return float(np.median(values)) if values.size else float("nan")


def one_box_per_image(
    members: Int[np.ndarray, " m"],
    exemplar: int,
    similarity: Float[np.ndarray, "n n"],
    image_ids: Int[np.ndarray, " n"],
) -> Int[np.ndarray, " k"]:
    """The exemplar, then of every other image the member most similar to it, by falling similarity."""
    others = members[image_ids[members] != image_ids[exemplar]]
    others = others[np.argsort(-similarity[exemplar, others], kind="stable")]
    _, first = np.unique(image_ids[others], return_index=True)
    return np.concatenate([[exemplar], others[np.sort(first)]]).astype(int)


def kept_members(ssim: Float[np.ndarray, "m k"], global_ssim: float, config: SummaryConfig) -> Bool[np.ndarray, " m"]:
    """Members of whose structural similarities less than `config.member_share` are too low beside G."""
    compared = np.isfinite(ssim)
    count = compared.sum(axis=1)
    below = (compared & (ssim < config.member_consistency * global_ssim)).sum(axis=1)
    return (count > 0) & (below < config.member_share * count)


def near_exemplar(similarity: Float[np.ndarray, " m"], config: SummaryConfig) -> Bool[np.ndarray, " m"]:
    """Members whose match score with the exemplar, which comes first, is not far below the best one's.

    Affinity propagation leaves no box out: what is like nothing else ends at the exemplar that it is least
    unlike, so that a cluster's tail may show anything.
    """
    near = similarity >= config.member_similarity * similarity[1:].max(initial=0.0)
    near[0] = True
    return near


def _verdict(candidate: _Candidate, kept: int, global_ssim: float, config: SummaryConfig) -> str:
    """Why a cluster is dropped; empty if it is kept."""
    count = len(candidate.members)
    if count < config.min_members:
        return f"{count} members, fewer than {config.min_members}"
    if not candidate.median >= config.consistency * global_ssim:
        return f"median SSIM {candidate.median:.3f} is below {config.consistency:g} x {global_ssim:.3f}"
    if kept < config.min_members:
        return f"{kept} of {count} members pass the member rule, fewer than {config.min_members}"
    return ""


def _summary(
    candidate: _Candidate,
    similarity: Float[np.ndarray, "n n"],
    boxes: Int[np.ndarray, "n 4"],
    image_ids: Int[np.ndarray, " n"],
    global_ssim: float,
    config: SummaryConfig,
) -> Summary:
    """The cluster with both rules applied; its number is given later."""
    exemplar = candidate.members[0]
    scores = similarity[exemplar, candidate.members]
    kept = kept_members(candidate.ssim, global_ssim, config) & near_exemplar(scores, config)
    x, y, w, h = boxes[candidate.members].T.tolist()
    reason = _verdict(candidate, int(kept.sum()), global_ssim, config)
    members = tuple(
        Member(
            image=int(image_ids[row]),
            box=(x[rank], y[rank], w[rank], h[rank]),
            rank=rank,
            similarity=float(scores[rank]),
            ssim=_nanmedian(candidate.ssim[rank]),
            exemplar=rank == 0,
            kept=bool(kept[rank]),
        )
        for rank, row in enumerate(candidate.members)
    )
    return Summary(
        number=0,
        members=members,
        ssim=candidate.median,
        kept=not reason,
        reason=reason,
        stability=candidate.stability,
    )


def numbered(summaries: Iterable[Summary]) -> tuple[Summary, ...]:
    """Number summaries: kept ones first, the most important first, the largest first, those most alike first."""

    def falling(value: float) -> float:
        return -value if np.isfinite(value) else np.inf

    def key(summary: Summary) -> tuple:
        sizes = -len(summary.kept_members), -len(summary.members)
        return (not summary.kept, falling(summary.importance), *sizes, falling(summary.ssim))

    ordered = sorted(summaries, key=key)
    return tuple(replace(summary, number=number) for number, summary in enumerate(ordered))


def summarize_class(
    images: UInt8[np.ndarray, "n h w 3"],
    class_index: int,
    similarity: Float[np.ndarray, "m m"],
    boxes: Int[np.ndarray, "m 4"],
    image_ids: Int[np.ndarray, " m"],
    config: SummaryConfig,
    *,
    proposals: int | None = None,
) -> ClassSummaries:
    """Cluster a class's boxes and keep the clusters that look consistent (VS 3.2).

    With med_c the median SSIM among the first members of cluster c and G the median of med_c over the
    clusters, a cluster is kept if med_c >= 0.9 G and at least three members are, and a member if less than
    60 % of its SSIMs are below G (and, if `config.member_similarity` asks for it, its match with the exemplar is
    good enough). Members beyond the first ten are judged by their SSIMs with those.

    Args:
        images: The class's images.
        class_index: The class.
        similarity: Match scores of the boxes, symmetric.
        boxes: (x, y, width, height) in pixels, without redundant ones.
        image_ids: The image of each box.
        config: Constants.
        proposals: Salient proposals before redundant ones were removed, for the diagnostics; as many as
            `boxes` by default.

    Returns:
        Summaries, or the reason why none is kept.

    Raises:
        ValueError: If the arrays do not belong together.
    """
    count = len(boxes)
    if similarity.shape != (count, count) or image_ids.shape != (count,):
        raise ValueError(
            f"`similarity` and `image_ids` must belong to `boxes`, got shapes {similarity.shape}, "
            f"{image_ids.shape} and {boxes.shape}."
        )
    found: dict[str, Any] = {
        "images": len(images),
        "proposals": count if proposals is None else proposals,
        "clustered": count,
    }

    def without(reason: str) -> ClassSummaries:
        diagnostics = ClusterDiagnostics(**found)
        return ClassSummaries(class_index=class_index, summaries=(), diagnostics=diagnostics, reason=reason)

    if not count:
        return without("no proposal lies within the salient part of any image")
    if not np.isfinite(similarity).all():
        return without("the match scores are not finite")
    found |= {"similarity_max": float(similarity.max()), "similarity_median": float(np.median(similarity))}

    clusters = cluster(similarity, config, config.seed, images=len(np.unique(image_ids)))
    found |= {"converged": clusters.converged, "damping": clusters.damping}
    if not clusters.converged:
        return without(
            f"affinity propagation did not converge in {config.max_iterations} iterations "
            f"with damping up to {clusters.damping:g}"
        )

    stability = cluster_stability(clusters, similarity, image_ids, config)
    candidates = []
    for label, exemplar in enumerate(clusters.exemplars):
        members = np.flatnonzero(clusters.labels == label)
        members = one_box_per_image(members, int(exemplar), similarity, image_ids)
        if config.warp == "flow":
            overlays = flow_overlays(images, members, similarity, boxes, image_ids, config)
        else:
            overlays = resized_overlays(images, image_ids[members], boxes[members], config)
        _, _, width, height = boxes[exemplar].tolist()
        ssim = member_similarities(overlays, (height, width), config)
        candidates.append(_Candidate(members=members, ssim=ssim, stability=float(stability[label])))
    global_ssim = _nanmedian(np.array([candidate.median for candidate in candidates]))
    summaries = numbered(
        [_summary(candidate, similarity, boxes, image_ids, global_ssim, config) for candidate in candidates]
    )

    reason = ""
    if not any(summary.kept for summary in summaries):
        shown = len(np.unique(image_ids))
        reason = (
            f"{shown} image(s) with salient proposals, a summary needs {config.min_members}"
            if shown < config.min_members
            else f"none of {len(summaries)} clusters is large and consistent enough"
        )
    return ClassSummaries(
        class_index=class_index,
        summaries=summaries,
        diagnostics=ClusterDiagnostics(**found, global_ssim=global_ssim),
        reason=reason,
    )
