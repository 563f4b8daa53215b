"""The comparison of a run's masks with those of other methods, as files beside the run and on its page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

FOLDER = "evaluation"
DROP_VALUES, DROP_TABLE, DROP_PLOT = "drop.json", "drop.md", "drop.png"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A table and a plot.

    Attributes:
        images: Photographs compared.
        headings: Of the table.
        lines: Its cells, as text.
        plot: A PNG file.
    """

    images: int
    headings: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    plot: bytes


def read_evaluation(run: Path, fingerprint: str) -> Evaluation | None:
    """What `vissum evaluate drop` left in a RUN folder.

    Args:
        run: The folder.
        fingerprint: Of the run's configuration: results of another one are not shown.

    Returns:
        None where there is nothing, or nothing of this configuration.
    """
    folder = run / FOLDER
    try:
        values = json.loads((folder / DROP_VALUES).read_text(encoding="utf-8"))
        plot = (folder / DROP_PLOT).read_bytes()
    except FileNotFoundError:
        return None
    if values["fingerprint"] != fingerprint:
        return None
    table = values["table"]
    return Evaluation(
        images=values["images"],
        headings=tuple(table["headings"]),
        lines=tuple(tuple(line) for line in table["lines"]),
        plot=plot,
    )
