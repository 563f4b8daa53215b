"""SIGTERM asks a command to finish the part that it is at, to commit it, and to say what is left."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Whether the command was asked to stop."""

    def __init__(self) -> None:
        """Not yet."""
        self._asked = False

    def __call__(self) -> bool:
        """Whether it was."""
        return self._asked

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Ask; as a signal's handler. A scheduler may send its signal several times: once is enough."""
        self._asked = True


@contextmanager
def stopping() -> Iterator[Stop]:
    """While a command works part by part: SIGTERM does not end it, but asks it to stop."""
    stop = Stop()
    before = signal.signal(signal.SIGTERM, stop.ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, before)
