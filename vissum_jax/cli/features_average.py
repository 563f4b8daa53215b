"""``vissum features average``: what the relevant filters respond to."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import tyro

from vissum_jax.cli.errors import DONE, check_batch_size, running, user_mistakes
from vissum_jax.cli.options import Flag, optional
from vissum_jax.cli.output import print_json
from vissum_jax.cli.progress import make_progress


def average(
    features: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FEATURES")],
    /,
    *,
    images: Annotated[int, optional("N")] = 100,
    most: Annotated[int, optional("N")] = 12,
    batch_size: Annotated[int | None, optional("N")] = None,
    json: Flag = False,
) -> int:
    """Show what the relevant filters of each class respond to (Oramas et al. 2019, section 3.2).

    For each filter the photographs with the strongest response, of all classes; of each the place of the strongest
    activation, as much of the photograph as that place can see (its receptive field, exactly); and the mean of these
    crops. Writes FEATURES/averages/CLASS.png, a contact sheet a class, and a page, FEATURES/report/index.html.

    For instance:
      vissum features average features
      vissum features average features --images 20 --most 6

    Args:
        features: Folder that vissum features select made.
        images: Most photographs that a filter is shown by.
        most: Most filters of a class, those of the largest weights.
        batch_size: Photographs at once; by default what suits the device.
        json: Print one JSON object.
    """
    began = time.perf_counter()
    with user_mistakes():
        from vissum_jax.pipeline import features_average as stage
        from vissum_jax.pipeline.features_run import open_features

        check_batch_size(batch_size)
        plan = stage.plan_averages(open_features(features), stage.AverageConfig(images=images, features=most))
    with running():
        values = stage.average_features(plan, make_progress(), batch_size=batch_size)
    if json:
        print_json({**values, "seconds": round(time.perf_counter() - began, 1)})
        return DONE
    print(f"{values['averages']} averages of {len(values['classes'])} classes.\nReport: {values['report']}")
    return DONE
