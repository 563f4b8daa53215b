"""Rows of one method, part by part on disk: a comparison that is stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from vissum_jax._version import __version__
from vissum_jax.pipeline.progress import Progress
from vissum_jax.runs.engine import finish_parts
from vissum_jax.runs.log import Log
from vissum_jax.runs.store import PartStore

SHARD_SIZE = 16
"""Least images of a part: what is computed again, at most, after a break."""


def finish_method(
    folder: Path,
    name: str,
    work: Callable[[slice], pa.Table],
    *,
    units: Int[np.ndarray, " n"],
    batch_size: int,
    decisive: Mapping[str, Any],
    log: Log,
    progress: Progress,
) -> pa.Table:
    """All rows of a method; the parts that are there are not computed again.

    Args:
        folder: Where the parts of all methods live.
        name: The method's.
        work: Computes the rows of some of the images.
        units: Work that each image is, as the progress counts it.
        batch_size: Images at once: parts are no smaller.
        decisive: All that the rows follow from. It goes into the name of the parts' folder, so that no row of other
            masks or constants is taken.
        log: Gets one event a part.
        progress: Shows the method as a stage; `work` advances it.
    """
    size, images = max(SHARD_SIZE, batch_size), len(units)
    shards = [slice(start, min(start + size, images)) for start in range(0, images, size)]
    everything = {"version": __version__, "method": name, "images": images, "size": size, **decisive}
    key = hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()
    store = PartStore(folder / f"{name}-{key[:12]}")
    progress.start(name, int(units.sum()))
    finish_parts(
        "compare_masks",
        store,
        range(len(shards)),
        lambda number: work(shards[number]),
        log,
        describe=lambda table: {"method": name},
        on_done=lambda number: progress.advance(int(units[shards[number]].sum())),
    )
    progress.finish()
    return pa.concat_tables([store.read(number) for number in range(len(shards))])
