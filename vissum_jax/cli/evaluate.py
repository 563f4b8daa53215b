"""``vissum evaluate``: measures on finished runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from vissum_jax.cli.errors import DONE, check_batch_size, running, user_mistakes
from vissum_jax.cli.evaluate_coherency import coherency
from vissum_jax.cli.evaluate_counts import counts
from vissum_jax.cli.evaluate_heatmaps import heatmaps
from vissum_jax.cli.evaluate_localization import localization
from vissum_jax.cli.evaluate_paper import paper
from vissum_jax.cli.evaluate_parts import parts
from vissum_jax.cli.evaluate_specialize import specialize
from vissum_jax.cli.groups import group
from vissum_jax.cli.options import Flag, optional
from vissum_jax.cli.output import print_json
from vissum_jax.cli.progress import make_progress
from vissum_jax.cli.stages import RunFolder


def drop(
    run: RunFolder,
    /,
    *,
    methods: Annotated[str | None, optional("A,B,..")] = None,
    limit: Annotated[int | None, optional("N")] = None,
    boxes: Annotated[Path | None, optional("FILE")] = None,
    parts: Annotated[Path | None, optional("FILE")] = None,
    batch_size: Annotated[int | None, optional("N")] = None,
    json: Flag = False,
) -> int:
    """Compare a run's masks with the papers' baseline and with other methods on the same images.

    Drop (mean and variance), area, and the drop of the same masks under perturbations that they were not made for.
    Other methods get as many pixels of an image as the run's mask has. Writes RUN/evaluation/drop.json, drop.md and
    drop.png, which the next `vissum report RUN` shows. The same command goes on where it was stopped.

    For instance:
      vissum evaluate drop runs/photos
      vissum evaluate drop runs/photos --methods random,grad_cam,rise --limit 12 --boxes boxes.csv

    Args:
        run: Folder of a run whose masks are done.
        methods: What to compare with, beside iebb, separated by commas. random,smoothed_gradient by default.
        limit: Most images of a class.
        boxes: Boxes of the objects: a CSV file with the columns file, x, y, w, h, or a folder of PASCAL VOC's XML.
        parts: Centres of the objects' visible parts: a CSV file with the columns file, x, y.
        batch_size: Images at once; by default what suits the device.
        json: Print one JSON object instead of a table.
    """
    began = time.perf_counter()
    with user_mistakes():
        from vissum_jax import pipeline
        from vissum_jax.analysis.drop import markdown
        from vissum_jax.data.annotations import read_boxes, read_parts
        from vissum_jax.pipeline.evaluate_drop import DEFAULT_METHODS, evaluate_drop, plan_drop

        check_batch_size(batch_size)
        names = DEFAULT_METHODS if methods is None else tuple(name.strip() for name in methods.split(","))
        plan = plan_drop(
            pipeline.open_run(run),
            methods=names,
            limit=limit,
            boxes=None if boxes is None else read_boxes(boxes),
            parts=None if parts is None else read_parts(parts),
            batch_size=batch_size,
        )
    with running():
        values = evaluate_drop(plan, make_progress())
    if json:
        print_json({**values, "evaluation": str(plan.folder), "seconds": round(time.perf_counter() - began, 1)})
        return DONE
    print(markdown(**values["table"]))
    left_out = ", ".join(f"{count} {status}" for status, count in values["left_out"].items())
    print(f"Without a mask, and left out: {left_out or 'none'}.\nEvaluation: {plan.folder}")
    return DONE


evaluate = group(
    "Measure what came out of runs.",
    {
        "drop": drop,
        "parts": parts,
        "counts": counts,
        "coherency": coherency,
        "specialize": specialize,
        "paper": paper,
        "localization": localization,
        "heatmaps": heatmaps,
    },
)
