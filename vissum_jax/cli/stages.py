"""``vissum masks | summarize | report``: the stages of a run that was started before."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from vissum_jax.cli.errors import DONE, check_batch_size, running, user_mistakes
from vissum_jax.cli.options import Flag, optional
from vissum_jax.cli.output import print_json, print_summaries
from vissum_jax.cli.progress import make_progress
from vissum_jax.cli.stopping import stopping
from vissum_jax.cli.worker import say_stopped

RunFolder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]


def masks(run: RunFolder, /, *, batch_size: Annotated[int | None, optional("N")] = None, json: Flag = False) -> int:
    """Finish the masks of a run.

    For instance:
      vissum masks runs/photos

    Args:
        run: Folder of the run.
        batch_size: Images searched at once; by default what suits the device.
        json: Print one JSON object.
    """
    with stopping() as stop:
        with user_mistakes():
            from vissum_jax import pipeline

            check_batch_size(batch_size)
            opened = pipeline.open_run(run)
        with running():
            left = pipeline.mask_stage(opened, make_progress(), batch_size=batch_size, stop=stop).left
    if left:
        return say_stopped({"masks": str(opened.masks.folder), "left": left}, f"{left} mask part(s)", json=json)
    return _say(json, masks=str(opened.masks.folder))


def summarize(run: RunFolder, /, *, batch_size: Annotated[int | None, optional("N")] = None, json: Flag = False) -> int:
    """Finish the summaries of a run whose masks are done, and say how important each one is.

    For instance:
      vissum summarize runs/photos

    Args:
        run: Folder of the run.
        batch_size: Images on the device at once; by default what suits it.
        json: Print one JSON object.
    """
    with stopping() as stop:
        with user_mistakes():
            from vissum_jax import pipeline

            check_batch_size(batch_size)
            opened = pipeline.open_run(run)
        with running():
            left = pipeline.summary_stage(opened, make_progress(), batch_size=batch_size, stop=stop).left
            if left:
                place = str(opened.summaries.folder)
                return say_stopped({"summaries": place, "left": left}, f"{left} class(es)", json=json)
            result = pipeline.outcome(opened)
    if json:
        print_json({"summaries": str(opened.summaries.folder), "classes": result.plain()["classes"]})
    else:
        print_summaries(result)
        print(f"summaries: {opened.summaries.folder}")
    return DONE


def report(
    run: RunFolder,
    /,
    *,
    figures: Annotated[Literal["pdf", "png"] | None, optional("pdf|png")] = None,
    json: Flag = False,
) -> int:
    """Write the report of a run whose summaries are done.

    For instance:
      vissum report runs/photos
      vissum report runs/photos --figures pdf

    Args:
        run: Folder of the run.
        figures: Write figures for papers, too, in this format: a montage of each class's summaries, its masks, and
            plots of its measures, as RUN/report/classes/INDEX/figure-*.
        json: Print one JSON object.
    """
    with user_mistakes():
        from vissum_jax import pipeline
        from vissum_jax.report import ReportConfig

        opened = pipeline.open_run(run)
    with running():
        page = pipeline.report_stage(opened, make_progress(), config=ReportConfig(figures=figures))
    return _say(json, report=str(page))


def _say(json: bool, **values: str) -> int:
    if json:
        print_json(dict(values))
    else:
        for name, value in values.items():
            print(f"{name}: {value}")
    return DONE
