"""Figures for papers: montages of summaries, masks and what they do, measures as plots (VS figures 1, 3 and 5)."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vissum_jax.report.config import ReportConfig
from vissum_jax.report.model import ClassReport, RunFacts
from vissum_jax.report.pictures import PictureStyle, enlarged, heat_picture, mask_picture, summary_picture
from vissum_jax.report.plot_labels import plain_label
from vissum_jax.report.text import plural, readable
from vissum_jax.types import Summary

Format = Literal["pdf", "png"]
Picture = UInt8[np.ndarray, "h w 3"]

# Without dates and versions the same input gives the same bytes.
_METADATA: Mapping[str, dict[str, None]] = {
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}


@dataclass(frozen=True, kw_only=True)
class FigureStyle:
    """How figures look; lengths in inches.

    Attributes:
        side: Height of a picture.
        gap: Between pictures.
        label: Width of what stands beside a row.
        title: Height of the title.
        most_pictures: Pictures in a row.
        most_rows: Photographs whose masks are shown.
        most_letters: Of a name.
        text: Size of letters in points.
        least_bars: Summaries that the plot has room for, so that the bar of a single one stays thin.
        dots: Per inch, in PNG files.
        plot: Width and height of the plots.
    """

    side: float = 1.0
    gap: float = 0.05
    label: float = 1.6
    title: float = 0.3
    most_pictures: int = 8
    most_rows: int = 6
    most_letters: int = 48
    text: float = 8.0
    least_bars: int = 4
    dots: int = 200
    plot: tuple[float, float] = (7.0, 3.0)


class Row(NamedTuple):
    """Pictures of one size side by side, and what stands on their left, line by line."""

    label: Sequence[str]
    pictures: Sequence[Picture]


def class_figures(report: ClassReport, facts: RunFacts, config: ReportConfig) -> Iterator[tuple[str, str, bytes]]:
    """The figures of a class, as far as there is something to show: name, caption, file.

    Args:
        report: The class.
        facts: Names that people gave to summaries.
        config: How pictures look, and the format.
    """
    if config.figures is None:
        return
    style = FigureStyle()
    title = readable(report.class_name)
    if report.summaries.kept:
        rows = [_summary_row(report, summary, facts, config, style) for summary in report.summaries.kept]
        yield "summaries", "Summaries, a row each", montage(title, rows, config.figures, style=style)
    if report.masks.has_mask.any():
        captions, rows = _mask_rows(report, config.style, style)
        data = montage(title, rows, config.figures, captions=captions, style=style)
        yield "masks", "Masks: what is hidden, and what is left", data
        yield "measures", "Drop, area and importance", _measures(report, facts, config.figures, style)


def montage(
    title: str,
    rows: Sequence[Row],
    kind: Format,
    *,
    captions: Sequence[str] = (),
    style: FigureStyle | None = None,
) -> bytes:
    """Rows of pictures under a title.

    Args:
        title: A name, perhaps from outside.
        rows: From top to bottom; pictures beyond `most_pictures` are left out.
        kind: Format of the file.
        captions: Of the columns.
        style: Sizes.
    """
    style = style or FigureStyle()
    shown = [row.pictures[: style.most_pictures] for row in rows]
    ratio = max((picture.shape[1] / picture.shape[0] for pictures in shown for picture in pictures), default=1.0)
    columns = max((len(pictures) for pictures in shown), default=1)
    width = style.label + columns * (style.side * ratio + style.gap)
    height = style.title + len(rows) * (style.side + style.gap)
    figure = Figure(figsize=(width, height), dpi=style.dots)
    FigureCanvasAgg(figure)
    figure.text(
        *(0.0, 1 - 0.5 * style.title / height),
        plain_label(title, style.most_letters),
        size=1.25 * style.text,
        weight="bold",
        va="center",
        parse_math=False,
    )
    for column, caption in enumerate(captions):
        middle = style.label + (column + 0.5) * style.side * ratio + column * style.gap
        figure.text(
            *(middle / width, 1 - (style.title - style.gap) / height),
            caption,
            size=style.text,
            ha="center",
            va="bottom",
        )
    for number, (row, pictures) in enumerate(zip(rows, shown, strict=True)):
        bottom = height - style.title - (number + 1) * (style.side + style.gap)
        lines = [plain_label(line, style.most_letters) for line in row.label]
        figure.text(
            *(0.0, (bottom + 0.5 * style.side) / height),
            "\n".join(lines),
            size=style.text,
            va="center",
            parse_math=False,
        )
        for column, picture in enumerate(pictures):
            left = style.label + column * (style.side * ratio + style.gap)
            axes = figure.add_axes(
                (left / width, bottom / height, style.side * ratio / width, style.side / height), frameon=False
            )
            axes.imshow(picture, interpolation="none", aspect="auto")
            axes.set_axis_off()
    return _saved(figure, kind)


def summary_name(summary: Summary, class_index: int, facts: RunFacts) -> str:
    """What a figure calls a summary: its number as pages count, and what people call it."""
    tag = facts.tags.get((class_index, summary.number))
    return f"{summary.number + 1}. {readable(tag.tag)}" if tag else f"Summary {summary.number + 1}"


def _summary_row(
    report: ClassReport, summary: Summary, facts: RunFacts, config: ReportConfig, style: FigureStyle
) -> Row:
    """A summary as VS figure 1 shows it: the exemplar first."""
    pictures = []
    for member in sorted(summary.kept_members, key=lambda member: member.rank)[: style.most_pictures]:
        salient = report.masks.salient[member.image]
        factor = max(1, -(-config.picture_side // min(salient.shape)))
        view = enlarged(report.images[member.image], salient, member.box, factor)
        pictures.append(summary_picture(*view, config.style))
    label = [summary_name(summary, report.class_index, facts), plural(len(summary.kept_members), "photograph")]
    if np.isfinite(summary.importance):
        label.append(f"importance {100 * summary.importance:.0f} %")
    return Row(label, pictures)


def _mask_rows(report: ClassReport, style: PictureStyle, figure: FigureStyle) -> tuple[list[str], list[Row]]:
    """Photograph, masks and what is left of the photograph, for the first photographs that have a mask; captions."""
    masks = report.masks
    rows, captions = [], []
    for row in np.flatnonzero(masks.has_mask)[: figure.most_rows].tolist():
        image = report.images[row]
        pictures = {"photograph": image}
        if report.has_soft:
            pictures["continuous mask"] = heat_picture(image, masks.soft[row], style)
        pictures["binary mask"] = mask_picture(image, masks.salient[row], style)
        if report.perturbed is not None:
            pictures["perturbed"] = report.perturbed[row]
        label = [
            f"p {masks.p_original[row]:.2f} to {masks.p_binary[row]:.2f}",
            f"drop {100 * masks.drop_binary[row]:.0f} %",
            f"area {100 * masks.area[row]:.0f} %",
        ]
        captions = list(pictures)
        rows.append(Row(label, list(pictures.values())))
    return captions, rows


def _measures(report: ClassReport, facts: RunFacts, kind: Format, style: FigureStyle) -> bytes:
    """Each mask's drop against its area, beside the importance of each summary."""
    figure = Figure(figsize=style.plot, dpi=style.dots, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    measures = report.measures
    left.scatter(measures["area"], measures["drop_binary"], s=14, color="black", alpha=0.5, linewidths=0)
    left.set(
        xlim=(0, 1),
        ylim=(min(0.0, float(np.nanmin(measures["drop_binary"], initial=0.0))), 1.02),
        xlabel="area of the mask",
        ylabel="drop of the class's probability",
        title="Masks, a point each",
    )
    kept = report.summaries.kept
    importance = np.nan_to_num([summary.importance for summary in kept]).tolist()
    right.barh(range(len(kept)), importance, color="#9db8d9")
    names = [plain_label(summary_name(summary, report.class_index, facts), style.most_letters // 2) for summary in kept]
    sizes = [len(summary.kept_members) for summary in kept]
    labels = [f"{name} ({size})" for name, size in zip(names, sizes, strict=True)]
    right.set_yticks(range(len(kept)), labels, parse_math=False)
    right.set(
        xlim=(min([0.0, *importance]), 1),
        ylim=(max(len(kept), style.least_bars) - 0.5, -0.5),
        xlabel="importance: drop by the part alone",
        title="Summaries (photographs)",
    )
    figure.suptitle(plain_label(readable(report.class_name), style.most_letters), parse_math=False)
    return _saved(figure, kind)


def _saved(figure: Figure, kind: Format) -> bytes:
    data = io.BytesIO()
    figure.savefig(data, format=kind, metadata=_METADATA[kind])
    return data.getvalue()
