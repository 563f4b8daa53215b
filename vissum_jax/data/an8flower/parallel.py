"""Many pictures of the data set, rendered by several processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

from vissum_jax.data.an8flower.annotated import FlowerImage, write_annotated
from vissum_jax.data.an8flower.config import FlowerConfig

_IMAGES_AT_ONCE = 8  # by one process, so that asking for the next ones costs little


def write_all(
    images: Sequence[FlowerImage], out: Path, config: FlowerConfig, *, processes: int
) -> Iterator[list[dict[str, Any]]]:
    """Write every picture with its truth, unless it is there already; see `write_annotated`.

    Args:
        images: Which pictures.
        out: The data set's folder.
        config: Size and ranges of the variation.
        processes: How many render at once; 1 is this one.

    Yields:
        The COCO annotations of each picture, in order.

    Raises:
        OSError: A file cannot be written, or a process died.
    """
    work = partial(write_annotated, out=out, config=config)
    if processes == 1:
        yield from map(work, images)
        return
    # Processes begun afresh: the threads of this one do not survive a fork.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_end_with_parent)
    try:
        # They inherit what is blocked: the terminal's break is for this process alone, which ends them.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            written = pool.map(work, images, chunksize=_IMAGES_AT_ONCE)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        yield from written
    except BrokenProcessPool as error:
        raise ChildProcessError("a process that renders died") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """In a process of the pool: end when the one that started it is gone, as nobody will ask for anything then."""
    parent = multiprocessing.parent_process()
    if parent is None:
        raise RuntimeError("this is no process of a pool.")

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
