"""``vissum bench``: what this machine will need for a run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from vissum_jax.cli.errors import DONE, FAILED, INTERRUPTED, check_batch_size, stop, user_mistakes
from vissum_jax.cli.options import Flag, optional
from vissum_jax.cli.output import print_json
from vissum_jax.cli.progress import make_progress
from vissum_jax.cli.weights import have_default_weights

if TYPE_CHECKING:
    from vissum_jax.pipeline.bench import BenchResult


def bench(
    *,
    model: Annotated[str | None, optional("NAME")] = None,
    weights: Annotated[str | None, optional("FILE")] = None,
    class_names: Annotated[str | None, optional("FILE")] = None,
    precision: Annotated[str | None, optional("TYPE")] = None,
    preset: Annotated[str | None, optional("NAME")] = None,
    batch_size: Annotated[int | None, optional("N")] = None,
    seconds: Annotated[float, optional("S")] = 60.0,
    config: Annotated[Path | None, optional("FILE")] = None,
    json: Flag = False,
) -> int:
    """Say how long a run will take on this machine, from a trial of a minute; no photographs are needed.

    For instance:
      vissum bench --model efficientnet-lite0
      vissum bench --model resnet50 --precision bfloat16 --batch-size 128

    The trial finds masks of rendered pictures and matches random boxes of a few of them. Photographs may take longer:
    the output gives the most that the preset can take, too. Reading photographs, selective search, clustering and
    reports come on top.

    Args:
        model: Name of the network, or package.module:function.
        weights: Weight file of the network; by default as in vissum run.
        class_names: Names of the network's classes, if the weight file holds none: one a line, or JSON.
        precision: Number type of the network: float32 (default) or bfloat16 (faster on GPU and TPU).
        preset: How masks are found: compact (default), paper, authors or iebb.
        batch_size: Images searched at once on each device; by default what suits it.
        seconds: For how long masks are found, compiling not counted; at least one batch.
        config: TOML file with any of these settings and tables for the stages (see configs/).
        json: Print one JSON object instead of a table.
    """
    with user_mistakes():
        from vissum_jax import pipeline
        from vissum_jax.models import load_classifier, read_class_names
        from vissum_jax.pipeline.bench import run_trial
        from vissum_jax.pipeline.memory import search_batch_size

        check_batch_size(batch_size)
        if not seconds > 0:
            raise ValueError(f"--seconds must be positive, got {seconds}.")
        settings: dict[str, Any] = pipeline.read_settings(config) if config else {}
        tables = {name: settings.pop(name) for name in list(settings) if isinstance(settings[name], dict)}
        given = {
            "model": model,
            "weights": weights,
            "class_names_file": class_names,
            "precision": precision,
            "preset": preset,
        }
        settings |= {name: value for name, value in given.items() if value is not None}
        if "model" not in settings:
            raise ValueError("--model is missing; give it on the command line or in the configuration.")
        request = pipeline.RunConfig(**{**settings, "images": os.curdir}, overrides=tables)  # no photograph is read
        have_default_weights(request.model, request.weights)
        names = None if request.class_names_file is None else read_class_names(request.class_names_file)
        classifier = load_classifier(
            request.model, weights=request.weights, class_names=names, precision=request.precision
        )
    try:
        result = run_trial(
            classifier,
            request.masks,
            request.stages,
            make_progress(),
            batch_size=search_batch_size(classifier, request.masks) if batch_size is None else batch_size,
            seconds=seconds,
        )
    except MemoryError as error:
        stop(f"stopped: {error}", FAILED)
    except KeyboardInterrupt:
        stop("interrupted.", INTERRUPTED)
    if json:
        print_json({**result.plain(), "precision": request.precision})
    else:
        _print(result, request.precision)
    return DONE


def _print(result: BenchResult, precision: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from vissum_jax.pipeline.bench import CLASS_IMAGES, IMAGE_COUNTS, METHOD, hours

    masks, matching = result.masks, result.matching
    print(
        f"{result.model}, {precision}, preset {result.preset}, batches of {result.batch_size}, on {result.device}\n"
        f"Measured: {masks.images} masks in {masks.seconds:.1f} s ({masks.rate:.3g} images/s), "
        f"{masks.passes:.0f} evaluations of the network each; compiling took {masks.compile_seconds:.0f} s."
    )
    table = Table(box=None, pad_edge=False)
    for heading in ("extrapolated", "at the measured rate", "at most"):
        table.add_column(heading, justify="left" if heading == "extrapolated" else "right")
    for count in IMAGE_COUNTS:
        rates = (masks.rate, masks.least_rate)
        table.add_row(f"masks of {count:,} images", *(_in_words(3600 * hours(count, rate)) for rate in rates))
    in_class = matching.class_seconds(CLASS_IMAGES)
    table.add_row(f"matching a class of {CLASS_IMAGES} images", "-", _in_words(in_class))
    Console().print(table)
    print(METHOD)


def _in_words(seconds: float) -> str:
    """In the unit that people would choose."""
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
