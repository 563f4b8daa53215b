"""What the pages show, computed from what a report knows; no files and no HTML here."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from vissum_jax.report.model import ClassReport
from vissum_jax.study.tags import Tag
from vissum_jax.types import HAS_MASK, MaskStatus, Member, Summary

STATUS_LABELS = {
    MaskStatus.OK: "masked",
    MaskStatus.INFEASIBLE: "drop not reached",
    MaskStatus.SKIPPED_PREDICTION: "predicted otherwise",
    MaskStatus.UNREADABLE: "unreadable",
    MaskStatus.NON_FINITE: "not finite",
}
MEASURE_LABELS = {
    "drop_soft": "Drop, continuous mask",
    "drop_binary": "Drop, binary mask",
    "area": "Area of the binary mask",
    "transfer_drop": "Drop under another perturbation",
}


CRISP = "Binary mask"
"""Caption of the picture that stands for a photograph."""


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Mean and population variance of the finite values among some measures."""

    mean: float
    variance: float
    count: int

    @classmethod
    def of(cls, values: Float[np.ndarray, n]) -> Moments:
        """The moments of the finite values; NaN where there are none."""
        finite = values[np.isfinite(values)]
        if not len(finite):
            return cls(mean=float("nan"), variance=float("nan"), count=0)
        return cls(mean=float(finite.mean()), variance=float(finite.var()), count=len(finite))


@dataclass(frozen=True, kw_only=True)
class Zoom:
    """The square around a part, as shares of the photograph: what a tile shows when zoomed.

    Attributes:
        x: Left edge.
        y: Upper edge.
        scale: One over the side.
    """

    x: float
    y: float
    scale: float

    @classmethod
    def onto(cls, box: tuple[int, int, int, int], height: int, width: int, margin: float) -> Zoom:
        """A square (in shares of the sides) around a box, with a margin, inside the photograph."""
        x, y, w, h = box[0] / width, box[1] / height, box[2] / width, box[3] / height
        side = min(max(w, h) * (1 + 2 * margin), 1.0)
        left = min(max(x + w / 2 - side / 2, 0.0), 1 - side)
        top = min(max(y + h / 2 - side / 2, 0.0), 1 - side)
        return cls(x=left, y=top, scale=1 / side)


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One picture of a photograph, with its caption and its alternative text."""

    caption: str
    picture: str
    alt: str


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One photograph of a summary, on a page.

    Attributes:
        member: Which, and how well it fits.
        picture: The picture's file.
        page: The photograph's own page.
        file: Where the photograph came from.
        zoom: What is shown when zoomed.
    """

    member: Member
    picture: str
    page: str
    file: str
    zoom: Zoom


@dataclass(frozen=True, kw_only=True)
class SummaryView:
    """One summary on its class's page.

    Attributes:
        number: How the pages call it: counted from 1.
        summary: What is shown.
        tag: What people call it, if they were asked.
        kept: Members that pass the member rule.
        left_out: Members that do not.
        similarity: Median similarity of the kept members with the exemplar (the exemplar itself left out).
    """

    number: int
    summary: Summary
    tag: Tag | None
    kept: tuple[Tile, ...]
    left_out: tuple[Tile, ...]
    similarity: float

    @classmethod
    def of(cls, summary: Summary, tiles: Iterable[Tile], tag: Tag | None) -> SummaryView:
        """Sort a summary's tiles by rank into kept ones and others."""
        ranked = sorted(tiles, key=lambda tile: tile.member.rank)
        kept = [member for member in summary.kept_members if not member.exemplar]
        return cls(
            number=summary.number + 1,
            summary=summary,
            tag=tag,
            kept=tuple(tile for tile in ranked if tile.member.kept),
            left_out=tuple(tile for tile in ranked if not tile.member.kept),
            similarity=float(np.median([member.similarity for member in kept])) if kept else float("nan"),
        )


@dataclass(frozen=True, kw_only=True)
class PhotoView:
    """One photograph, on its class's page and on its own, with what is known about it (see `MaskBatch`).

    Attributes:
        number: Its row in the class.
        page: Its own page.
        panels: Its pictures, the crisp mask among them where there is one.
        shown: The picture that stands for it.
        shown_in: The kept summaries it is a kept member of, each with its picture there.
        elsewhere: Kept summaries that it was left out of.
        predicted: Name of the class that the network predicts, where it is another; else empty.
    """

    number: int
    page: str
    file: str
    status: MaskStatus
    reason: str
    panels: tuple[Panel, ...]
    shown: Panel | None
    shown_in: tuple[tuple[SummaryView, Tile], ...]
    elsewhere: tuple[SummaryView, ...]
    predicted: str
    p_original: float
    p_soft: float
    p_binary: float
    drop_soft: float
    drop_binary: float
    area: float
    transfer_drop: float
    components: int
    passes: int

    @property
    def has_mask(self) -> bool:
        """Whether there is a mask to show."""
        return self.status in HAS_MASK

    @classmethod
    def of(
        cls,
        report: ClassReport,
        row: int,
        page: str,
        panels: tuple[Panel, ...],
        summaries: Iterable[SummaryView],
        class_names: tuple[str, ...],
    ) -> PhotoView:
        """The view of one row of a class.

        Args:
            report: The class.
            row: Which photograph.
            page: Address of its page, relative to the class's.
            panels: Its pictures; those with the caption `CRISP` stand for it.
            summaries: The class's summaries.
            class_names: The network's.
        """
        masks = report.masks
        predicted = int(masks.predicted_index[row])
        other = predicted != report.class_index
        kept = [view for view in summaries if view.summary.kept]
        crisp = [panel for panel in panels if panel.caption == CRISP]
        return cls(
            number=row,
            page=page,
            file=report.files[row],
            status=masks.status[row],
            reason=masks.reason[row],
            panels=panels,
            shown=next(iter((*crisp, *panels)), None),
            shown_in=tuple((view, tile) for view in kept for tile in view.kept if tile.member.image == row),
            elsewhere=tuple(view for view in kept if any(tile.member.image == row for tile in view.left_out)),
            predicted=class_names[predicted] if other and 0 <= predicted < len(class_names) else "",
            p_original=float(masks.p_original[row]),
            p_soft=float(masks.p_soft[row]),
            p_binary=float(masks.p_binary[row]),
            drop_soft=float(masks.drop_soft[row]),
            drop_binary=float(masks.drop_binary[row]),
            area=float(masks.area[row]),
            transfer_drop=float(masks.transfer_drop[row]),
            components=int(masks.components[row]),
            passes=int(masks.passes[row]),
        )


@dataclass(frozen=True, kw_only=True)
class ClassFigures:
    """One class in the overview.

    Attributes:
        index: The class.
        name: Its name.
        page: Address of its page, relative to the overview.
        kept: Number of summaries kept.
        found: Number of summaries before the consistency rule.
        images: Number of photographs.
        statuses: How many photographs ended how, without the statuses that none has.
        drop: Moments of the binary mask's drop.
        area: Moments of the binary mask's area.
        exemplars: Pictures of the kept summaries' exemplars, with alternative texts.
        reason: Why there are no summaries, if so.
    """

    index: int
    name: str
    page: str
    kept: int
    found: int
    images: int
    statuses: dict[MaskStatus, int]
    drop: Moments
    area: Moments
    exemplars: tuple[Panel, ...]
    reason: str

    @classmethod
    def of(cls, report: ClassReport, page: str, exemplars: tuple[Panel, ...]) -> ClassFigures:
        """The figures of one class."""
        counts = Counter(report.masks.status)
        measures = report.measures
        return cls(
            index=report.class_index,
            name=report.class_name,
            page=page,
            kept=len(report.summaries.kept),
            found=len(report.summaries.summaries),
            images=len(report.files),
            statuses={status: counts[status] for status in MaskStatus if counts[status]},
            drop=Moments.of(measures["drop_binary"]),
            area=Moments.of(measures["area"]),
            exemplars=exemplars,
            reason=report.summaries.reason,
        )


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A photograph without a mask that drops the class, for the run's page; `page` is its own."""

    class_name: str
    page: str
    file: str
    status: MaskStatus
    reason: str


def flattened(configuration: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """A nested configuration as lines: dotted key and value."""
    lines: list[tuple[str, str]] = []
    for key, value in configuration.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            lines += flattened(value, f"{name}.")
        else:
            lines.append((name, value if isinstance(value, str) else json.dumps(value, default=str)))
    return lines
