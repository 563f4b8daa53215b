"""``vissum evaluate paper``: all tables and figures of the paper, ours beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from vissum_jax.cli.errors import DONE, running, user_mistakes
from vissum_jax.cli.options import Flag, optional
from vissum_jax.cli.output import print_json


def paper(
    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN")],
    /,
    *,
    out: Annotated[Path | None, optional("DIR")] = None,
    counts: Annotated[Path | None, optional("FILE")] = None,
    markdown: Annotated[Path | None, optional("FILE")] = None,
    json: Flag = False,
) -> int:
    """Put what was measured on runs beside the paper's tables and figures, on one page.

    Reads what evaluate drop, coherency, specialize and counts, compare and study score wrote; what is missing is
    listed with the command that measures it. Writes paper.html, for one run into RUN/report (which vissum report
    replaces), for several into DIR.

    For instance:
      vissum evaluate paper runs/photos
      vissum evaluate paper runs/googlenet runs/lite0 --counts counts/counts.json --out pages --markdown results.md

    Args:
        runs: Folders of runs whose summaries are done.
        out: Folder of the page.
        counts: The counts.json of vissum evaluate counts, over these runs at least.
        markdown: Also write the page as this Markdown file, its pictures into a folder of its name beside it.
        json: Print one JSON object.
    """
    with user_mistakes():
        from vissum_jax.pipeline.finished import open_finished
        from vissum_jax.pipeline.paper_results import paper_sections
        from vissum_jax.pipeline.paper_values import read_paper_values
        from vissum_jax.report.paper_page import write_paper_markdown, write_paper_page

        if not runs:
            raise ValueError("name the folder of at least one run.")
        first, *others = runs
        if out is None and others:
            raise ValueError("--out is missing: the page of several runs needs a folder of its own.")
        folder = first / "report" if out is None else out
        values = read_paper_values([open_finished(run) for run in runs], counts=counts)
        sections = paper_sections(values, folder)
    labels = [each.label for each in values.runs]
    with running():
        page = write_paper_page(folder, sections, runs=labels)
        if markdown is not None:
            write_paper_markdown(markdown, sections, runs=labels)
    missing = [each for section in sections for each in section.missing]
    if json:
        print_json({"page": str(page), "runs": labels, "missing": [each._asdict() for each in missing]})
        return DONE
    for each in missing:
        print(f"{each.what}: not measured; {each.command}")
    print(f"Page: {page}")
    return DONE
