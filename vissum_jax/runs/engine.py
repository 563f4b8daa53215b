"""Works through the parts of a stage that are not done yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pyarrow as pa

from vissum_jax.runs.log import EventLog
from vissum_jax.runs.store import PartStore


def finish_parts(
    stage: str,
    store: PartStore,
    numbers: Iterable[int],
    work: Callable[[int], pa.Table],
    log: EventLog,
    *,
    describe: Callable[[pa.Table], Mapping[str, Any]],
    on_done: Callable[[int], object] = lambda number: None,
) -> None:
    """Compute and commit every part that is not done; a part that is done is passed over.

    Args:
        stage: Name for the log.
        store: Where the parts live.
        numbers: Parts of the stage.
        work: Computes a part.
        log: Gets one event a part.
        describe: What the log says of a part's rows.
        on_done: Called with the number of a part that was done before.
    """
    for number in numbers:
        if store.done(number):
            on_done(number)
            continue
        start = time.perf_counter()
        table = work(number)
        store.commit(number, table)
        log.write(
            stage,
            part=number,
            rows=table.num_rows,
            seconds=round(time.perf_counter() - start, 3),
            **describe(table),
        )
