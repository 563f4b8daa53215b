"""The event log of a run: one JSON object a line."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

FILE = "log.jsonl"


def peak_memory() -> int:
    """Largest resident size of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def event_record(event: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """An event with the time and the process's peak memory."""
    return {"time": time.time(), "event": event, **values, "peak_memory_bytes": peak_memory()}


def parse_event(data: bytes) -> dict[str, Any] | None:
    """An event; None for what is no whole one."""
    try:
        record = json.loads(data)
    except (json.JSONDecodeError, UnicodeDecodeError):
        return None
    return record if isinstance(record, dict) and "event" in record else None


class Log(Protocol):
    """Where workers write what happens."""

    def write(self, event: str, **values: Any) -> None:
        """Add one event with the time and the process's peak memory."""
        ...

    def events(self) -> Iterator[dict[str, Any]]:
        """All events, the earliest first; what is no whole event is passed over."""
        ...


@dataclass(frozen=True)
class EventLog:
    """Appends events to ``log.jsonl``; several processes may.

    Attributes:
        path: The file.
    """

    path: Path

    def write(self, event: str, **values: Any) -> None:
        """Append one event with the time and the process's peak memory."""
        line = json.dumps(event_record(event, values), ensure_ascii=False).encode() + b"\n"
        with open(self.path, "a+b", buffering=0) as file:
            # What a full disk cut off keeps its line to itself.
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                line = line if file.read(1) == b"\n" else b"\n" + line
            file.write(line)  # in one piece, so that the events of several processes do not mix

    def events(self) -> Iterator[dict[str, Any]]:
        """All events; what is no whole event is passed over."""
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return
        yield from filter(None, map(parse_event, lines))
