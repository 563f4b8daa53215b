"""``vissum evaluate specialize``: does a network gain from its own summaries?"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import tyro

from vissum_jax.cli.errors import DONE, check_batch_size, running, user_mistakes
from vissum_jax.cli.options import Flag, optional
from vissum_jax.cli.output import print_json
from vissum_jax.cli.progress import make_progress
from vissum_jax.cli.stages import RunFolder


def specialize(
    run: RunFolder,
    /,
    *,
    test: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="LIST")],
    train: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="LIST", help_behavior_hint="")] = (),
    weight: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="LIST", help_behavior_hint="")] = (),
    images: Annotated[Path | None, optional("DIR")] = None,
    random_draws: int = 3,
    seed: int = 0,
    batch_size: Annotated[int | None, optional("N")] = None,
    json: Flag = False,
) -> int:
    """Train a linear SVM on each summary and mix their answers into the network's own (VS 4.4).

    A LIST is a text file of photographs' names relative to DIR, as `vissum split` writes them, or a folder of class
    folders. The run's photographs train the SVMs. No photograph may serve two purposes: an overlap, by content, is an
    error. Writes RUN/evaluation/specialize.json and .md, the page specialize/index.html of corrected photographs, and
    the specialised network, specialized.safetensors.

    For instance:
      vissum evaluate specialize runs/photos --train train.txt --test test.txt --images photos
      vissum run more --model specialized:runs/photos/evaluation/specialized.safetensors --out runs/specialized

    Args:
        run: Folder of a run whose summaries are done.
        test: Photographs that accuracies are measured on.
        train: Photographs to train with beside the run's. Of those of the run's classes, on half the weight is chosen,
            the others are negatives of all classes but their own. Photographs of other classes guard the weight: it
            is the best one that costs them nothing.
        weight: Photographs that the weight is chosen on, guards among them; all of --train are negatives then.
        images: Folder of class folders that lists are relative to; by default the run's own.
        random_draws: Random sets in the summaries' places, for comparison.
        seed: Of folds, of the half, and of random sets.
        batch_size: Images at once; by default what suits the device.
        json: Print one JSON object instead of tables.
    """
    began = time.perf_counter()
    with user_mistakes():
        from vissum_jax import pipeline
        from vissum_jax.analysis.specialize import SpecializeConfig
        from vissum_jax.pipeline import evaluate_specialize as measure
        from vissum_jax.pipeline.finished import open_finished
        from vissum_jax.pipeline.specialize_plan import EvaluateSpecializeConfig, plan_specialize
        from vissum_jax.pipeline.specialize_report import specialize_markdown

        check_batch_size(batch_size)
        plan = plan_specialize(
            pipeline.open_run(run),
            open_finished(run),
            test=test,
            train=train,
            weight=weight,
            images=images,
            config=EvaluateSpecializeConfig(train=SpecializeConfig(seed=seed), random_draws=random_draws),
        )
        with running():
            values = measure.evaluate_specialize(plan, make_progress(), batch_size=batch_size)
    place = (plan.folder / measure.MODEL).resolve()  # a run may be continued from anywhere
    if json:
        print_json({**values, "specialized": str(place), "seconds": round(time.perf_counter() - began, 1)})
        return DONE
    print(specialize_markdown(values), end="")
    print(f"Corrected photographs: {plan.folder / measure.PAGES / 'index.html'}\nNetwork: specialized:{place}")
    return DONE
