"""``vissum evaluate heatmaps``: do heat maps show the part that makes the class?"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import tyro

from vissum_jax.cli.errors import DONE, check_batch_size, running, user_mistakes
from vissum_jax.cli.options import Flag, optional
from vissum_jax.cli.output import print_json
from vissum_jax.cli.progress import make_progress
from vissum_jax.cli.saliency import run_options
from vissum_jax.cli.weights import have_default_weights


def heatmaps(
    images: Annotated[Path, tyro.conf.arg(metavar="IMAGES")],
    /,
    *,
    model: Annotated[str, tyro.conf.arg(metavar="NAME")],
    truth: Annotated[Path, tyro.conf.arg(metavar="FOLDER")],
    out: Annotated[Path, tyro.conf.arg(metavar="RUN")],
    features: Annotated[Path | None, optional("FOLDER")] = None,
    methods: Annotated[str | None, optional("A,B,..")] = None,
    weights: Annotated[Path | None, optional("FILE")] = None,
    class_names: Annotated[Path | None, optional("FILE")] = None,
    precision: Annotated[str, optional("TYPE")] = "float32",
    keep_mispredicted: Flag = False,
    classes: Annotated[str | None, optional("A,B,..")] = None,
    limit: Annotated[int | None, optional("N")] = None,
    stride: Annotated[int | None, optional("N")] = None,
    rise_masks: Annotated[int | None, optional("N")] = None,
    seed: Annotated[int | None, optional("N")] = None,
    batch_size: Annotated[int | None, optional("N")] = None,
    json: Flag = False,
) -> int:
    """Compare heat maps of several methods with the true mask of what makes the class (Oramas et al. 2019).

    Area under intersection over union against the threshold, the pointing game, and how much of a map is the grid that
    a convolution's stride leaves; the difference of the first method from each other with its paired bootstrap
    interval. Writes RUN/heatmaps.json, heatmaps.md, heatmaps.png and a page, RUN/report/index.html. The same command
    goes on where it was stopped.

    For instance:
      vissum data an8flower flowers --variant single-6c
      vissum features select flowers/images --model flowernet-single-6c --out runs/features
      vissum evaluate heatmaps flowers/images --truth flowers --model flowernet-single-6c --features runs/features
        --out runs/heatmaps

    Args:
        images: Folder of class folders, as for vissum run.
        model: Name of the network, or package.module:function.
        truth: A folder of black and white PNG masks named as the photographs, or of rendered flowers.
        out: Folder of the comparison; it is made, or continued.
        features: What vissum features select made; VE's methods need it.
        methods: Methods, separated by commas; the others are compared with the first. By default ve, ve_without_fix,
            activations (these three with --features alone), deconvnet, deconvnet_fixed, gradient, grad_cam,
            guided_grad_cam, grad_cam_pp, rise, compact.
        weights: Weight file of the network; by default as in vissum run.
        class_names: Names of the network's classes, if the weight file holds none: one a line, or JSON.
        precision: Number type of the network: float32 (default) or bfloat16.
        keep_mispredicted: Also take photographs that the network answers wrongly.
        classes: Class folders to take, separated by commas: names, WordNet ids or indices. All by default.
        limit: Most photographs of a class.
        stride: Period of the grid that is measured, in pixels; by default that of the network's first feature map.
        rise_masks: Random masks of RISE; 4000 by default.
        seed: Of methods that draw lots; 0 by default.
        batch_size: Photographs at once; by default what suits the device.
        json: Print one JSON object instead of a table.
    """
    began = time.perf_counter()
    with user_mistakes():
        from vissum_jax.analysis.heatmaps_comparison import heatmaps_markdown
        from vissum_jax.data.truth_masks import open_truth_masks
        from vissum_jax.interpretation.selection import FeatureSelection
        from vissum_jax.pipeline.evaluate_heatmaps import HeatmapsRequest, evaluate_heatmaps, plan_heatmaps

        check_batch_size(batch_size)
        request = HeatmapsRequest(
            **run_options(images, model, weights, class_names, precision, classes, limit),
            keep_mispredicted=keep_mispredicted,
        )
        masks = open_truth_masks(truth)
        selection = None if features is None else FeatureSelection.load(features)
        have_default_weights(request.model, request.weights)
        plan = plan_heatmaps(
            request,
            out,
            masks,
            methods=None if methods is None else [name.strip() for name in methods.split(",")],
            selection=selection,
            stride=stride,
            rise_masks=rise_masks,
            seed=0 if seed is None else seed,
            batch_size=batch_size,
        )
    with running():
        values = evaluate_heatmaps(plan, make_progress())
    if json:
        print_json({**values, "seconds": round(time.perf_counter() - began, 1)})
        return DONE
    print(heatmaps_markdown(values))
    print(f"Report: {values['report']}")
    return DONE
