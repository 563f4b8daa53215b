"""``vissum saliency``: where a network looks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import tyro

from vissum_jax.cli.errors import DONE, FAILED, check_batch_size, running, user_mistakes
from vissum_jax.cli.options import Flag, optional
from vissum_jax.cli.output import print_json
from vissum_jax.cli.progress import make_progress
from vissum_jax.cli.weights import have_default_weights

_LAYOUTS = {1: "centre", 10: "ten"}


def saliency(
    images: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IMAGES")],
    /,
    *,
    model: Annotated[str, tyro.conf.arg(metavar="NAME")],
    out: Annotated[Path, tyro.conf.arg(metavar="RUN")],
    weights: Annotated[Path | None, optional("FILE")] = None,
    class_names: Annotated[Path | None, optional("FILE")] = None,
    precision: Annotated[str, optional("TYPE")] = "float32",
    crops: Annotated[int, optional("N")] = 1,
    whole: Flag = False,
    smooth_samples: Annotated[int, optional("N")] = 0,
    predicted: Flag = False,
    keep_mispredicted: Flag = False,
    classes: Annotated[str | None, optional("A,B,..")] = None,
    limit: Annotated[int | None, optional("N")] = None,
    batch_size: Annotated[int | None, optional("N")] = None,
    json: Flag = False,
) -> int:
    """Show which pixels the score of a class depends on (Simonyan et al. 2013, section 3).

    The largest absolute derivative of the score before the softmax among a pixel's colours. Writes RUN/maps/IMAGE.npz,
    RUN/overlays/IMAGE.png, figures as Parquet and a page, RUN/report/index.html. The same command goes on where it was
    stopped.

    For instance:
      vissum saliency photos --model efficientnet-lite0 --out runs/saliency
      vissum saliency photos --model efficientnet-lite0 --crops 10 --predicted --out runs/ten

    Args:
        images: Folder of class folders, as for vissum run.
        model: Name of the network, or package.module:function.
        out: Folder of the run; it is made, or continued.
        weights: Weight file of the network; by default as in vissum run.
        class_names: Names of the network's classes, if the weight file holds none: one a line, or JSON.
        precision: Number type of the network: float32 (default) or bfloat16.
        crops: 1, the centre (default), or 10: four corners, the centre and their mirror images, averaged.
        whole: Show the network the whole photograph, squeezed to its input's shape, in place of crops.
        smooth_samples: Average the derivative over so many noisy copies (SmoothGrad).
        predicted: Explain the network's own answer in place of the folder's class.
        keep_mispredicted: Also explain photographs that the network answers wrongly.
        classes: Class folders to take, separated by commas: names, WordNet ids or indices. All by default.
        limit: Most photographs of a class.
        batch_size: Views at once; by default what suits the device.
        json: Print one JSON object.
    """
    began = time.perf_counter()
    with user_mistakes():
        from vissum_jax.deep_inside.saliency import SaliencyConfig
        from vissum_jax.pipeline import saliency as stage

        check_batch_size(batch_size)
        if crops not in _LAYOUTS:
            raise ValueError(f"--crops must be 1 or 10, got {crops}.")
        if whole and crops != 1:
            raise ValueError("--whole and --crops 10 exclude each other: the whole photograph has no crops.")
        request = stage.SaliencyRequest(
            **run_options(images, model, weights, class_names, precision, classes, limit),
            keep_mispredicted=keep_mispredicted,
            saliency=SaliencyConfig(views="whole" if whole else _LAYOUTS[crops], smooth_samples=smooth_samples),
            predicted=predicted,
        )
        have_default_weights(request.model, request.weights)
        started = stage.start_saliency(request, out)
    with running():
        progress = make_progress()
        stage.saliency_stage(started, progress, batch_size=batch_size)
        page = stage.saliency_report(started, progress)
        result = stage.saliency_outcome(started)
    values = {"run": str(out), "report": str(page), **result, "seconds": round(time.perf_counter() - began, 1)}
    return say(values, json=json)


def run_options(
    images: Path,
    model: str,
    weights: Path | None,
    class_names: Path | None,
    precision: str,
    classes: str | None,
    limit: int | None,
) -> dict[str, Any]:
    """Options that every run over photographs has, as its configuration takes them."""
    return {
        "images": str(images),
        "model": model,
        "weights": None if weights is None else str(weights),
        "class_names_file": None if class_names is None else str(class_names),
        "precision": precision,
        "classes": () if classes is None else tuple(name.strip() for name in classes.split(",")),
        "limit": limit,
    }


def say(values: dict[str, Any], *, json: bool) -> int:
    """Print what came out of a run; the exit code."""
    if json:
        print_json(values)
    else:
        counts = ", ".join(f"{count} {status}" for status, count in values["statuses"].items())
        print(f"Photographs: {counts}.")
        for image, reason in values["failed"]:
            print(f"failed: {image!r}: {reason}")
        print(f"Report: {values['report']}")
    return FAILED if values["failed"] else DONE
