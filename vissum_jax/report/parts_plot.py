"""Purity class by class: a mark for the summaries, for each other grouping, and for chance."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vissum_jax.report.plot_labels import plain_label

_MARKS = "oD^vsPX*"
_MEAN_GAP = 0.5
"""Between the classes and their mean, in lines."""


@dataclass(frozen=True, kw_only=True)
class PartsPlotStyle:
    """How the plot looks.

    Attributes:
        width: In inches.
        margin: Height of what is not a class, in inches.
        line: Height of a class.
        most_letters: Of a class's name.
        dots: Per inch.
        colours: Name of a list of colours.
    """

    width: float = 8.0
    margin: float = 1.5
    line: float = 0.32
    most_letters: int = 28
    dots: int = 120
    colours: str = "tab10"


def parts_picture(
    classes: Sequence[str],
    purity: Mapping[str, Sequence[float | None]],
    shuffled: Sequence[float | None],
    *,
    style: PartsPlotStyle | None = None,
) -> bytes:
    """Draw the plot; the means are in a line of their own.

    Args:
        classes: Their names.
        purity: Of each grouping, the summaries first, in each class; None where it has none.
        shuffled: Purity of the summaries after their members were shuffled.
        style: Sizes and colours.

    Returns:
        A PNG file; the same input gives the same bytes.
    """
    style = style or PartsPlotStyle()
    lines = len(classes) + _MEAN_GAP + 1
    figure = Figure(figsize=(style.width, style.margin + style.line * lines), dpi=style.dots, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    places = np.append(np.arange(len(classes)), len(classes) + _MEAN_GAP)
    colours = colormaps[style.colours]
    chance = _with_mean(shuffled)
    axes.scatter(chance, places, marker="|", s=140, color="grey", label="shuffled", zorder=2)
    for number, (name, values) in enumerate(purity.items()):
        ours = number == 0
        axes.scatter(
            _with_mean(values),
            places,
            marker=_MARKS[number % len(_MARKS)],
            s=70 if ours else 30,
            color="black" if ours else colours((number - 1) % colours.N),
            label=name,
            zorder=4 if ours else 3,
        )
    labels = [plain_label(name.replace("_", " "), style.most_letters) for name in classes]
    axes.set_yticks(places, [*labels, "mean"], parse_math=False)
    axes.set_ylim(lines - 0.5, -0.5)
    axes.set(xlim=(-0.02, 1.02), xlabel="purity: share of members that show their group's commonest part")
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper center", ncols=6, frameon=False)
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()


def _with_mean(values: Sequence[float | None]) -> np.ndarray:
    known = np.array([np.nan if value is None else value for value in values], float)
    finite = known[np.isfinite(known)]
    return np.append(known, finite.mean() if len(finite) else np.nan)
