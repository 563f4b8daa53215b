"""Drop against area: a curve for each method, a point for each of the run's masks."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class PlotStyle:
    """How the plot looks.

    Attributes:
        width: In inches.
        height: In inches.
        dots: Per inch.
        colours: Name of a list of colours; beyond its end they come again, dashed.
    """

    width: float = 8.0
    height: float = 4.5
    dots: int = 120
    colours: str = "tab10"


def drop_picture(
    curves: Mapping[str, Float[np.ndarray, " steps+1"]],
    areas: Float[np.ndarray, " n"],
    drops: Float[np.ndarray, " n"],
    *,
    label: str,
    style: PlotStyle | None = None,
) -> bytes:
    """Draw the plot.

    Args:
        curves: For each method the drop at equally spaced areas from 0 to 1, averaged over the images.
        areas: Share of each image that its mask covers.
        drops: Drop of each mask.
        label: What found the masks.
        style: Sizes and colours.

    Returns:
        A PNG file; the same input gives the same bytes.
    """
    style = style or PlotStyle()
    figure = Figure(figsize=(style.width, style.height), dpi=style.dots, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    colours = colormaps[style.colours]
    for number, (name, curve) in enumerate(curves.items()):
        line = "-" if number < colours.N else "--"
        axes.plot(np.linspace(0, 1, len(curve)), curve, line, color=colours(number % colours.N), label=name)
    axes.scatter(areas, drops, s=14, color="black", alpha=0.35, linewidths=0, label=f"{label}, each mask")
    axes.scatter(*(np.mean(areas), np.mean(drops)), s=90, marker="*", color="black", zorder=3, label=f"{label}, mean")
    axes.set(
        xlabel="area: share of the pixels that is blurred, the most important first",
        ylabel="drop of the class's probability",
        xlim=(0, 1),
        ylim=(min(0.0, *(float(np.min(values)) for values in (drops, *curves.values()))), 1.02),
    )
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", frameon=False)
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()
