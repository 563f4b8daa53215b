"""How long work takes to say so: stages report to whatever shows it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the progress of stages; `vissum_jax.cli.progress` shows it on a terminal."""

    def start(self, stage: str, total: int) -> None:
        """A stage begins; `total` units of work in all."""
        ...

    def advance(self, count: int) -> None:
        """Units of work of the current stage are done."""
        ...

    def finish(self) -> None:
        """The current stage is done."""
        ...


class Silent:
    """Shows nothing."""

    def start(self, stage: str, total: int) -> None:
        """Pass over."""

    def advance(self, count: int) -> None:
        """Pass over."""

    def finish(self) -> None:
        """Pass over."""
