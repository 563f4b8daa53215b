"""Downloads of weights, shown in megabytes."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

from vissum_jax.cli.errors import FAILED, stop
from vissum_jax.cli.progress import make_progress

if TYPE_CHECKING:
    from vissum_jax.pipeline.progress import Progress

_MEGABYTE = 10**6


class Megabytes:
    """Passes a download's bytes on as whole megabytes; see `vissum_jax.models.transfer.TransferProgress`."""

    def __init__(self, progress: Progress, announcement: str) -> None:
        """Pass on to `progress`, after a line that says what is going on."""
        self._progress = progress
        self._announcement = announcement
        self._total = self._bytes = self._told = 0

    def start(self, stage: str, total: int) -> None:
        """A connection begins."""
        if self._announcement:
            print(self._announcement, file=sys.stderr, flush=True)
            self._announcement = ""
        self._total, self._bytes, self._told = total, 0, 0
        self._progress.start(f"{stage}, MB" if total > 1 else stage, math.ceil(total / _MEGABYTE))

    def advance(self, count: int) -> None:
        """Bytes are here."""
        self._bytes += count
        whole = math.ceil(self._bytes / _MEGABYTE) if self._bytes >= self._total else self._bytes // _MEGABYTE
        if whole > self._told:
            self._progress.advance(whole - self._told)
            self._told = whole

    def finish(self) -> None:
        """The connection ended."""
        self._progress.finish()


def have_default_weights(model: str, weights: object) -> None:
    """Download a network's weights, saying so, if none are named and none are here.

    A download that fails ends the command: nothing is wrong with what the user asked for, but it cannot be had.

    Raises:
        ValueError: If the network is unknown.
    """
    from vissum_jax.models import fetch_weights
    from vissum_jax.models.download import DownloadError
    from vissum_jax.models.registry import find_architecture
    from vissum_jax.models.weights import WeightsState, locate_weights

    if weights is not None or ":" in model:
        return
    place = locate_weights(find_architecture(model))
    if place.state is WeightsState.DOWNLOAD:
        announcement = f"Downloading the weights of {model}: {place.url} to {place.path}"
        try:
            fetch_weights(model, progress=Megabytes(make_progress(), announcement))
        except DownloadError as error:
            stop(f"error: {error}", FAILED)
