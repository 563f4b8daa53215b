"""Once more for the photographs of a run on which the work failed, and for nothing else."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from vissum_jax.pipeline.memory import search_batch_size
from vissum_jax.pipeline.progress import Progress
from vissum_jax.pipeline.run import Run
from vissum_jax.pipeline.stages import FAILED, describe_masks, find_masks
from vissum_jax.runs.engine import never, worker_name
from vissum_jax.runs.leases import LeaseConfig, Leases


@dataclass(frozen=True)
class Retried:
    """What came of it.

    Attributes:
        images: Photographs tried again.
        recovered: Those that did not fail this time.
        classes: Their classes, whose summaries have to be found again.
    """

    images: int
    recovered: int
    classes: tuple[int, ...]


def retry_stage(
    run: Run, progress: Progress, *, batch_size: int | None = None, stop: Callable[[], bool] = never
) -> Retried:
    """Find the masks of photographs that could not be read or broke the network; other rows stay as they are.

    The summaries of a class that gains a photograph are discarded, before its new row counts: whatever stops this,
    no summary is left that does not follow from the masks.

    Args:
        run: The run; parts that are not done are passed over.
        progress: Shows the progress.
        batch_size: Images searched at once on each device; None for what suits it.
        stop: Asked before each part whether to leave the rest.
    """
    todo = {
        number: failed
        for number in range(len(run.manifest.shards))
        if run.masks.done(number) and (failed := _failed(run.masks.read(number)))
    }
    size = batch_size or (search_batch_size(run.classifier, run.config.masks) if todo else 1)
    tried = recovered = 0
    classes: set[int] = set()
    progress.start("retry", sum(map(len, todo.values())))
    with Leases(run.masks.storage, LeaseConfig()) as parts, Leases(run.summaries.storage, LeaseConfig()) as summaries:
        for number in todo:
            if stop():
                break
            with parts.wait(run.masks.name(number)) as lease:
                before = run.masks.read(number)
                rows = _failed(before)  # once more, now that nobody else changes them
                start, _ = run.manifest.shards[number]
                found = find_masks(run, [run.source.entries[start + row] for row in rows], progress, batch_size=size)
                still = set(_failed(found))
                gained = {found["class_index"][row].as_py() for row in range(len(rows)) if row not in still}
                tried, recovered = tried + len(rows), recovered + len(rows) - len(still)
                if gained or not found.equals(before.take(rows)):
                    with ExitStack() as held:
                        for index in sorted(gained):  # in one order everywhere, so that nobody waits in a circle
                            held.enter_context(summaries.wait(run.summaries.name(index)))
                            run.summaries.discard(index)
                        if lease.held():
                            run.masks.commit(number, _replaced(before, rows, found))
                            classes |= gained
                run.log.write("retry", part=number, rows=len(rows), worker=worker_name(), **describe_masks(found))
    progress.finish()
    return Retried(tried, recovered, tuple(sorted(classes)))


def _failed(table: pa.Table) -> list[int]:
    return [row for row, status in enumerate(table["status"].to_pylist()) if status in FAILED]


def _replaced(table: pa.Table, rows: list[int], found: pa.Table) -> pa.Table:
    """A table with some of its rows replaced, in their places."""
    order = np.arange(len(table))
    order[rows] = len(table) + np.arange(len(rows))
    return pa.concat_tables([table, found], promote_options="default").take(order).combine_chunks()
