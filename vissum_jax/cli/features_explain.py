"""``vissum features explain``: the relevant features behind a network's answers."""

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


def explain(
    images: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IMAGES")],
    /,
    *,
    model: Annotated[str, tyro.conf.arg(metavar="NAME")],
    features: Annotated[Path, tyro.conf.arg(metavar="FEATURES")],
    out: Annotated[Path, tyro.conf.arg(metavar="RUN")],
    weights: Annotated[Path | None, optional("FILE")] = None,
    class_names: Annotated[Path | None, optional("FILE")] = None,
    precision: Annotated[str, optional("TYPE")] = "float32",
    top: Annotated[int, optional("K")] = 3,
    classes: Annotated[str | None, optional("A,B,..")] = None,
    limit: Annotated[int | None, optional("N")] = None,
    batch_size: Annotated[int | None, optional("N")] = None,
    json: Flag = False,
) -> int:
    """Explain a network's answers by the filters that matter for them (Oramas et al. 2019, section 3.2).

    Of the filters that vissum features select found for the class that the network answers, those that say most for
    it in each photograph; for each of them a heat map of the pixels that its activations go back to (deconvnet, guided,
    without the grids that convolutions with stride leave), and all of them combined. Writes the maps (RUN/maps),
    pictures (RUN/overlays), tables (RUN/explanations, RUN/explanations.json) and a report. The same command goes on
    where it was stopped.

    For instance:
      vissum features explain photos --model googlenet-bvlc --weights bvlc_googlenet.npz --features features --out run

    Args:
        images: Folder of class folders, as for vissum run.
        model: Name of the network.
        features: Folder that vissum features select made for this network.
        out: Folder of the run; it is made, or continued.
        weights: Weight file of the network; by default as in vissum run.
        class_names: Names of the network's classes, if the weight file holds none: one a line, or JSON.
        precision: Number type of the network: float32 (default) or bfloat16.
        top: Filters shown of each photograph, at most.
        classes: Class folders to take, separated by commas: names, WordNet ids or indices. All by default.
        limit: Most photographs of a class.
        batch_size: Photographs at once; by default what suits the device.
        json: Print one JSON object.
    """
    began = time.perf_counter()
    with user_mistakes():
        from vissum_jax.interpretation.explanation import ExplanationConfig
        from vissum_jax.pipeline import explanation_pages as pages
        from vissum_jax.pipeline import features_explain as stage

        check_batch_size(batch_size)
        request = stage.ExplainRequest(
            **run_options(images, model, weights, class_names, precision, classes, limit),
            features=str(features),
            explanation=ExplanationConfig(top=top),
        )
        have_default_weights(request.model, request.weights)
        started = stage.start_explain(request, out)
    with running():
        progress = make_progress()
        stage.explain_stage(started, progress, batch_size=batch_size)
        answers = pages.write_answers(started)
        page = pages.explain_report(started, progress)
        result = pages.explain_outcome(started)
    values = {"run": str(out), "report": str(page), "explanations": str(answers), **result}
    return say({**values, "seconds": round(time.perf_counter() - began, 1)}, json=json)
