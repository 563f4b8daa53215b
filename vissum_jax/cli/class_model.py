"""``vissum class-model``: pictures that maximise the scores of classes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import tyro

from vissum_jax.cli.errors import DONE, FAILED, check_batch_size, running, user_mistakes
from vissum_jax.cli.options import Flag, optional
from vissum_jax.cli.output import print_json
from vissum_jax.cli.progress import make_progress
from vissum_jax.cli.weights import have_default_weights


def class_model(
    *,
    model: Annotated[str, tyro.conf.arg(metavar="NAME")],
    classes: Annotated[str, tyro.conf.arg(metavar="A,B,..")],
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")],
    weights: Annotated[Path | None, optional("FILE")] = None,
    class_names: Annotated[Path | None, optional("FILE")] = None,
    steps: Annotated[int | None, optional("N")] = None,
    rate: Annotated[float | None, optional("X")] = None,
    l2: Annotated[float | None, optional("X")] = None,
    jitter: Annotated[int | None, optional("PIXELS")] = None,
    blur: Annotated[float | None, optional("PIXELS")] = None,
    parametrisation: Annotated[str | None, optional("NAME")] = None,
    seed: Annotated[int | None, optional("N")] = None,
    batch_size: Annotated[int | None, optional("N")] = None,
    json: Flag = False,
) -> int:
    """Find the image that a network takes for most typical of a class (Simonyan et al. 2013, section 2).

    Maximises the score before the softmax less a multiple of the image's squared norm, from the zero image. Writes a
    PNG for each class, contact_sheet.png, class_models.json and a page, report/index.html.

    For instance:
      vissum class-model --model efficientnet-lite0 --classes goose,ostrich,limousine --out models
      vissum class-model --model googlenet-bvlc --weights bvlc.npz --classes 99 --jitter 8 --blur 0.5 --out models

    Args:
        model: Name of the network, or package.module:function.
        classes: Classes, separated by commas: names, WordNet ids or indices.
        out: Folder for the pictures: a new one, or one of earlier class models.
        weights: Weight file of the network; by default as in vissum run.
        class_names: Names of the network's classes, if the weight file holds none: one a line, or JSON.
        steps: Steps of gradient ascent.
        rate: Root mean square of the first step, in units of the image's range.
        l2: Weight of the squared norm.
        jitter: Shift the image by up to so many pixels in each step. 0 by default, the plain objective.
        blur: Width of a Gaussian over the image after each step. 0 by default, the plain objective.
        parametrisation: What is optimised: pixel (default) or frequency.
        seed: Of the jitter.
        batch_size: Classes at once; by default what suits the device.
        json: Print one JSON object instead of a table.
    """
    began = time.perf_counter()
    with user_mistakes():
        from vissum_jax.deep_inside.class_model import ClassModelConfig
        from vissum_jax.models import load_classifier, read_class_names
        from vissum_jax.pipeline import class_models

        check_batch_size(batch_size)
        given = {
            "steps": steps,
            "rate": rate,
            "l2": l2,
            "jitter": jitter,
            "blur": blur,
            "parametrisation": parametrisation,
            "seed": seed,
        }
        config = ClassModelConfig(**{name: value for name, value in given.items() if value is not None})
        class_models.check_out(out)
        have_default_weights(model, weights)
        names = None if class_names is None else read_class_names(class_names)
        classifier = load_classifier(model, weights=weights, class_names=names)
        chosen = class_models.select_classes(classifier, [name.strip() for name in classes.split(",")])
    with running():
        found = class_models.find_class_models(
            classifier,
            chosen,
            config,
            make_progress(),
            mean=class_models.mean_colour(model),
            batch_size=batch_size,
        )
        values = class_models.write_class_models(found, classifier, config, out)
    if json:
        print_json({**values, "out": str(out), "seconds": round(time.perf_counter() - began, 1)})
    else:
        _print_table(values)
        print(f"Report: {out / 'report' / 'index.html'}")
    return DONE if all(entry.finite for entry in found) else FAILED


def _print_table(values: dict) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("class", "probability", "score", "file"):
        table.add_column(heading, justify="left" if heading in ("class", "file") else "right")
    for entry in values["classes"]:
        figures = (("picture_probability", ".4f"), ("picture_score", ".1f"))
        numbers = ["-" if entry[name] is None else format(entry[name], form) for name, form in figures]
        table.add_row(escape(entry["class_name"]), *numbers, entry["file"])
    Console().print(table)
