"""Annotated parts by name: where each part that a photograph shows has its centre, in the original's pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from vissum_jax.data.annotations import Annotations, by_photograph, finite_numbers
from vissum_jax.data.csv_rows import csv_rows

_COLUMNS = ("file", "part", "x", "y")
_SIDES = ("left ", "right ")


@dataclass(frozen=True)
class PartPoints:
    """Centres of the visible parts of photographs.

    Attributes:
        names: Names of the parts.
        rows: (number of the part, x, y) by photograph.
    """

    names: tuple[str, ...]
    rows: Annotations

    def of(self, image: str) -> tuple[Int[np.ndarray, " k"], Float[np.ndarray, "k 2"]] | None:
        """Parts of a photograph and their centres; None where nothing is annotated (see `Annotations.of`)."""
        found = self.rows.of(image)
        return None if found is None else (found[:, 0].astype(int), found[:, 1:])


def read_part_points(path: Path | str, *, merge_sides: bool = False) -> PartPoints:
    """Centres of the visible parts: a CSV file with the columns file, part, x, y, a row a part.

    Args:
        path: The file.
        merge_sides: Whether "left X" and "right X" are one part, X. By default a part is what the file calls one.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not such a table; names the line.
    """
    path = Path(path)
    numbers: dict[str, int] = {}
    rows: list[tuple[str, list[float]]] = []
    try:
        for where, row in csv_rows(path, _COLUMNS):
            name = " ".join((row["part"] or "").split())
            if not name:
                raise ValueError(f"{where}: needs the name of a part, got {row['part']!r}.")
            if merge_sides:
                name = _without_side(name)
            number = numbers.setdefault(name, len(numbers))
            rows.append((row["file"], [number, *finite_numbers((row["x"], row["y"]), where)]))
    except FileNotFoundError:
        raise FileNotFoundError(f"No annotations {str(path)!r}.") from None
    return PartPoints(names=tuple(numbers), rows=Annotations(by_photograph(rows)))


def _without_side(name: str) -> str:
    for side in _SIDES:
        if name.lower().startswith(side):
            return name[len(side) :]
    return name
