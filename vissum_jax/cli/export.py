"""``vissum export``: a run's masks and summaries in the formats of other tools."""

from __future__ import annotations

import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import tyro

from vissum_jax.cli.errors import DONE, running, user_mistakes
from vissum_jax.cli.options import Flag, optional
from vissum_jax.cli.output import print_json
from vissum_jax.cli.progress import make_progress
from vissum_jax.cli.stages import RunFolder


def export(
    run: RunFolder,
    /,
    *,
    format: Annotated[str, tyro.conf.arg(metavar="coco|fiftyone|npz")],
    out: Annotated[Path | None, optional("DIR")] = None,
    json: Flag = False,
) -> int:
    """Write the masks and kept summaries of a finished run for other tools.

    coco: masks.json (instances: run lengths in the pixels of the original photographs) and summaries.json (boxes of
    the members, a category a summary), for pycocotools and all that reads COCO. fiftyone: a data set with masks, boxes
    and summaries, for FiftyOne's importer; needs vissum-jax[fiftyone]. npz: one compressed NumPy file a class, and
    index.json, which says what its arrays are. An earlier export in DIR is replaced; anything else there is kept.

    For instance:
      vissum export runs/photos --format coco
      vissum export runs/photos --format npz --out photos-npz

    Args:
        run: Folder of a run whose summaries are done.
        format: What to write.
        out: Folder of the export; by default RUN/export/FORMAT.
        json: Print one JSON object.
    """
    began = time.perf_counter()
    with user_mistakes():
        from vissum_jax.pipeline import export as stage
        from vissum_jax.pipeline.finished import open_finished

        finished = open_finished(run)
        place = run / stage.FOLDER / format if out is None else out
        stage.check_export(format, place)
        with running(), redirect_stdout(sys.stderr):  # FiftyOne prints advice; ours is one JSON object
            counts = stage.export_run(finished, format, place, make_progress())
    values = {"export": str(place), "format": format, **counts, "seconds": round(time.perf_counter() - began, 1)}
    if json:
        print_json(values)
    else:
        print(", ".join(f"{counts[name]} {name}" for name in ("images", "masks", "summaries", "members")) + ".")
        left_out = {name: count for name, count in counts.get("left_out", {}).items() if count}
        if left_out:
            print(
                "Left out: " + ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in left_out.items()) + "."
            )
        print(f"Export: {place}")
    return DONE
