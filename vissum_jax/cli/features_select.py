"""``vissum features select``: which filters of a network matter for which class."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import tyro

from vissum_jax.cli.errors import DONE, FAILED, check_batch_size, running, user_mistakes
from vissum_jax.cli.options import Flag, optional
from vissum_jax.cli.output import one_line, print_json
from vissum_jax.cli.progress import make_progress
from vissum_jax.cli.saliency import run_options
from vissum_jax.cli.weights import have_default_weights


def select(
    images: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN_OR_IMAGES")],
    /,
    *,
    out: Annotated[Path, tyro.conf.arg(metavar="FEATURES")],
    model: Annotated[str | None, optional("NAME")] = None,
    weights: Annotated[Path | None, optional("FILE")] = None,
    class_names: Annotated[Path | None, optional("FILE")] = None,
    mu: float = 10.0,
    holdout: Annotated[float, optional("SHARE")] = 0.3,
    test: Annotated[Path | None, optional("IMAGES")] = None,
    draws: Annotated[int, optional("N")] = 5,
    seed: int = 0,
    precision: Annotated[str, optional("TYPE")] = "float32",
    classes: Annotated[str | None, optional("A,B,..")] = None,
    limit: Annotated[int | None, optional("N")] = None,
    batch_size: Annotated[int | None, optional("N")] = None,
    json: Flag = False,
) -> int:
    """Find the filters that matter for each class, without annotation (Oramas et al. 2019, section 3.1).

    How strongly every filter of every layer responds to a photograph predicts the class, by as few filters as an l1
    bound on each class's weights allows. Then the relevant filters are switched off, and as a check equally many
    others of the same layers, drawn at random: what does that cost of the accuracy on photographs held out?

    Writes FEATURES/features.json and features.md (relevant filters of each class with weights, and the check),
    selection.json and weights.npz (for vissum features average and explain), and responses/ as Parquet. The same
    command goes on where it was stopped.

    For instance:
      vissum features select photos --model googlenet-bvlc --weights bvlc_googlenet_f32.npz --out features
      vissum features select flowers/train --test flowers/test --model flowers.npz --mu 5 --out features
      vissum features select runs/photos --out features

    Args:
        images: Folder of class folders, as for vissum run, or the folder of a run, whose photographs and network are
            taken.
        out: Folder of the result; it is made, or continued.
        model: Name of the network, or package.module:function. Needed for photographs; by default a run's own.
        weights: Weight file of the network; by default as in vissum run.
        class_names: Names of the network's classes, if the weight file holds none: one a line, or JSON.
        mu: Bound on the sum of each class's absolute weights.
        holdout: Share of each class's photographs that only the check sees. 0 leaves the check out.
        test: Photographs for the check, in place of a share of the others: a folder of class folders.
        draws: How often random filters are drawn for the check.
        seed: Of the draws, and of which photographs are held out.
        precision: Number type of the network: float32 (default) or bfloat16.
        classes: Class folders to take, separated by commas: names, WordNet ids or indices. All by default.
        limit: Most photographs of a class.
        batch_size: Photographs at once; by default what suits the device.
        json: Print one JSON object instead of a table.
    """
    began = time.perf_counter()
    with user_mistakes():
        from vissum_jax.pipeline import features_select as stage
        from vissum_jax.pipeline.features_run import select_request, start_select

        check_batch_size(batch_size)
        options = run_options(images, model or "", weights, class_names, precision, classes, limit)
        request = select_request(
            options, mu=mu, holdout=holdout, test=None if test is None else str(test), draws=draws, seed=seed
        )
        have_default_weights(request.model, request.weights)
        started = start_select(request, out)
    with running():
        values = stage.select_features(started, make_progress(), batch_size=batch_size)
    if json:
        print_json({"features": str(out), **values, "seconds": round(time.perf_counter() - began, 1)})
    else:
        print(stage.select_markdown(values))
        for image, reason in values["failed"]:
            print(f"failed: {one_line(image)}: {one_line(reason)}")
        print(f"Features: {out}")
    return FAILED if values["failed"] else DONE
