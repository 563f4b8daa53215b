"""The table of VS 4.1: what masks of several methods do to the same images, mean and population variance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

SHARE, VARIANCE, COUNT = ".4f", ".2e", ".1f"
COUNTS = ("components", "passes")
"""Measures that are no shares."""
MISSING = "-"


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Mean and population variance of a measure over the images that have it; None where none has."""

    mean: float | None
    variance: float | None
    count: int

    @classmethod
    def of(cls, values: Float[np.ndarray, " n"]) -> Moments:
        """The moments of the finite values."""
        finite = np.asarray(values, np.float64)[np.isfinite(values)]
        if not len(finite):
            return cls(mean=None, variance=None, count=0)
        return cls(mean=float(finite.mean()), variance=float(finite.var()), count=len(finite))


@dataclass(frozen=True, kw_only=True)
class DropRow:
    """One line of the table: masks of one kind.

    Attributes:
        label: What the line is called.
        method: What found the masks.
        form: Which of the method's masks: continuous, its own binary ones, or binary at a given area.
        images: Images whose drop under such a mask is known.
        measures: Moments of each measure, by name.
    """

    label: str
    method: str
    form: str
    images: int
    measures: Mapping[str, Moments]

    @classmethod
    def of(cls, label: str, method: str, form: str, columns: Mapping[str, Float[np.ndarray, " n"]]) -> DropRow:
        """Take the moments of measured columns, the drop among them; a value an image, NaN where it has none."""
        measures = {name: Moments.of(values) for name, values in columns.items()}
        return cls(label=label, method=method, form=form, images=measures["drop"].count, measures=measures)

    def plain(self) -> dict[str, Any]:
        """As plain values for JSON; measures that no image has are left out."""
        return {
            "label": self.label,
            "method": self.method,
            "form": self.form,
            "images": self.images,
            "measures": {name: vars(moments) for name, moments in self.measures.items() if moments.count},
        }

    def mean(self, measure: str) -> float:
        """A measure's mean; NaN where there is none."""
        moments = self.measures.get(measure)
        return float("nan") if moments is None or moments.mean is None else moments.mean


def cells(rows: Sequence[DropRow], titles: Mapping[str, str]) -> tuple[list[str], list[list[str]]]:
    """The table as text: headings, and for each row its cells.

    The drop has its variance beside it, as in VS table 2. A measure that no row has is left out.

    Args:
        rows: Lines.
        titles: Heading of each measure shown, by name.
    """
    shown = {name: title for name, title in titles.items() if any(np.isfinite(row.mean(name)) for row in rows)}
    headings = ["masks", "images"]
    for name, title in shown.items():
        headings += [title, "variance"] if name == "drop" else [title]
    lines = []
    for row in rows:
        line = [row.label, str(row.images)]
        for name in shown:
            moments = row.measures.get(name)
            line.append(_text(moments and moments.mean, COUNT if name in COUNTS else SHARE))
            if name == "drop":
                line.append(_text(moments and moments.variance, VARIANCE))
        lines.append(line)
    return headings, lines


def markdown(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column to the left, numbers to the right."""
    rules = ["---", *["---:"] * (len(headings) - 1)]
    return "".join(f"| {' | '.join(line)} |\n" for line in (headings, rules, *lines))


def _text(value: float | None, spec: str) -> str:
    return MISSING if value is None else format(value, spec)
