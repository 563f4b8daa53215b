"""Progress on standard error: bars with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import atexit
import sys
import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_SECONDS_BETWEEN_LINES = 10.0


class TerminalProgress:
    """A bar per stage, with the time left; see `vissum_jax.pipeline.progress.Progress`."""

    def __init__(self) -> None:
        """Start with no bar."""
        self._bars = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        # A command that ends in the middle of a stage gives the terminal its cursor back.
        atexit.register(self._bars.stop)
        self._task = None

    def start(self, stage: str, total: int) -> None:
        """Show a bar."""
        self._bars.start()
        self._task = self._bars.add_task(stage, total=total)

    def advance(self, count: int) -> None:
        """Move the bar."""
        if self._task is not None:
            self._bars.advance(self._task, count)

    def finish(self) -> None:
        """Leave the bar as it is and release the terminal."""
        self._bars.stop()
        # Else the next stage would draw this one's bar once more.
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None


class LineProgress:
    """A line every few seconds, for logs and pipes."""

    def __init__(self) -> None:
        """Start with no stage."""
        self._stage, self._total, self._done = "", 0, 0
        self._began = self._spoke = 0.0

    def start(self, stage: str, total: int) -> None:
        """Begin a stage."""
        self._stage, self._total, self._done = stage, total, 0
        self._began = self._spoke = time.monotonic()

    def advance(self, count: int) -> None:
        """Say how far it is, if it has been quiet for a while."""
        self._done += count
        now = time.monotonic()
        if now - self._spoke >= _SECONDS_BETWEEN_LINES and 0 < self._done < self._total:
            left = (now - self._began) / self._done * (self._total - self._done)
            self._say(f"{self._done}/{self._total}, about {left:.0f} s left")
            self._spoke = now

    def finish(self) -> None:
        """Say how long the stage took."""
        self._say(f"{self._done}/{self._total} in {time.monotonic() - self._began:.1f} s")

    def _say(self, text: str) -> None:
        print(f"{self._stage}: {text}", file=sys.stderr, flush=True)


def make_progress() -> TerminalProgress | LineProgress:
    """What suits standard error."""
    return TerminalProgress() if sys.stderr.isatty() else LineProgress()
