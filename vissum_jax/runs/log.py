"""The event log of a run: one JSON object a line."""

from __future__ import annotations

import json
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = "log.jsonl"


def peak_memory() -> int:
    """Largest resident size of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


@dataclass(frozen=True)
class EventLog:
    """Appends events to ``log.jsonl``.

    Attributes:
        path: The file.
    """

    path: Path

    def write(self, event: str, **values: Any) -> None:
        """Append one event with the time and the process's peak memory."""
        record = {"time": time.time(), "event": event, **values, "peak_memory_bytes": peak_memory()}
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
