"""Rows of a user's CSV file, with the words for what is wrong with it."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any


def csv_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows by column, each with where it stands, for messages: the file and the line.

    Args:
        path: A file in UTF-8, with or without a byte order mark.
        columns: What the first line must name; it may name more.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not CSV, or a column is missing.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            missing = [column for column in columns if column not in (reader.fieldnames or ())]
            if missing:
                raise ValueError(f"{path}: no column {missing[0]!r}; needed are {', '.join(columns)}.")
            for row in reader:
                yield f"{path}, line {reader.line_num}", row
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a CSV file in UTF-8: {error}.") from error
