"""A worker over parts that need no network, in a process of its own that can be told when to die.

    python -m batch_worker FOLDER [--parts N] [--seconds S] [--kill POINT] [--file-limit BYTES]

A part is so many rows of noise drawn from its number, so that whatever is lost, doubled or mixed shows.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from vissum_jax.runs import store as store_module
from vissum_jax.runs.engine import Tally, finish_parts
from vissum_jax.runs.leases import Lease, LeaseConfig
from vissum_jax.runs.log import EventLog
from vissum_jax.runs.place import open_log, open_place
from vissum_jax.runs.store import LocalFolder, PartStore

CONFIG = LeaseConfig(heartbeat=0.1, expiry=5.0, poll=0.02)
VICTIM = 1
"""The part at which a process that is told to dies."""

POINTS = (
    "before its lease",
    "after its lease",
    "during its work",
    "while the part is written",
    "before the part's name",
    "after the part's name",
    "while the marker is written",
    "before the marker's name",
    "after the marker's name",
    "before its event",
    "after its event",
    "before its lease is given back",
    "after its lease is given back",
)


def rows_of(number: int) -> pa.Table:
    """The rows that a part must hold."""
    noise = np.random.default_rng(number).bytes(4000)
    return pa.table({"number": [number] * 40, "noise": [noise[100 * row : 100 * (row + 1)] for row in range(40)]})


def finish(folder: Path | str, parts: int, seconds: float = 0.0, **options) -> Tally:
    """Work on a stage until all of it is done."""

    def work(number: int) -> pa.Table:
        time.sleep(seconds)
        return rows_of(number)

    storage = open_place(folder)
    return finish_parts(
        "masks",
        PartStore(storage.within("masks")),
        range(parts),
        options.pop("work", work),
        open_log(storage),
        describe=lambda table: {},
        config=options.pop("config", CONFIG),
        **options,
    )


def serve(folder: str, parts: int, seconds: float, what: str, stop) -> int:
    """What a worker on a cluster does."""
    if what == "fail":
        raise MemoryError("no room at all")
    if what == "kill":  # nobody begins before another is there, so that both have parts when one dies
        (Path(folder) / f"here-{os.getpid()}").touch()
        while len(list(Path(folder).glob("here-*"))) < 2:
            time.sleep(0.05)
    finish(folder, parts, seconds, stop=stop)
    return 0


def events(folder: Path) -> list[dict]:
    """The log's events of parts that were computed."""
    return [event for event in EventLog(folder / "log.jsonl").events() if event["event"] == "masks"]


def die() -> None:
    """As if the power went."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(point: str) -> None:
    """Patch this process so that it dies at a point of its work on `VICTIM`."""
    name = PartStore.name(VICTIM)
    part, marker = f"{name}.parquet", f"{name}.done"

    def around(owner, function: str, concerns, *, after: bool) -> None:
        original = getattr(owner, function)

        def patched(*arguments, **options):
            hit = concerns(*arguments, **options)
            if hit and not after:
                die()
            result = original(*arguments, **options)
            if hit:
                die()
            return result

        setattr(owner, function, patched)

    def lease(storage, file, *rest) -> bool:
        return file.startswith(f"{name}.lease")

    def written(file):
        return lambda handle: os.path.basename(os.readlink(f"/proc/self/fd/{handle}")).startswith(f".{file}.")

    def named(file):
        return lambda source, target: Path(target).name == file

    def event(log, event, **values) -> bool:
        return event == "masks" and values["part"] == VICTIM

    def released(held) -> bool:
        return held.file.startswith(f"{name}.lease")

    owner, function, concerns = {
        "its lease": (LocalFolder, "create", lease),
        "the part is written": (store_module.os, "fsync", written(part)),
        "the part's name": (store_module.os, "replace", named(part)),
        "the marker is written": (store_module.os, "fsync", written(marker)),
        "the marker's name": (store_module.os, "replace", named(marker)),
        "its event": (EventLog, "write", event),
        "its lease is given back": (Lease, "release", released),
    }[point.split(" ", 1)[1]]
    around(owner, function, concerns, after=point.startswith("after"))


def main() -> None:
    """Work, as the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--parts", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--kill", choices=POINTS)
    parser.add_argument("--file-limit", type=int)
    options = parser.parse_args()
    work = {}
    if options.kill == "during its work":
        work["work"] = lambda number: die() if number == VICTIM else rows_of(number)
    elif options.kill:
        die_at(options.kill)
    if options.file_limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (options.file_limit, options.file_limit))
    print("works", flush=True)
    finish(options.folder, options.parts, options.seconds, **work)


if __name__ == "__main__":
    main()
