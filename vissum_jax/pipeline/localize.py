"""``vissum localize``: find the objects that a network sees, by saliency and graph cut (DI section 3.2).

    folder of photographs --localize_stage--> localizations/, overlays/ --write_coco--> localizations.json

A run as in `stages`: the same manifest, parts, resume and statuses. Boxes are in pixels of the original photograph.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vissum_jax.data import ImageEntry, UnreadableImage
from vissum_jax.deep_inside.graph_cut import Box, GraphCutConfig, Segment, segment
from vissum_jax.deep_inside.saliency import SaliencyConfig
from vissum_jax.pipeline.photograph_runs import (
    OVERLAYS,
    PHOTOGRAPH_COLUMNS,
    STATUS_TITLES,
    beside,
    by_class,
    failures,
    finish_shards,
    photograph_of,
    photograph_row,
    read_parts,
)
from vissum_jax.pipeline.progress import Progress
from vissum_jax.pipeline.run import Run, start_run
from vissum_jax.pipeline.saliency import Seen, see
from vissum_jax.pipeline.settings import RunConfig
from vissum_jax.report.gallery import Figure, Gallery, Item, Picture, Table, write_gallery
from vissum_jax.report.overlays import object_overlay, png
from vissum_jax.runs.manifest import load_manifest
from vissum_jax.runs.rows import decode_mask, encode_mask
from vissum_jax.runs.store import PartStore, write_atomically
from vissum_jax.types import Classifier, MaskStatus

FOLDER, COCO = "localizations", "localizations.json"

SCHEMA = pa.schema(
    [
        *PHOTOGRAPH_COLUMNS,
        ("rank", pa.int32()),
        ("candidate_index", pa.int32()),
        ("candidate_name", pa.string()),
        ("probability", pa.float32()),
        *((f"box_{side}", pa.float32()) for side in "xywh"),
        *((f"threshold_{side}", pa.float32()) for side in "xywh"),
        ("rle", pa.binary()),
        ("rle_height", pa.int32()),
        ("rle_width", pa.int32()),
    ]
)
"""Rows, one a photograph and class: the network's answers by rank from 0, and the folder's class wherever it ranks.

Boxes are in pixels of the original photograph: around what was cut out, and around the thresholded saliency. The
segment (COCO's run lengths) shows all of the photograph at the size of the cut.
"""

NO_SEEDS = "the saliency is the same everywhere, or nearly so: there is nothing to cut from"

_STATUS_TITLES = STATUS_TITLES | {MaskStatus.OK: "Localised", MaskStatus.INFEASIBLE: "No saliency"}


@dataclass(frozen=True, kw_only=True)
class LocalizeRequest(RunConfig):
    """Everything that decides the results of a localisation run.

    Attributes:
        top: So many of the network's answers are looked for in each photograph.
        saliency: Views and SmoothGrad.
        graph_cut: Seeds and cut.
    """

    top: int = 5
    saliency: SaliencyConfig = field(default_factory=lambda: SaliencyConfig(views="whole"))
    graph_cut: GraphCutConfig = field(default_factory=GraphCutConfig)

    def __post_init__(self) -> None:
        """Check `top`, and all that every run has."""
        super().__post_init__()
        if self.top < 1:
            raise ValueError(f"`top` must be at least 1, got {self.top}.")

    def resolved(self) -> dict[str, Any]:
        """All values that decide the results, as plain nested data."""
        plain = dataclasses.asdict(self)
        for name in ("overrides", "preset", "keep_mispredicted"):  # of masks
            del plain[name]
        return json.loads(json.dumps({"kind": FOLDER, **plain}))


@dataclass(frozen=True)
class LocalizeRun:
    """An open run of localisation.

    Attributes:
        run: Folder, manifest, network and photographs.
        request: What was asked for.
    """

    run: Run
    request: LocalizeRequest

    @property
    def store(self) -> PartStore:
        """Localisation rows, a part a shard."""
        return PartStore(self.run.folder / FOLDER)

    def rows(self) -> pa.Table:
        """All rows; every part must be done."""
        return read_parts(self.run, self.store, "localize")


def start_localize(request: LocalizeRequest, folder: Path | str) -> LocalizeRun:
    """Start a run in a new folder, or go on with the one that is there.

    Raises:
        FileNotFoundError: See `run.start_run`.
        ValueError: Likewise, or if the network has fewer classes than `top`.
    """

    def check(classifier: Classifier) -> None:
        count = len(classifier.spec.class_names)
        if request.top > count:
            raise ValueError(
                f"`top` must be at most {count}, the classes of {classifier.spec.name!r}, got {request.top}."
            )

    return LocalizeRun(start_run(request, folder, check=check), request)


def open_localize(folder: Path | str) -> LocalizeRun:
    """Open a run that was started before, as its manifest describes it.

    Raises:
        FileNotFoundError: There is no run, or its photographs or weights are gone.
        ValueError: It is a run of another kind, or what it was made from has changed since.
    """
    manifest = load_manifest(Path(folder))
    if manifest.configuration.get("kind") != FOLDER:
        raise ValueError(f"{str(folder)!r} is not a run of `vissum localize`.")
    request = dict(manifest.request)
    request |= {
        "classes": tuple(request["classes"]),
        "saliency": SaliencyConfig(**request["saliency"]),
        "graph_cut": GraphCutConfig(**request["graph_cut"]),
    }
    return start_localize(LocalizeRequest(**request), folder)


def localize_stage(opened: LocalizeRun, progress: Progress, *, batch_size: int | None = None) -> None:
    """Find the objects in every photograph; one part a shard."""
    run, request = opened.run, opened.request

    def work(number: int) -> pa.Table:
        entries = run.source.entries[slice(*run.manifest.shards[number])]
        rows = []
        seen = see(run, entries, request.saliency, top=request.top, with_label=True, batch_size=batch_size)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for entry, result in zip(entries, seen, strict=True):
                rows += _rows(run, entry, result, request, pool)
                progress.advance(1)
        return pa.Table.from_pylist(rows, schema=SCHEMA)

    finish_shards(run, opened.store, FOLDER, work, progress)


def _rows(
    run: Run, entry: ImageEntry, seen: Seen | UnreadableImage, request: LocalizeRequest, pool: ThreadPoolExecutor
) -> list[dict]:
    """A photograph's rows, a class each; its picture is written beside."""
    shared = photograph_row(run, entry, seen, keep_mispredicted=True)
    if shared["status"] != MaskStatus.OK or isinstance(seen, UnreadableImage):
        return [shared]
    answers = seen.classes.tolist()
    wanted = range(len(answers) - (answers[-1] in answers[:-1]))  # the folder's class stands last; not twice
    pixels = seen.photograph.pixels
    segments = list(pool.map(lambda number: segment(pixels, seen.saliency[number], request.graph_cut), wanted))
    best = segments[0]
    if best is not None:
        picture = object_overlay(pixels, best.mask, best.box)
        write_atomically(beside(run.folder, OVERLAYS, entry.image, ".png"), png(picture))
    return [
        shared | _candidate(run, seen, answers[number], found) for number, found in zip(wanted, segments, strict=True)
    ]


def _candidate(run: Run, seen: Seen, index: int, found: Segment | None) -> dict:
    row = {
        "rank": int(np.sum(seen.probability > seen.probability[index])),
        "candidate_index": index,
        "candidate_name": run.classifier.spec.class_names[index],
        "probability": float(seen.probability[index]),
    }
    if found is None:
        return row | {"status": MaskStatus.INFEASIBLE.value, "reason": NO_SEEDS}
    width, height = seen.photograph.width, seen.photograph.height

    def in_pixels(name: str, box: Box) -> dict:
        return {
            f"{name}_{side}": share * length
            for side, share, length in zip("xywh", box, (width, height) * 2, strict=True)
        }

    return row | {
        **in_pixels("box", found.box),
        **in_pixels("threshold", found.threshold_box),
        "rle": encode_mask(found.mask),
        "rle_height": found.mask.shape[0],
        "rle_width": found.mask.shape[1],
    }


def write_coco(opened: LocalizeRun) -> Path:
    """Write what was found in COCO's format: boxes and run-length segments in pixels of the original photographs.

    Returns:
        The file, ``localizations.json``.
    """
    rows = opened.rows().to_pylist()
    spec = opened.run.classifier.spec
    numbers = {image: number for number, image in enumerate(dict.fromkeys(row["image"] for row in rows), start=1)}
    sizes = {row["image"]: (row["photograph_width"], row["photograph_height"]) for row in rows}
    found = [row for row in rows if row["rle"] is not None and row["rank"] < opened.request.top]
    used = sorted({row["candidate_index"] for row in found})
    values = {
        "info": {"description": f"Localisations of {spec.name} by saliency and graph cut"},
        "images": [
            {"id": number, "file_name": image, "width": sizes[image][0], "height": sizes[image][1]}
            for image, number in numbers.items()
            if sizes[image][0] is not None
        ],
        # COCO's categories count from 1.
        "categories": [{"id": index + 1, "name": spec.class_names[index]} for index in used],
        "annotations": [_annotation(row, number, numbers[row["image"]]) for number, row in enumerate(found, start=1)],
    }
    path = opened.run.folder / COCO
    write_atomically(path, json.dumps(values, ensure_ascii=False).encode())
    return path


def _annotation(row: dict, number: int, image: int) -> dict:
    height, width = row["photograph_height"], row["photograph_width"]
    mask = decode_mask(row["rle"], row["rle_height"], row["rle_width"])
    rows = (np.arange(height) * mask.shape[0]) // height
    columns = (np.arange(width) * mask.shape[1]) // width
    large = mask[rows[:, None], columns]
    counts = encode_mask(large).decode("ascii")
    return {
        "id": number,
        "image_id": image,
        "category_id": row["candidate_index"] + 1,
        "bbox": [round(row[f"box_{side}"], 2) for side in "xywh"],
        "area": int(large.sum()),
        "segmentation": {"size": [height, width], "counts": counts},
        "iscrowd": 0,
        "score": round(row["probability"], 6),
        "rank": row["rank"],
    }


def localize_report(opened: LocalizeRun, progress: Progress, evaluation: Table | None = None) -> Path:
    """Write the static report; returns its first page.

    Args:
        opened: A run whose parts are done.
        progress: Shows the progress.
        evaluation: How the boxes compare with annotated ones, if that was measured.
    """
    run = opened.run
    rows = opened.rows().to_pylist()
    answers: dict[str, list[dict]] = {}
    for row in rows:
        answers.setdefault(row["image"], []).append(row)
    firsts = [own[0] for own in answers.values()]
    statuses = Counter(row["status"] for row in firsts)
    progress.start("report", len(firsts))

    def item(row: dict) -> Item:
        progress.advance(1)
        if row["candidate_index"] is None:
            return Item(title=row["image"], warning=row["reason"])
        photograph = photograph_of(run, row)
        pictures = [Picture("photograph", f"Photograph {row['image']}", photograph)]
        if row["rle"] is not None:
            mask = decode_mask(row["rle"], row["rle_height"], row["rle_width"])
            sides = (row["photograph_width"], row["photograph_height"]) * 2
            x, y, w, h = (row[f"box_{side}"] / length for side, length in zip("xywh", sides, strict=True))
            name = row["candidate_name"]
            alt = f"The object found for {name} in colour, with its box"
            pictures.append(Picture(name.replace("_", " "), alt, object_overlay(photograph, mask, (x, y, w, h))))
        return Item(
            title=row["image"],
            pictures=pictures,
            facts=[
                (own["candidate_name"].replace("_", " "), f"{own['probability']:.3f}") for own in answers[row["image"]]
            ],
            warning=row["reason"],
        )

    spec = run.classifier.spec
    gallery = Gallery(
        model=spec.name,
        kind="Localisation",
        title=f"What {spec.name} sees, and where",
        lede=(
            "Nobody told the network where objects are: the gradient of a class's score marks a few pixels of it, and "
            "a graph cut along the photograph's edges finds the rest. In colour, with its box in red: what was found "
            "for the network's first answer."
        ),
        figures=(
            Figure("Photographs", str(len(firsts))),
            *(Figure(_STATUS_TITLES[status], str(n)) for status, n in statuses.items()),
        ),
        tables=() if evaluation is None else (evaluation,),
        notes=("Below each photograph: the network's answers, and the folder's class where it is none of them.",),
        configuration=run.manifest.configuration,
        versions=run.manifest.versions,
    )
    page = write_gallery(run.folder / "report", gallery, by_class(firsts, item))
    progress.finish()
    return page


def localize_outcome(opened: LocalizeRun) -> dict[str, Any]:
    """Plain figures of a finished run, for JSON."""
    rows = opened.rows().to_pylist()
    by_image: dict[str, list[dict]] = {}
    for row in rows:
        by_image.setdefault(row["image"], []).append(row)
    firsts = [own[0] for own in by_image.values()]
    return {
        "photographs": len(firsts),
        "statuses": dict(Counter(row["status"] for row in firsts)),
        "boxes": sum(row["rle"] is not None for row in rows),
        "failed": failures(firsts),
    }
