"""Works through the parts of a stage that are not done yet, beside any number of other workers."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from vissum_jax.runs.leases import LeaseConfig, Leases
from vissum_jax.runs.log import Log
from vissum_jax.runs.store import PartState, PartStore


class Tally(NamedTuple):
    """What a worker did of a stage.

    Attributes:
        parts: Parts that it committed.
        rows: Their rows.
        left: Parts of the stage that are not done: none, unless it was told to stop.
    """

    parts: int
    rows: int
    left: int


def never() -> bool:
    """Nobody asks to stop."""
    return False


def worker_name() -> str:
    """What the log calls this process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def finish_parts(
    stage: str,
    store: PartStore,
    numbers: Iterable[int],
    work: Callable[[int], pa.Table],
    log: Log,
    *,
    describe: Callable[[pa.Table], Mapping[str, Any]],
    on_done: Callable[[int], object] = lambda number: None,
    stop: Callable[[], bool] = never,
    config: LeaseConfig | None = None,
) -> Tally:
    """Compute and commit every part that is not done, until all are; a part that is done is passed over.

    Workers share a stage by leases. One that finds nothing free waits: the parts of a worker that dies become free.

    Args:
        stage: Name for the log.
        store: Where the parts live.
        numbers: Parts of the stage.
        work: Computes a part.
        log: Gets one event a part, and one for whatever was found damaged, failed or was lost to another worker.
        describe: What the log says of a part's rows.
        on_done: Called with the number of a part that was done before, or by another worker.
        stop: Asked before each part whether to leave the rest.
        config: Times of leases.
    """
    config = config or LeaseConfig()
    parts = rows = 0
    pending = list(numbers)
    with Leases(store.storage, config) as leases:

        def settle(number: int) -> bool:
            """Whether a part is done now; works on it if it is free."""
            nonlocal parts, rows
            if store.done(number):
                on_done(number)
                return True
            lease = leases.take(store.name(number))
            if lease is None:
                return False
            with lease:
                state = store.state(number)  # once more: its last holder may have finished it before it was free
                if state is PartState.DONE:
                    on_done(number)
                    return True
                if state is not PartState.MISSING:
                    log.write("damaged", stage=stage, part=number, found=str(state), worker=worker_name())
                start = time.perf_counter()
                try:
                    table = work(number)
                    if not lease.held():
                        log.write("lost", stage=stage, part=number, worker=worker_name())
                        return False
                    store.commit(number, table)
                except Exception as error:
                    with contextlib.suppress(OSError):  # a full disk has no room for the event; the error goes on
                        log.write("failed", stage=stage, part=number, error=repr(error), worker=worker_name())
                    raise
                seconds = time.perf_counter() - start
                log.write(
                    stage,
                    part=number,
                    rows=table.num_rows,
                    seconds=round(seconds, 3),
                    rows_per_second=round(table.num_rows / seconds, 3),
                    worker=worker_name(),
                    **describe(table),
                )
                parts, rows = parts + 1, rows + table.num_rows
                return True

        while pending and not stop():
            left = [number for number in pending if stop() or not settle(number)]
            if left == pending and not stop():
                leases.pause()
            pending = left
    return Tally(parts, rows, sum(not store.done(number) for number in pending))
