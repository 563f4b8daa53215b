"""A worker: takes parts of a run, computes and commits them, until nothing is left.

This is all that a process on any host does, whoever started it; several share a run through its folder.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vissum_jax.pipeline.progress import Progress
from vissum_jax.pipeline.run import Run, open_run
from vissum_jax.pipeline.stages import mask_stage, summary_stage
from vissum_jax.runs.engine import Tally, never, worker_name
from vissum_jax.runs.manifest import load_manifest
from vissum_jax.runs.place import open_place
from vissum_jax.runs.store import PartStore


@dataclass(frozen=True)
class Left:
    """Parts of a run that are not done.

    Attributes:
        masks: Mask parts.
        summaries: Classes.
    """

    masks: int
    summaries: int

    def __bool__(self) -> bool:
        """Whether there is anything left."""
        return bool(self.masks or self.summaries)

    def plain(self) -> dict[str, int]:
        """As plain values for JSON."""
        return dataclasses.asdict(self)

    def words(self) -> str:
        """For people."""
        return f"{self.masks} mask part(s) and the summaries of {self.summaries} class(es)"


def work_on(
    folder: Path | str, progress: Progress, *, batch_size: int | None = None, stop: Callable[[], bool] = never
) -> Left:
    """Open a run that was started before and work on it; see `work` and `open_run`."""
    return work(open_run(folder), progress, batch_size=batch_size, stop=stop)


def work(run: Run, progress: Progress, *, batch_size: int | None = None, stop: Callable[[], bool] = never) -> Left:
    """Work on a run's masks, then on its summaries, beside any other workers, until all are done.

    Args:
        run: The run.
        progress: Shows the progress.
        batch_size: Images on the device at once; None for what suits it.
        stop: Asked before each part whether to leave the rest.

    Returns:
        What is left, if `stop` said so.
    """
    began = time.perf_counter()
    masks = mask_stage(run, progress, batch_size=batch_size, stop=stop)
    if masks.left:
        summaries = Tally(0, 0, sum(not run.summaries.done(index) for index in run.manifest.classes))
    else:
        summaries = summary_stage(run, progress, batch_size=batch_size, stop=stop)
    left = Left(masks.left, summaries.left)
    if masks.parts or summaries.parts:
        run.log.write(
            "end",
            worker=worker_name(),
            seconds=round(time.perf_counter() - began, 3),
            mask_parts=masks.parts,
            images=masks.rows,
            classes=summaries.parts,
            left=left.plain(),
        )
    return left


class Watch:
    """Shows how far the workers of a run are, from its folder."""

    def __init__(self, folder: Path | str, progress: Progress) -> None:
        """Begin to watch; progress counts images, then classes."""
        storage = open_place(folder)
        manifest = load_manifest(storage)
        shards = {number: end - start for number, (start, end) in enumerate(manifest.shards)}
        self._progress = progress
        self._stages = [
            ("masks", PartStore(storage.within("masks")), shards),
            ("summaries", PartStore(storage.within("summaries")), dict.fromkeys(manifest.classes, 1)),
        ]
        self._begun = False

    def look(self) -> None:
        """Look once; a stage is shown once the one before it is done."""
        while self._stages:
            stage, store, pending = self._stages[0]
            if not self._begun:
                self._progress.start(stage, sum(pending.values()))
                self._begun = True
            for number in [number for number in pending if store.done(number)]:
                self._progress.advance(pending.pop(number))
            if pending:
                return
            self._end_stage()

    def finish(self) -> Left:
        """Look once more, end the stage that is shown, and say what is left."""
        self.look()
        left = {stage: len(pending) for stage, _, pending in self._stages}
        if self._begun:
            self._end_stage()
        return Left(left.get("masks", 0), left.get("summaries", 0))

    def _end_stage(self) -> None:
        self._progress.finish()
        self._stages.pop(0)
        self._begun = False
