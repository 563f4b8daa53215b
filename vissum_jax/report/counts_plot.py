"""Mean number of summaries of several networks against their accuracy (VS table 3, as a plot)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vissum_jax.report.plot_labels import plain_label


class CountPoint(NamedTuple):
    """One network; an accuracy that is not known is None."""

    label: str
    mean_summaries: float
    known_top1: float | None
    measured_top1: float | None


@dataclass(frozen=True, kw_only=True)
class CountsPlotStyle:
    """How the plot looks.

    Attributes:
        width: In inches.
        height: In inches, without the lines that name the networks.
        line: Inches that such a line takes.
        most_letters: Of such a line.
        dots: Per inch.
        colours: Name of a list of colours; beyond its end they come again.
    """

    width: float = 7.0
    height: float = 4.0
    line: float = 0.22
    most_letters: int = 70
    dots: int = 120
    colours: str = "tab10"


def counts_picture(points: Sequence[CountPoint], *, style: CountsPlotStyle | None = None) -> bytes:
    """Draw the plot: a colour for each network, filled marks for known accuracies, rings for measured ones.

    Returns:
        A PNG file; the same input gives the same bytes.
    """
    style = style or CountsPlotStyle()
    height = style.height + style.line * (len(points) + 2)
    figure = Figure(figsize=(style.width, height), dpi=style.dots, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    colours = colormaps[style.colours]
    for number, (label, count, known, measured) in enumerate(points):
        colour = colours(number % colours.N)
        # A label that begins with an underscore is none to matplotlib.
        axes.plot([], [], "o", color=colour, label=plain_label(label.lstrip("_"), style.most_letters, keep="end"))
        if known is not None:
            axes.plot(count, 100 * known, "o", color=colour, markersize=9)
        if measured is not None:
            axes.plot(count, 100 * measured, "o", color=colour, markersize=9, fillstyle="none")
    axes.plot([], [], "o", color="grey", label="known top-1")
    axes.plot([], [], "o", color="grey", fillstyle="none", label="top-1 on these photographs")
    axes.set(xlabel="kept summaries a class, on average", ylabel="top-1 accuracy (%)")
    axes.margins(0.12)
    axes.grid(alpha=0.3)
    for text in figure.legend(loc="outside lower center", frameon=False).get_texts():
        text.set_parse_math(False)
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()
