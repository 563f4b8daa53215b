"""Intersection over union against the threshold: a curve for each method."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vissum_jax.report.plot_labels import plain_label

_LINES = ("-", "--", ":")


@dataclass(frozen=True, kw_only=True)
class OverlapPlotStyle:
    """How the plot looks.

    Attributes:
        width: In inches.
        height: In inches.
        dots: Per inch.
        most_letters: Of a method's name.
        colours: Name of a list of colours; beyond its end they come again, dashed and then dotted.
    """

    width: float = 8.5
    height: float = 4.5
    dots: int = 120
    most_letters: int = 50
    colours: str = "tab10"


def overlap_picture(curves: Mapping[str, Sequence[float]], *, style: OverlapPlotStyle | None = None) -> bytes:
    """Draw the plot.

    Args:
        curves: For each method its mean IoU at equally spaced thresholds from 0 to 1; the first is drawn in black.
        style: Sizes and colours.

    Returns:
        A PNG file; the same input gives the same bytes.
    """
    style = style or OverlapPlotStyle()
    figure = Figure(figsize=(style.width, style.height), dpi=style.dots, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    colours = colormaps[style.colours]
    for number, (name, curve) in enumerate(curves.items()):
        axes.plot(
            np.linspace(0, 1, len(curve)),
            curve,
            _LINES[max(number - 1, 0) // colours.N % len(_LINES)],
            color="black" if number == 0 else colours((number - 1) % colours.N),
            linewidth=2.5 if number == 0 else 1.5,
            # A label that begins with an underscore is none to matplotlib.
            label=plain_label(name.lstrip("_"), style.most_letters),
        )
    axes.set(xlabel="threshold of the heat map", ylabel="intersection over union with the truth", xlim=(0, 1))
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    for text in figure.legend(loc="outside right upper", frameon=False).get_texts():
        text.set_parse_math(False)
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()
