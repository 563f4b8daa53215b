"""``vissum evaluate localization``: do boxes fit annotated objects?"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import tyro

from vissum_jax.cli.errors import DONE, running, user_mistakes
from vissum_jax.cli.options import Flag, optional
from vissum_jax.cli.output import print_json
from vissum_jax.cli.progress import make_progress
from vissum_jax.cli.stages import RunFolder


def localization(
    run: RunFolder,
    /,
    *,
    boxes: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE")],
    exclude: Annotated[Path | None, optional("FILE")] = None,
    json: Flag = False,
) -> int:
    """Compare the boxes of a vissum localize run with annotated ones, by ILSVRC's rule.

    An answer is right if its class is and its box overlaps an annotated one by at least a half (intersection over
    union). Beside it the box given the label, and for comparison the whole photograph, a central box of the mean
    annotated size, and saliency without graph cut. Writes RUN/evaluation/localization.json and renews the page.

    For instance:
      vissum evaluate localization runs/objects --boxes boxes.csv
      vissum evaluate localization runs/objects --boxes annotations/dogs annotations/birds.csv --json

    Args:
        run: Folder of a finished run.
        boxes: Boxes of the objects: a CSV file with the columns file, x, y, w, h, or a folder of PASCAL VOC's XML; or
            several of them.
        exclude: File with names of photographs that are not counted, one a line, such as those that settings were
            tuned on.
        json: Print one JSON object instead of a table.
    """
    began = time.perf_counter()
    with user_mistakes():
        from vissum_jax.data.annotations import read_boxes
        from vissum_jax.pipeline import evaluate_localization as measure
        from vissum_jax.pipeline.localize import localize_report, open_localize

        annotations = [read_boxes(path) for path in boxes]
        left_out = frozenset() if exclude is None else measure.read_names(exclude)
        opened = open_localize(run)
        values = measure.evaluate_localization(opened, annotations, exclude=left_out)
    with running():
        table = measure.as_table(values)
        page = localize_report(opened, make_progress(), table)
    if json:
        print_json({**values, "report": str(page), "seconds": round(time.perf_counter() - began, 1)})
        return DONE
    width = max(len(line[0]) for line in table.lines)
    for line in (table.headings, *table.lines):
        print(line[0].ljust(width), *(cell.rjust(16) for cell in line[1:]))
    print(f"Report: {page}")
    return DONE
