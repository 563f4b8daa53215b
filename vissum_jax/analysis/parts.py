"""Do summaries stand for parts? Purity of their members against known parts, beside shuffled members.

A summary claims to be *the same part in many images*. Where the parts are known, as label images (rendered
flowers) or as annotated points (birds), every member's box gets its part, and the claim can be counted.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from sklearn.metrics import normalized_mutual_info_score

NO_PART = -1
"""Part of a box that shows none."""

Box = tuple[int, int, int, int]  # (x, y, width, height)


@dataclass(frozen=True, kw_only=True)
class PartConfig:
    """Constants of the part measures.

    Attributes:
        min_cover: A part must fill at least this share of a box's (salient) pixels to be the box's part.
        draws: Shuffles averaged for the baseline.
        seed: Of the shuffles.
    """

    min_cover: float = 0.2
    draws: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        """Check ranges."""
        if not 0 <= self.min_cover <= 1:
            raise ValueError(f"`min_cover` must be in [0, 1], got {self.min_cover}.")
        if self.draws < 1:
            raise ValueError(f"`draws` must be positive, got {self.draws}.")
        if self.seed < 0:
            raise ValueError(f"`seed` must not be negative, got {self.seed}.")


@dataclass(frozen=True, kw_only=True)
class PartScores:
    """How well summaries coincide with parts. Shares are NaN where there is no member.

    Attributes:
        members: Boxes scored.
        summaries: Summaries they belong to.
        purity: sum over summaries of the size of the commonest part / members. Boxes without a part count
            as members and never as a commonest part, so that a summary of background is not pure.
        shuffled_purity: Mean purity after the members' parts are permuted over all summaries.
        nmi: Normalised mutual information between summary and part, of the members that have a part.
        parts: Different parts that members show.
        without_part: Share of the members that show no part.
    """

    members: int
    summaries: int
    purity: float
    shuffled_purity: float
    nmi: float
    parts: int
    without_part: float

    @property
    def gain(self) -> float:
        """Purity as a multiple of the shuffled one; NaN where no member shows a part."""
        return self.purity / self.shuffled_purity if self.shuffled_purity > 0 else float("nan")


def part_of_box(
    labels: UInt8[np.ndarray, "h w"], salient: Bool[np.ndarray, "h w"], box: Box, config: PartConfig
) -> int:
    """The part that a member's box shows, from a label image.

    argmax_k |{u in box: u salient, labels(u) = k + 1}|, if that count reaches `min_cover` of the box's
    salient pixels. Only salient pixels count: a box that a mask fills to three quarters is about what the
    mask covers, not about what else the box happens to enclose.

    Args:
        labels: 0 background, k + 1 for part k.
        salient: The image's binary mask, in the same geometry.
        box: In pixels of that geometry.
        config: Constants.

    Returns:
        The part k, the lowest of equals, or `NO_PART`.
    """
    if labels.shape != salient.shape:
        raise ValueError(f"`labels` and `salient` must have one shape, got {labels.shape} and {salient.shape}.")
    x, y, w, h = box
    inside = labels[y : y + h, x : x + w][salient[y : y + h, x : x + w]]
    counts = np.bincount(inside, minlength=2)[1:]
    part = int(np.argmax(counts))
    return part if counts[part] > 0 and counts[part] >= config.min_cover * inside.size else NO_PART


def nearest_part(centres: Float[np.ndarray, "parts 2"], box: Box) -> int:
    """The part that a member's box shows, from annotated points.

    Of the points inside the box, the one nearest to the box's centre.

    Args:
        centres: (x, y) of every part in pixels of the box's geometry, NaN where it is not visible.
        box: In pixels.

    Returns:
        Row of the point, the lowest of equals, or `NO_PART` where none lies inside.
    """
    corner, size = np.array(box[:2], dtype=float), np.array(box[2:], dtype=float)
    inside = np.all((centres >= corner) & (centres < corner + size), axis=1)
    if not inside.any():
        return NO_PART
    distance = np.linalg.norm(centres - (corner + size / 2), axis=1)
    return int(np.argmin(np.where(inside, distance, np.inf)))


def score_parts(summary: Int[np.ndarray, " n"], part: Int[np.ndarray, " n"], config: PartConfig) -> PartScores:
    """Purity of summaries, its shuffled baseline, and what the members show.

    The baseline keeps the sizes of the summaries and the frequencies of the parts, and destroys which goes
    with which. Purity is 1 for summaries of one member each, so that it means little without the baseline.

    Args:
        summary: Summary of every member; numbers that are unique over the classes pooled.
        part: Part of every member, `NO_PART` for none; one numbering over the classes pooled.
        config: Constants.

    Raises:
        ValueError: If the arrays do not fit.
    """
    if summary.shape != part.shape or summary.ndim != 1:
        raise ValueError(f"`summary` and `part` must be (n,) alike, got {summary.shape} and {part.shape}.")
    if np.any(part < NO_PART):
        raise ValueError(f"`part` must not be below {NO_PART}, got {part.min()}.")
    rows = np.unique(summary, return_inverse=True)[1]
    rng = np.random.default_rng(config.seed)
    shuffled = [_purity(rows, rng.permutation(part)) for _ in range(config.draws)]
    shown = part != NO_PART
    return PartScores(
        members=len(part),
        summaries=len(np.unique(summary)),
        purity=_purity(rows, part),
        shuffled_purity=float(np.mean(shuffled)),
        nmi=float(normalized_mutual_info_score(summary[shown], part[shown])) if shown.any() else float("nan"),
        parts=len(np.unique(part[shown])),
        without_part=_share(~shown),
    )


def _share(hits: Bool[np.ndarray, " n"]) -> float:
    """Share of true values, NaN of none."""
    return float(np.mean(hits)) if hits.size else float("nan")


def own_part_share(part: Int[np.ndarray, " n"], own: Sequence[Collection[int]]) -> float:
    """Share of the members that show a discriminative part of their class.

    Args:
        part: Part of every member, `NO_PART` for none.
        own: Discriminative parts of every member's class.
    """
    if part.shape != (len(own),):
        raise ValueError(f"`part` and `own` must be (n,) alike, got {part.shape} and {len(own)}.")
    return _share(np.array([shown in parts for shown, parts in zip(part.tolist(), own, strict=True)], bool))


def _purity(rows: Int[np.ndarray, " n"], part: Int[np.ndarray, " n"]) -> float:
    """Purity of clusters numbered 0.. without gaps."""
    if not part.size:
        return float("nan")
    counts = np.zeros((rows.max() + 1, part.max() + 2), dtype=int)
    np.add.at(counts, (rows, part + 1), 1)
    return float(counts[:, 1:].max(axis=1, initial=0).sum() / part.size)
