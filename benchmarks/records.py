"""Results kept: a row a measurement in `benchmarks/results/<device>.csv`, with all that tells where it comes from."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"

COLUMNS: tuple[str, ...] = (
    "measured",
    "commit",
    "device",
    "cores",
    "versions",
    "case",
    "metric",
    "value",
    "unit",
    "peer",
    "ratio",
    "low",
    "high",
    "seconds",
    "seconds_low",
    "seconds_high",
    "batch",
    "compile_seconds",
    "peak_bytes",
    "recompilations",
    "share_of_peak",
    "share_of_bandwidth",
    "note",
)
"""What was measured when and with what; the row as benchmarks print it; how it was measured. Empty where unknown."""


def device_file(where: Mapping[str, Any], folder: Path) -> Path:
    """The file of a device: its kind in small letters; processors also tell how many cores there were."""
    count, _, name = where["device"].partition(" x ")
    kind = re.sub(r"\W+", "_", name.rsplit(" (", 1)[0].lower()).strip("_")
    number = f"{where['cores']}_cores" if kind == "cpu" else "" if count == "1" else f"{count}_devices"
    return folder / f"{'_'.join(filter(None, (kind, number)))}.csv"


def append(path: Path, rows: Iterable[Mapping[str, Any]], where: Mapping[str, Any], measured: str) -> None:
    """Append rows, after a heading if the file is new.

    Raises:
        ValueError: If the file has other columns, or a row has a value that no column holds.
    """
    about = {
        "measured": measured,
        "versions": "; ".join(f"{name} {version}" for name, version in where["versions"].items()),
        **{name: where[name] for name in ("commit", "device", "cores")},
    }
    new = not path.exists()
    if not new:
        with path.open(newline="", encoding="utf-8") as file:
            found = next(csv.reader(file), [])
        if found != list(COLUMNS):
            raise ValueError(f"{str(path)!r} has other columns; move it away.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if new:
            writer.writeheader()
        for row in rows:
            writer.writerow(about | {name: _short(value) for name, value in row.items()})


def _short(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value
