"""``vissum evaluate parts``: do summaries coincide with annotated parts?"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from vissum_jax.cli.errors import DONE, check_batch_size, running, user_mistakes
from vissum_jax.cli.options import Flag, optional
from vissum_jax.cli.output import print_json
from vissum_jax.cli.progress import make_progress
from vissum_jax.cli.stages import RunFolder


def parts(
    run: RunFolder,
    /,
    *,
    annotations: Annotated[Path | None, optional("FILE")] = None,
    truth: Annotated[Path | None, optional("FOLDER")] = None,
    merge_sides: Flag = False,
    baselines: Annotated[str | None, optional("A,B,..")] = None,
    seed: Annotated[int | None, optional("N")] = None,
    batch_size: Annotated[int | None, optional("N")] = None,
    json: Flag = False,
) -> int:
    """Compare the summaries of a run with annotated parts, beside other groupings of the same photographs.

    Every member shows the annotated part nearest to its box's centre, inside the box; of rendered flowers, the part
    that covers most of the box. Purity (share of the members that show the commonest part of their summary), beside
    that of shuffled members; normalised mutual information; parts shown; share of members without a part, and, of
    rendered flowers, on a part that makes their class; stability (adjusted mutual information between the clusters of
    two halves of the photographs). Writes RUN/evaluation/parts.json, parts.md and parts.png. The same command goes on
    where it was stopped.

    For instance:
      vissum evaluate parts runs/birds --annotations parts.csv
      vissum evaluate parts runs/flowers --truth flowers
      vissum evaluate parts runs/birds --annotations parts.csv --merge-sides --baselines k_means,craft --json

    Args:
        run: Folder of a run whose summaries are done.
        annotations: Centres of the visible parts: a CSV file with the columns file, part, x, y.
        truth: In place of annotations, a folder of rendered flowers (vissum data an8flower).
        merge_sides: Take "left X" and "right X" of the annotations for one part, X. By default a part is what the
            file calls one.
        baselines: What to compare with, separated by commas: k_means, agglomerative, ace and craft by default, or none.
        seed: Of shuffles, halves and groupings; 0 by default.
        batch_size: Crops that the network looks at at once; by default what suits the device.
        json: Print one JSON object instead of tables.
    """
    began = time.perf_counter()
    with user_mistakes():
        from vissum_jax import pipeline
        from vissum_jax.analysis.parts_comparison import parts_markdown
        from vissum_jax.data.part_points import read_part_points
        from vissum_jax.data.truth_masks import open_part_labels
        from vissum_jax.pipeline.evaluate_parts import evaluate_parts, plan_parts, seeded
        from vissum_jax.pipeline.part_truth import LabelTruth, PointTruth

        check_batch_size(batch_size)
        names = None if baselines is None else tuple(name.strip() for name in baselines.split(","))
        config = seeded(0 if seed is None else seed, baselines=() if names == ("none",) else names)
        if annotations is not None and truth is None:
            known = PointTruth(read_part_points(annotations, merge_sides=merge_sides))
        elif truth is not None and annotations is None:
            known = LabelTruth(open_part_labels(truth), config.scoring)
        else:
            raise ValueError("give the truth either as --annotations FILE or as --truth FOLDER.")
        plan = plan_parts(pipeline.open_run(run), known, config=config, batch_size=batch_size)
    with running():
        values = evaluate_parts(plan, make_progress())
    if json:
        print_json({**values, "evaluation": str(plan.folder), "seconds": round(time.perf_counter() - began, 1)})
        return DONE
    print(parts_markdown(values))
    print(f"Evaluation: {plan.folder}")
    return DONE
