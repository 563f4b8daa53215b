"""``vissum evaluate counts``: numbers of summaries against accuracy, over several networks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import tyro

from vissum_jax.cli.errors import DONE, running, user_mistakes
from vissum_jax.cli.options import Flag, optional
from vissum_jax.cli.output import print_json

_Runs = Annotated[
    tuple[Path, ...],
    tyro.conf.Positional,
    tyro.conf.arg(metavar="RUN [RUN ..]", help_behavior_hint="(required)"),
]


def counts(
    runs: _Runs,
    /,
    *,
    out: Annotated[Path | None, optional("DIR")] = None,
    json: Flag = False,
) -> int:
    """Put the numbers of summaries of several networks beside their accuracy.

    The mean number of kept summaries a class, on the classes that all runs share; the known top-1 accuracy of each
    network, and that on the run's own photographs; from three runs on the rank correlation of the two.

    For instance:
      vissum evaluate counts runs/squeezenet runs/googlenet runs/lite0 runs/lite1
      vissum evaluate counts runs/* --out counts --json

    Args:
        runs: Folders of runs whose summaries are done.
        out: Folder for counts.json, counts.md and counts.png; nothing is written by default.
        json: Print one JSON object instead of a table.
    """
    began = time.perf_counter()
    with user_mistakes():
        from vissum_jax.pipeline.evaluate_counts import counts_markdown, evaluate_counts, read_counts, write_counts

        if not runs:
            raise ValueError("name the folder of at least one run.")
        counted = read_counts(runs)
    with running():
        values = evaluate_counts(counted)
        if out is not None:
            write_counts(values, out)
    place = None if out is None else str(out)
    if json:
        print_json({**values, "evaluation": place, "seconds": round(time.perf_counter() - began, 1)})
        return DONE
    print(counts_markdown(values), end="")
    if place is not None:
        print(f"Evaluation: {place}")
    return DONE
