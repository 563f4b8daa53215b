"""Where objects and their parts are in photographs: boxes and points, in pixels of the original files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Float

from vissum_jax.data.csv_rows import csv_rows
from vissum_jax.data.folder import EXTENSIONS

_BOX_COLUMNS = ("x", "y", "w", "h")
_POINT_COLUMNS = ("x", "y")
_ANNOTATION = ".xml"


@dataclass(frozen=True)
class Annotations:
    """Numbers by photograph, a row each: boxes (x, y, width, height) or points (x, y).

    Attributes:
        rows: By the file's path without its extension, as the annotations call it.
    """

    rows: Mapping[PurePosixPath, Float[np.ndarray, "k c"]]

    def of(self, image: str) -> Float[np.ndarray, "k c"] | None:
        """What is annotated in a photograph; None where nothing is.

        Annotations and runs name a file relative to different folders, or by its name alone: two paths mean
        the same file when one is the end of the other.
        """
        path = _without_extension(image)
        candidates = [name for name in self._by_stem.get(path.name, []) if _is_end(name, path)]
        return self.rows[max(candidates, key=lambda name: len(name.parts))] if candidates else None

    @cached_property
    def _by_stem(self) -> dict[str, list[PurePosixPath]]:
        by_stem: dict[str, list[PurePosixPath]] = defaultdict(list)
        for name in self.rows:
            by_stem[name.name].append(name)
        return by_stem


def read_boxes(path: Path | str) -> Annotations:
    """Boxes of objects: a CSV file with the columns file, x, y, w, h, or a folder of PASCAL VOC's XML files.

    An XML file is named after its photograph; what it says of the name itself is not always so.

    Raises:
        FileNotFoundError: If there is neither.
        ValueError: If a file is not what it should be; names it, and its line.
    """
    path = Path(path)
    if not path.is_dir():
        return _read_csv(path, _BOX_COLUMNS)
    found = (box for file in sorted(path.rglob("*")) if file.is_file() for box in _pascal_boxes(file))
    boxes = by_photograph(found)
    if not boxes:
        raise ValueError(f"{str(path)!r} holds no annotated box.")
    return Annotations(boxes)


def read_parts(path: Path | str) -> Annotations:
    """Centres of the visible parts: a CSV file with the columns file, x, y, a row a part.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not such a table; names the line.
    """
    return _read_csv(Path(path), _POINT_COLUMNS)


def _read_csv(path: Path, columns: tuple[str, ...]) -> Annotations:
    try:
        rows = csv_rows(path, ("file", *columns))
        return Annotations(
            by_photograph((row["file"], finite_numbers(map(row.get, columns), where)) for where, row in rows)
        )
    except FileNotFoundError:
        raise FileNotFoundError(f"No annotations {str(path)!r}.") from None


def _pascal_boxes(path: Path) -> Iterable[tuple[str, list[float]]]:
    try:
        root = ElementTree.fromstring(path.read_bytes())
    except ElementTree.ParseError as error:
        raise ValueError(f"{path} is not XML: {error}.") from error
    for box in root.iterfind("object/bndbox"):
        corners = (box.findtext(name) for name in ("xmin", "ymin", "xmax", "ymax"))
        left, top, right, bottom = finite_numbers(corners, str(path))
        yield path.name, [left, top, right - left, bottom - top]


def finite_numbers(texts: Iterable[str | None], where: str) -> list[float]:
    """Numbers from a file's texts; ValueError, which says `where`, if one is none."""
    texts = list(texts)
    try:
        numbers = [float(text or "") for text in texts]
    except ValueError:
        raise ValueError(f"{where}: needs numbers, got {texts}.") from None
    if not np.all(np.isfinite(numbers)):
        raise ValueError(f"{where}: needs finite numbers, got {texts}.")
    return numbers


def by_photograph(rows: Iterable[tuple[str, list[float]]]) -> dict[PurePosixPath, Float[np.ndarray, "k c"]]:
    """Rows of numbers by the file that they belong to, its extension left out."""
    by_file: dict[PurePosixPath, list[list[float]]] = defaultdict(list)
    for file, numbers in rows:
        by_file[_without_extension(file)].append(numbers)
    return {file: np.array(numbers) for file, numbers in by_file.items()}


def _without_extension(image: str) -> PurePosixPath:
    """A path without a picture's or an annotation's extension; other dots belong to the name."""
    path = PurePosixPath(image)
    return path.with_suffix("") if path.suffix.lower() in {*EXTENSIONS, _ANNOTATION} else path


def _is_end(first: PurePosixPath, second: PurePosixPath) -> bool:
    shorter = min(len(first.parts), len(second.parts))
    return first.parts[-shorter:] == second.parts[-shorter:]
