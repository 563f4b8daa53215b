"""``vissum compare``: what one network uses that another does not."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal

import tyro

from vissum_jax.cli.errors import DONE, running, user_mistakes
from vissum_jax.cli.options import Flag, optional
from vissum_jax.cli.output import print_json
from vissum_jax.cli.progress import make_progress

_Run = Annotated[Path, tyro.conf.Positional]


def compare(
    run_a: Annotated[_Run, tyro.conf.arg(metavar="RUN_A")],
    run_b: Annotated[_Run, tyro.conf.arg(metavar="RUN_B")],
    /,
    *,
    out: Annotated[Path | None, optional("DIR")] = None,
    figures: Annotated[Literal["pdf", "png"] | None, optional("pdf|png")] = None,
    json: Flag = False,
) -> int:
    """Compare the summaries of two networks on the same photographs.

    Summaries of both are matched by the overlap of their boxes; those that only one network has come first. Writes a
    page with both side by side, and compare.json. The page leads to the reports of both runs where these are; the next
    report of RUN_A leads to the page.

    For instance:
      vissum compare runs/googlenet runs/squeezenet
      vissum compare runs/googlenet runs/squeezenet --out two-networks --json

    Args:
        run_a: Folder of a finished run.
        run_b: Folder of a finished run of another network (or configuration) on the same photographs.
        out: Folder of the page; RUN_A/evaluation/compare-RUN_B by default.
        figures: Write a figure for papers of each class, too, in this format, as DIR/classes/N/figure.*.
        json: Print one JSON object instead of a table.
    """
    began = time.perf_counter()
    with user_mistakes():
        from vissum_jax.pipeline.compare import compare_runs, plan_compare

        plan = plan_compare(run_a, run_b, out=out, figures=figures)
    with running():
        values = compare_runs(plan, make_progress())
    page = str(plan.out / "index.html")
    if json:
        print_json({**values, "report": page, "seconds": round(time.perf_counter() - began, 1)})
        return DONE
    first, second = (run["model"] for run in values["runs"])
    for entry in values["classes"]:
        only = [len(cards) for cards in entry["only"]]
        print(
            f"{entry['class_name']}: only {first} {only[0]}, only {second} {only[1]}, both {len(entry['matched'])} "
            f"({entry['photographs']} photographs explained by both)"
        )
    print(f"Report: {page}")
    return DONE
