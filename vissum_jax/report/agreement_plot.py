"""How far participants of a study agree: by class, and with each other."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vissum_jax.report.plot_labels import plain_label
from vissum_jax.study.score import StudyScore


@dataclass(frozen=True, kw_only=True)
class AgreementStyle:
    """How the plot looks.

    Attributes:
        width: In inches.
        height: In inches, without the classes.
        class_height: In inches, of a class.
        most_classes: Classes that are drawn: those with the least distance.
        most_letters: Letters of a name that are drawn.
        dots: Per inch.
    """

    width: float = 10.0
    height: float = 3.5
    class_height: float = 0.22
    most_classes: int = 60
    most_letters: int = 28
    dots: int = 120


def agreement_picture(found: StudyScore, names: Mapping[int, str], *, style: AgreementStyle | None = None) -> bytes:
    """Draw the plot: muU by class with a point a summary, beside the agreement of every two participants.

    Args:
        found: The scores.
        names: Names of classes, where they are known.
        style: Sizes.

    Returns:
        A PNG file; the same input gives the same bytes.
    """
    style = style or AgreementStyle()
    scored = sorted(
        (each for each in found.classes if each.mu_u is not None), key=lambda each: (each.mu_u, each.class_index)
    )
    drawn = scored[: style.most_classes]
    figure = Figure(
        figsize=(style.width, style.height + style.class_height * len(drawn)), dpi=style.dots, layout="constrained"
    )
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(1.3, 1))
    for place, each in enumerate(drawn):
        own = [one.mu_u for one in found.summaries if one.class_index == each.class_index and one.mu_u is not None]
        left.barh(place, each.mu_u, color="#9db8d9", height=0.7)
        left.scatter(own, [place] * len(own), s=14, color="black", alpha=0.5, linewidths=0, zorder=3)
    if found.chance is not None:
        left.axvline(found.chance, color="#b3261e", linestyle="--", label="chance: different summaries")
        left.legend(loc="lower left", frameon=False)
    labels = [
        plain_label(names.get(each.class_index, f"class {each.class_index}"), style.most_letters) for each in drawn
    ]
    left.set_yticks(range(len(drawn)), labels, parse_math=False)
    left.invert_yaxis()
    more = f" (the first {len(drawn)} of {len(scored)} classes)" if len(drawn) < len(scored) else ""
    left.set(xlim=(0, 1.02), xlabel="muU: distance between participants, a point a summary", title=f"By class{more}")
    picture = right.imshow(np.ma.masked_invalid(found.agreement), vmin=0, vmax=1, cmap="viridis")
    people = [plain_label(name, style.most_letters) for name in found.participants]
    if len(people) <= style.most_classes:
        right.set_yticks(range(len(people)), people, parse_math=False)
    right.set_xticks([])
    right.set_title("Agreement of two participants")
    figure.colorbar(picture, ax=right, shrink=0.8)
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()
