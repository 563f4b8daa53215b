"""``vissum localize``: find the objects that a network sees."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import tyro

from vissum_jax.cli.errors import check_batch_size, running, user_mistakes
from vissum_jax.cli.options import Flag, optional
from vissum_jax.cli.progress import make_progress
from vissum_jax.cli.saliency import run_options, say
from vissum_jax.cli.weights import have_default_weights


def localize(
    images: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IMAGES")],
    /,
    *,
    model: Annotated[str, tyro.conf.arg(metavar="NAME")],
    out: Annotated[Path, tyro.conf.arg(metavar="RUN")],
    weights: Annotated[Path | None, optional("FILE")] = None,
    class_names: Annotated[Path | None, optional("FILE")] = None,
    precision: Annotated[str, optional("TYPE")] = "float32",
    top: Annotated[int, optional("K")] = 5,
    views: Annotated[str, optional("NAME")] = "whole",
    classes: Annotated[str | None, optional("A,B,..")] = None,
    limit: Annotated[int | None, optional("N")] = None,
    batch_size: Annotated[int | None, optional("N")] = None,
    json: Flag = False,
) -> int:
    """Find boxes and outlines of the objects that a network sees (Simonyan et al. 2013, section 3.2).

    Saliency gives seeds of object and background, a graph cut over their colours the object; for each of the network's
    first answers, and for the folder's class. Writes RUN/localizations.json (COCO: boxes and segments in pixels of the
    photographs), RUN/overlays/IMAGE.png, figures as Parquet and a page, RUN/report/index.html. The same command goes
    on where it was stopped.

    For instance:
      vissum localize photos --model efficientnet-lite0 --out runs/objects
      vissum evaluate localization runs/objects --boxes boxes.csv

    Args:
        images: Folder of class folders, as for vissum run.
        model: Name of the network, or package.module:function.
        out: Folder of the run; it is made, or continued.
        weights: Weight file of the network; by default as in vissum run.
        class_names: Names of the network's classes, if the weight file holds none: one a line, or JSON.
        precision: Number type of the network: float32 (default) or bfloat16.
        top: So many of the network's answers are looked for.
        views: What the network sees: whole (default), the whole photograph squeezed to its input's shape; centre, the
            centred crop; ten, the ten crops of the paper, which take ten times as long.
        classes: Class folders to take, separated by commas: names, WordNet ids or indices. All by default.
        limit: Most photographs of a class.
        batch_size: Views at once; by default what suits the device.
        json: Print one JSON object.
    """
    began = time.perf_counter()
    with user_mistakes():
        from vissum_jax.deep_inside.saliency import SaliencyConfig
        from vissum_jax.pipeline import localize as stage

        check_batch_size(batch_size)
        request = stage.LocalizeRequest(
            **run_options(images, model, weights, class_names, precision, classes, limit),
            top=top,
            saliency=SaliencyConfig(views=views),
        )
        have_default_weights(request.model, request.weights)
        started = stage.start_localize(request, out)
    with running():
        progress = make_progress()
        stage.localize_stage(started, progress, batch_size=batch_size)
        coco = stage.write_coco(started)
        page = stage.localize_report(started, progress)
        result = stage.localize_outcome(started)
    seconds = round(time.perf_counter() - began, 1)
    return say({"run": str(out), "coco": str(coco), "report": str(page), **result, "seconds": seconds}, json=json)
