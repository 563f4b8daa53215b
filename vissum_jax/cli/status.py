"""``vissum status``: how far a run is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vissum_jax.cli.errors import DONE, user_mistakes
from vissum_jax.cli.options import Flag, RunPlace
from vissum_jax.cli.output import one_line, print_json

if TYPE_CHECKING:
    from vissum_jax.pipeline.status import RunStatus


def status(run: RunPlace, /, *, json: Flag = False) -> int:
    """Say how far a run is: what is done, running, left and failed, by class, and how long it will take.

    It reads the folder alone and may be asked on any host, whoever works on the run. For instance:
      vissum status runs/photos

    Args:
        run: Folder of the run.
        json: Print one JSON object.
    """
    with user_mistakes():
        from vissum_jax.pipeline.status import run_status

        found = run_status(run)
    if json:
        print_json(found.plain())
    else:
        _print(found)
    return DONE


def _print(found: RunStatus) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    stages = Table(box=None, pad_edge=False)
    for heading in ("stage", "parts", "done", "running", "left", "time left"):
        stages.add_column(heading, justify="left" if heading == "stage" else "right")
    for stage in found.stages:
        counts = (stage.parts, stage.done, stage.running, stage.left)
        stages.add_row(stage.stage, *map(str, counts), _duration(stage.seconds_left))
    console.print(stages)
    classes = Table(box=None, pad_edge=False)
    for heading in ("class", "images", "done", "failed", "summaries"):
        classes.add_column(heading, justify="left" if heading in ("class", "summaries") else "right")
    for result in found.classes:
        counts = (result.images, result.done, result.failed)
        classes.add_row(escape(result.class_name), *map(str, counts), result.summaries)
    console.print()
    console.print(classes)
    for image, reason in found.failed:
        print(f"failed: {one_line(image)}: {one_line(reason)}")
    for held in found.running:
        what = "abandoned by" if held.abandoned else "held by"
        print(f"{what} {one_line(held.host)}:{held.pid}: {held.stage} part {held.part}")
    for stage, part, state in found.damaged:
        print(f"to be computed again: {stage} part {part}: {state}")
    for stage, part, error in found.errors:
        print(f"given up: {stage} part {part}: {one_line(error)}")
    print(f"Report: {found.report}" if found.finished else f"{found.done} of {found.images} images done.")


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
