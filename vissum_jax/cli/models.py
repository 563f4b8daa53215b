"""``vissum models list | convert | verify``: networks and their weight files."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from vissum_jax.cli.errors import DONE, FAILED, check_batch_size, running, user_mistakes
from vissum_jax.cli.groups import group
from vissum_jax.cli.options import Flag, optional
from vissum_jax.cli.output import print_json
from vissum_jax.cli.progress import make_progress
from vissum_jax.cli.weights import have_default_weights

if TYPE_CHECKING:
    from vissum_jax.models.listing import ModelFacts
    from vissum_jax.pipeline.verify import Verification


def list_models(*, json: Flag = False) -> int:
    """List the networks that can be named with --model, and where their weights are.

    Weights are "installed" with a package, "cached" from an earlier download, fetched when they are first used
    ("download"), or a file that you name ("by hand"). VISSUM_OFFLINE=1 forbids downloads; VISSUM_WEIGHTS_MIRROR
    is a base URL that takes the place of the official host.

    Args:
        json: Print one JSON object instead of a table.
    """
    with user_mistakes():
        from vissum_jax.models import listing

        models = listing.list_models()
    if json:
        print_json({"models": [_plain(model) for model in models]})
    else:
        _print_models(models)
    return DONE


def convert(
    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SRC")],
    destination: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DST")],
    /,
    *,
    model: Annotated[str | None, optional("NAME")] = None,
    class_names: Annotated[Path | None, optional("FILE")] = None,
    dtype: Annotated[str, optional("TYPE")] = "float32",
    json: Flag = False,
) -> int:
    """Write a network's weights in this package's own layout.

    For instance:
      vissum models convert resnet50-0676ba61.pth resnet50.safetensors
      vissum models convert tuned.pth tuned.npz --model resnet18 --class-names names.txt --dtype float16

    Args:
        source: Weight file (.pth, .pt, .npz, .safetensors) or Orbax folder.
        destination: .npz, .safetensors, or an Orbax folder (.orbax or no ending); must not exist.
        model: Name of the network; by default the one whose keys and shapes the file has.
        class_names: Names of the network's classes, if the file holds none: one a line, or JSON.
        dtype: Number type on disk: float32 (default), float16, or bfloat16 (not in .npz).
        json: Print one JSON object.
    """
    with user_mistakes():
        from vissum_jax.models import read_class_names
        from vissum_jax.models.convert import convert_weights

        names = None if class_names is None else read_class_names(class_names)
        converted = convert_weights(source, destination, model=model, class_names=names, dtype=dtype)
    if json:
        print_json({"source": str(source), "destination": str(destination), **dataclasses.asdict(converted)})
    else:
        print(
            f"{destination}: {converted.model}, {converted.parameters} parameters, {converted.classes} classes, "
            f"{dtype}\nSHA-256: {converted.sha256}"
        )
    return DONE


def verify(
    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")],
    /,
    *,
    images: Annotated[Path, tyro.conf.arg(metavar="DIR")],
    weights: Annotated[Path | None, optional("FILE")] = None,
    class_names: Annotated[Path | None, optional("FILE")] = None,
    classes: Annotated[str | None, optional("A,B,..")] = None,
    limit: Annotated[int | None, optional("N")] = None,
    batch_size: Annotated[int | None, optional("N")] = None,
    json: Flag = False,
) -> int:
    """Check a weight file: its keys, its hash, and what the network recognises with it.

    For instance:
      vissum models verify googlenet-bvlc --weights bvlc.npz --images photos --limit 50

    Exits with 1 if the network recognises far too little: if the upper end of the 95 % interval (Wilson) of its
    top-1 share, plus 0.15, is below the published top-1 accuracy on ImageNet's validation images.

    Args:
        model: Name of the network, or package.module:function.
        images: Folder of class folders (see vissum run), or of files that begin with their WordNet id.
        weights: Weight file of the network; by default as in vissum run.
        class_names: Names of the network's classes, if the weight file holds none: one a line, or JSON.
        classes: Classes to take, separated by commas: names, WordNet ids or indices. All by default.
        limit: Most images of a class.
        batch_size: Images at once; by default what suits the device.
        json: Print one JSON object instead of a table.
    """
    began = time.perf_counter()
    with user_mistakes():
        from vissum_jax.models import load_classifier, read_class_names
        from vissum_jax.pipeline.verify import open_labelled, verify_classifier

        check_batch_size(batch_size)
        have_default_weights(model, weights)
        names = None if class_names is None else read_class_names(class_names)
        classifier = load_classifier(model, weights=weights, class_names=names)
        chosen = () if classes is None else tuple(name.strip() for name in classes.split(","))
        source = open_labelled(images, classifier.spec, classes=chosen, limit=limit)
    with running():
        result = verify_classifier(classifier, source, make_progress(), batch_size=batch_size)
    if json:
        print_json(
            {
                "model": classifier.spec.name,
                "weights_sha256": classifier.spec.weights_sha256,
                "keys": "complete",
                **result.plain(),
                "seconds": round(time.perf_counter() - began, 1),
            }
        )
    else:
        print(f"{classifier.spec.name}: every key of the weights has its place, none is left over.")
        print(f"SHA-256: {classifier.spec.weights_sha256 or 'no file'}")
        _print_verification(result)
    return FAILED if result.far_below or result.unreadable else DONE


models = group(
    "List networks, convert and check their weights.", {"list": list_models, "convert": convert, "verify": verify}
)


def _plain(model: ModelFacts) -> dict[str, object]:
    plain = dataclasses.asdict(model)
    place = plain.pop("weights")
    path = None if place["path"] is None else str(place["path"])
    return {**plain, "weights": str(place["state"]), "path": path, "url": place["url"]}


def _print_models(models: list[ModelFacts]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    table = Table(box=None, pad_edge=False)
    for heading in ("name", "parameters", "input", "top-1", "weights", "licence"):
        right = heading in ("parameters", "input", "top-1")
        table.add_column(heading, justify="right" if right else "left", no_wrap=heading != "licence")
    sources = Table(box=None, pad_edge=False)
    sources.add_column("name", no_wrap=True)
    sources.add_column("where the weights come from", overflow="fold")
    for model in models:
        table.add_row(
            model.name,
            f"{model.parameters / 1e6:.1f} M",
            f"{model.input_size} px",
            "-" if model.known_top1 is None else f"{model.known_top1:.3f}",
            str(model.weights.state),
            escape(model.licence),
        )
        sources.add_row(model.name, escape(model.source))
    console.print(table)
    console.print()
    console.print(sources)


def _print_verification(result: Verification) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("class", "images", "top-1", "95 % interval", "top-5"):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    for name, counts in (
        *((result.class_names[index], counts) for index, counts in result.by_class.items()),
        ("all", result.total),
    ):
        low, high = counts.top1_interval
        shares = [f"{count / counts.images:.3f}" if counts.images else "-" for count in (counts.top1, counts.top5)]
        table.add_row(escape(name), str(counts.images), shares[0], f"{low:.3f} to {high:.3f}", shares[1])
    Console().print(table)
    for image, reason in result.unreadable:
        print(f"unreadable: {image!r}: {reason}")
    if result.known_top1 is not None:
        verdict = "far below that: wrong weights, class order or labels" if result.far_below else "not far below that"
        print(f"Published top-1 on ImageNet's validation images: {result.known_top1:.3f}; these are {verdict}.")
