"""What came out of a run of explanations: pages, and one JSON file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vissum_jax.pipeline.features_average import FOLDER as AVERAGES
from vissum_jax.pipeline.features_explain import ExplainRun, read_maps
from vissum_jax.pipeline.photograph_runs import STATUS_TITLES, by_class, outcome, photograph_of, section_of
from vissum_jax.pipeline.progress import Progress
from vissum_jax.report.gallery import Figure, Gallery, Item, Picture, write_gallery
from vissum_jax.report.overlays import heat_overlay
from vissum_jax.runs.store import write_atomically
from vissum_jax.types import MaskStatus

ANSWERS = "explanations.json"

_STATUS_TITLES = STATUS_TITLES | {MaskStatus.INFEASIBLE: "Unsupported"}


def explain_report(opened: ExplainRun, progress: Progress) -> Path:
    """Write the static report; returns its first page."""
    run = opened.run
    rows = opened.rows().to_pylist()
    statuses = Counter(row["status"] for row in rows)
    progress.start("report", len(rows))

    def item(row: dict) -> Item:
        progress.advance(1)
        return _item(opened, row)

    layers = Counter(feature["layer"] for row in rows for feature in row["features"] or ())
    name = run.classifier.spec.name
    gallery = Gallery(
        model=name,
        kind="Explanations",
        title=f"Why {name} answers as it does",
        lede=(
            "Of the filters that matter for the network's answer, those that speak most for it, and the pixels that "
            "they answer to."
        ),
        figures=(
            Figure("Photographs", str(len(rows))),
            *(Figure(_STATUS_TITLES[status], str(count)) for status, count in statuses.items()),
            Figure("Layers that speak", str(len(layers))),
        ),
        notes=(
            "A percentage is a filter's share of all that the relevant filters say for and against the answer. "
            "Heat maps show which pixels a filter's activations go back to; the combined map takes the largest of "
            "them at each pixel.",
        ),
        configuration=run.manifest.configuration,
        versions=run.manifest.versions,
    )
    page = write_gallery(run.folder / "report", gallery, by_class(rows, item), prefaces=_averages(opened, rows))
    progress.finish()
    return page


def _averages(opened: ExplainRun, rows: Sequence[dict]) -> dict[str, Item]:
    """What each class's relevant filters respond to, where `vissum features average` has shown it."""
    found = {}
    for row in rows:
        sheet = Path(opened.request.features) / AVERAGES / f"{row['class_index']}.png"
        if section_of(row) not in found and sheet.is_file():
            with Image.open(sheet) as file:
                pixels = np.asarray(file.convert("RGB"))
            alt = f"Averages of what the relevant filters of {row['class_name'].replace('_', ' ')} respond to"
            caption = "A filter a row: the average of what it responds to most, then the strongest examples"
            picture = Picture(caption, alt, pixels)
            found[section_of(row)] = Item(title="What its relevant filters respond to", pictures=(picture,))
    return found


def _item(opened: ExplainRun, row: dict) -> Item:
    """A photograph beside the heat maps of what speaks for its answer."""
    if row["explained_index"] is None:
        return Item(title=row["image"], warning=row["reason"])
    run, image, answer = opened.run, row["image"], row["explained_name"].replace("_", " ")
    photograph = photograph_of(run, row)
    pictures = [Picture("photograph", f"Photograph {image}", photograph)]
    if row["features"]:
        maps = read_maps(run.folder, image)
        for feature, heat in zip(row["features"], maps, strict=True):
            filter_name = f"{feature['layer']} {feature['channel']}"
            alt = f"What filter {filter_name} answers to in {image}"
            pictures.append(Picture(f"{filter_name}: {feature['strength']:.0%}", alt, heat_overlay(photograph, heat)))
        alt = f"What speaks for {answer} in {image}"
        pictures.append(Picture("combined", alt, heat_overlay(photograph, maps.max(axis=0))))
    facts = ((answer, f"{row['probability']:.3f}"),)
    return Item(title=image, pictures=pictures, facts=facts, warning=row["reason"])


def write_answers(opened: ExplainRun) -> Path:
    """Write what every photograph is explained by as ``explanations.json``; returns the file."""
    kept = ("image", "class_name", "status", "reason", "explained_index", "explained_name", "probability", "features")
    rows = [{name: row[name] for name in kept} for row in opened.rows().to_pylist()]
    path = opened.run.folder / ANSWERS
    write_atomically(path, json.dumps(rows, indent=1).encode())
    return path


def explain_outcome(opened: ExplainRun) -> dict[str, Any]:
    """Plain figures of a finished run, for JSON: statuses, and how many photographs each filter speaks for."""
    rows = opened.rows().to_pylist()
    names = Counter(f"{feature['layer']} {feature['channel']}" for row in rows for feature in row["features"] or ())
    return {**outcome(rows), "features": dict(names.most_common())}
