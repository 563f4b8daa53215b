"""Mean tag distance within summaries and within random sets of a class, bar by bar (VS figure 4)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vissum_jax.report.plot_labels import plain_label


class CoherencyBar(NamedTuple):
    """One class: its name, its number of summaries, muS, muR and the latter's deviation over the draws."""

    name: str
    summaries: int
    mu_s: float
    mu_r: float
    mu_r_deviation: float


@dataclass(frozen=True, kw_only=True)
class CoherencyPlotStyle:
    """How the plot looks.

    Attributes:
        width: Least width in inches.
        width_per_class: Inches that a class takes.
        height: In inches.
        most_letters: Of a class's name.
        dots: Per inch.
        summary_colour: Of muS.
        random_colour: Of muR.
    """

    width: float = 5.0
    width_per_class: float = 0.5
    height: float = 4.5
    most_letters: int = 28
    dots: int = 120
    summary_colour: str = "tab:blue"
    random_colour: str = "tab:red"


def coherency_picture(bars: Sequence[CoherencyBar], *, style: CoherencyPlotStyle | None = None) -> bytes:
    """Draw the bars of each class side by side; the number of its summaries stands behind its name.

    Returns:
        A PNG file; the same input gives the same bytes.
    """
    style = style or CoherencyPlotStyle()
    width = max(style.width, 1.5 + style.width_per_class * len(bars))
    figure = Figure(figsize=(width, style.height), dpi=style.dots, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    places = np.arange(len(bars))
    axes.bar(places - 0.2, [bar.mu_s for bar in bars], 0.4, color=style.summary_colour, label="summaries, muS")
    axes.bar(
        places + 0.2,
        [bar.mu_r for bar in bars],
        0.4,
        yerr=[bar.mu_r_deviation for bar in bars],
        color=style.random_colour,
        label="random sets, muR",
        error_kw={"linewidth": 1},
    )
    names = [plain_label(bar.name.replace("_", " "), style.most_letters) for bar in bars]
    labels = [f"{name} ({bar.summaries})" for name, bar in zip(names, bars, strict=True)]
    axes.set_xticks(places, labels, rotation=60, ha="right", rotation_mode="anchor", parse_math=False)
    axes.set(ylabel="mean Jaccard distance of tags", ylim=(0, 1))
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper right", ncols=2, frameon=False)
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()
