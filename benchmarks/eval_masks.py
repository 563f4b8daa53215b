"""Every way to find masks on the same photographs, compared: drop, area, transfer, localisation, curves, sanity.

    python benchmarks/eval_masks.py --model googlenet-bvlc --weights bvlc_googlenet_f32.npz --images PHOTOS --out WORK \
        --boxes BOXES [BOXES ..] --parts PARTS [--methods A,B,..] [--per-class 12] [--seed 0] [--json] [--quick]

The photographs are the first, in a seeded order, that the network answers rightly, so many of each class. `compact`
comes first; every other method is measured with its own masks, where it has any, and at the area of compact's mask of
the same image. Differences to compact have a 95 % interval by paired bootstrap over the images.

Methods are computed one after the other, part by part, and kept in WORK: the same command goes on where it was
stopped, unless the code that finds masks has changed. Writes benchmarks/results/masks_<model>.json, with --quick
WORK/masks_<model>.json, and a plot beside WORK's parts; prints the table.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measuring import commit
from vissum_jax.analysis.bootstrap import BootstrapConfig, paired_difference
from vissum_jax.analysis.drop import DropRow, cells, markdown
from vissum_jax.analysis.localisation import boxes_in_mask, points_in_mask
from vissum_jax.cli.main import use_compilation_cache
from vissum_jax.cli.progress import make_progress
from vissum_jax.data import Decoded, open_folder
from vissum_jax.data.annotations import Annotations, read_boxes, read_parts
from vissum_jax.masks.methods import METHODS
from vissum_jax.masks.solve import predict
from vissum_jax.models import load_classifier
from vissum_jax.pipeline.contenders import Contender, Photographs, Subject, guided_twin, in_batches
from vissum_jax.pipeline.evaluate_drop import TITLES, label_of
from vissum_jax.pipeline.measure_masks import (
    EQUAL_AREA,
    OWN,
    SOFT,
    MeasureConfig,
    mean_drop_curve,
    measure_method,
    measured_columns,
)
from vissum_jax.pipeline.memory import default_batch_size, device_name
from vissum_jax.pipeline.method_parts import finish_method
from vissum_jax.report.drop_plot import drop_picture
from vissum_jax.runs.log import FILE as LOG_FILE
from vissum_jax.runs.log import EventLog
from vissum_jax.runs.store import write_atomically
from vissum_jax.types import Classifier

REFERENCE = "compact"
STRICT = "compact_999"
STRICT_TARGET = 0.999
TARGETS = {"reaches_99": 0.99, "reaches_999": 0.999}
RESULTS = Path(__file__).parent / "results"
# Clothing was chosen with the help of one network's own answers, and the squashed birds are no photographs as taken.
CLASSES = (
    *("golden_retriever", "German_shepherd", "dalmatian", "saxophone", "starfish", "grand_piano", "revolver"),
    *("cub_American_Goldfinch", "cub_Black_footed_Albatross", "cub_Indigo_Bunting", "cub_Laysan_Albatross"),
)
QUICK_CLASSES = ("golden_retriever", "saxophone", "cub_Indigo_Bunting")
QUICK_METHODS = tuple(name for name in METHODS if name not in ("paper", "authors", "smooth_grad"))
QUICK = {"per_class": 2, "rise_masks": 200, "extremal_iterations": 60, "redrawn_per_class": 1}
COMPARED = (
    *("drop", "area", "transfer_mean_colour", "transfer_inpainting", "transfer_noise", "components"),
    *("in_box", "parts_hit", "deletion_auc", "insertion_auc"),
)
"""Measures whose difference to compact is given."""
PER_IMAGE = (*COMPARED, "passes")
BATCH_OF_PREDICTIONS = 16
SOURCES = ("masks", "attribution", "ops", "models")


class Chosen(NamedTuple):
    """The photographs compared, and where in them the truth is."""

    photographs: Photographs
    class_names: dict[int, str]
    passed_over: int
    boxes: dict[str, np.ndarray]
    parts: dict[str, np.ndarray]


def choose(
    classifier: Classifier,
    images: Path,
    classes: Sequence[str],
    boxes: Sequence[Annotations],
    parts: Sequence[Annotations],
    *,
    per_class: int,
    seed: int,
) -> Chosen:
    """Of every class the first photographs, in a seeded order, that the network answers rightly."""
    source = open_folder(images, classifier.spec, classes=classes)
    found: list[tuple[int, str, int, Decoded]] = []
    passed_over = 0
    for class_index, name in source.classes.items():
        entries = source.of_class(class_index)
        order = np.random.default_rng([seed, class_index]).permutation(len(entries))
        taken = 0
        for start in range(0, len(order), BATCH_OF_PREDICTIONS):
            batch = [entries[row] for row in order[start : start + BATCH_OF_PREDICTIONS]]
            decoded = source.read(batch, classifier.spec, workers=os.cpu_count() or 1)
            readable = [(e.image, d) for e, d in zip(batch, decoded, strict=True) if isinstance(d, Decoded)]
            pictures = np.stack([d.image for _, d in readable])
            answers = in_batches(lambda x: predict(classifier, x), pictures, size=BATCH_OF_PREDICTIONS).argmax(axis=1)
            for (image, photograph), answer in zip(readable, answers, strict=True):
                if taken < per_class:
                    if answer == class_index:
                        found.append((taken, image, class_index, photograph))
                        taken += 1
                    else:
                        passed_over += 1
            if taken == per_class:
                break
        if taken < per_class:
            raise SystemExit(f"{name}: only {taken} of {len(entries)} photographs are answered rightly.")
    # In turn of each class one: those whose sanity is checked come first, in full batches.
    found.sort(key=lambda one: (one[0], one[2]))
    spec = classifier.spec

    def truth(annotations: Sequence[Annotations], convert: Any) -> dict[str, np.ndarray]:
        known = ((image, decoded.crop, a.of(image)) for _, image, _, decoded in found for a in annotations)
        return {
            image: convert(values, crop, spec.input_height, spec.input_width)
            for image, crop, values in known
            if values is not None
        }

    photographs = Photographs(
        names=tuple(image for _, image, _, _ in found),
        images=np.stack([decoded.image for *_, decoded in found]),
        class_index=np.array([class_index for _, _, class_index, _ in found]),
    )
    return Chosen(photographs, source.classes, passed_over, truth(boxes, boxes_in_mask), truth(parts, points_in_mask))


def contenders(methods: Iterable[str], *, rise_masks: int, extremal_iterations: int) -> list[Contender]:
    """What is compared, the reference first."""
    chosen = []
    for name in dict.fromkeys((REFERENCE, *methods)):
        contender = Contender.of(REFERENCE if name == STRICT else name)
        if name == STRICT:
            config = dataclasses.replace(contender.config, target_drop=STRICT_TARGET)
            contender = dataclasses.replace(contender, name=STRICT, config=config)
        if name == "rise":
            contender = dataclasses.replace(contender, config=dataclasses.replace(contender.config, masks=rise_masks))
        if name == "extremal":
            config = dataclasses.replace(contender.config, iterations=extremal_iterations)
            contender = dataclasses.replace(contender, config=config)
        chosen.append(contender)
    return chosen


def some_of_each_class(class_index: np.ndarray, count: int) -> np.ndarray:
    """True for the first `count` rows of every class."""
    place = np.array([np.count_nonzero(class_index[:row] == index) for row, index in enumerate(class_index)])
    return place < count


def compute(
    subject: Subject,
    chosen: Chosen,
    fighters: Sequence[Contender],
    options: argparse.Namespace,
) -> dict[str, pa.Table]:
    """Every contender's rows; those that are kept in the work folder are not computed again."""
    photographs = chosen.photographs
    config = MeasureConfig(seed=options.seed)
    redrawn = some_of_each_class(photographs.class_index, options.redrawn_per_class)
    progress, log = make_progress(), EventLog(options.out / LOG_FILE)
    tables: dict[str, pa.Table] = {}
    area: np.ndarray | None = None
    source = source_digest()

    for contender in fighters:

        def work(part: slice, contender: Contender = contender, area: np.ndarray | None = area) -> pa.Table:
            return measure_method(
                subject,
                photographs.select(np.arange(part.start, part.stop)),
                contender,
                None if area is None else area[part],
                config,
                batch_size=options.batch_size,
                check_randomised=redrawn[part],
                progress=progress.advance,
            )

        tables[contender.name] = finish_method(
            options.out / "parts",
            contender.name,
            work,
            units=1 + redrawn,
            batch_size=options.batch_size,
            decisive={
                "source": source,
                "model": subject.classifier.spec.name,
                "weights": subject.classifier.spec.weights_sha256,
                "images": [hashlib.sha256(image.tobytes()).hexdigest() for image in photographs.images],
                "classes": photographs.class_index.tolist(),
                "contender": repr(contender),
                "config": repr(config),
                "redrawn": redrawn.tolist(),
                "area": None if area is None else area.tolist(),
            },
            log=log,
            progress=progress,
        )
        if area is None:
            own = of_form(tables[contender.name], OWN).to_pylist()
            failed = [row["image"] for row in own if row["area"] is None]
            if failed:
                raise SystemExit(f"{REFERENCE} has no mask to compare with for {', '.join(failed)}.")
            area = np.array([row["area"] for row in own], np.float32)
    return tables


def of_form(table: pa.Table, form: str) -> pa.Table:
    """Rows of one kind of mask."""
    return table.filter(pc.equal(table["form"], form))  # pyright: ignore[reportAttributeAccessIssue]


def summarise(
    tables: dict[str, pa.Table], chosen: Chosen, classifier: Classifier
) -> tuple[list[DropRow], dict[str, dict[str, np.ndarray]], dict[str, dict[str, Any]]]:
    """The table's lines, the columns behind them, and their differences to compact, by label."""
    spec = classifier.spec
    rows, columns, versus = [], {}, {}
    for name, table in tables.items():
        for form in (SOFT, OWN, EQUAL_AREA):
            part = of_form(table, form)
            if not len(part):
                continue
            values = measured_columns(
                part, chosen.boxes, chosen.parts, height=spec.input_height, width=spec.input_width
            )
            for column, target in TARGETS.items():
                values[column] = np.where(np.isfinite(values["drop"]), values["drop"] >= target, np.nan)
            label = label_of(name, form)
            rows.append(DropRow.of(label, name, form, values))
            columns[label] = values
    reference = columns[label_of(REFERENCE, EQUAL_AREA)]
    for label, values in columns.items():
        differences = {m: paired_difference(reference[m], values[m], BootstrapConfig()) for m in COMPARED}
        versus[label] = {m: vars(difference) for m, difference in differences.items() if difference.images}
    return rows, columns, versus


def source_digest() -> str:
    """Of the code that finds masks: what is kept of another version of it is computed again."""
    root = Path(__file__).parents[1] / "vissum_jax"
    files = [file for package in SOURCES for file in sorted((root / package).rglob("*.py"))]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def compactly(values: np.ndarray) -> list[float | None]:
    """Five digits each, null where there is none."""
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in values]


def main() -> None:
    """Parse, compute, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--images", type=Path, required=True, help="folder of class folders")
    parser.add_argument("--out", type=Path, required=True, help="work folder; made, or gone on with")
    parser.add_argument("--classes", help="class folders, separated by commas")
    parser.add_argument("--boxes", type=Path, nargs="*", default=[], help="CSV files or folders of PASCAL VOC's XML")
    parser.add_argument("--parts", type=Path, nargs="*", default=[], help="CSV files")
    parser.add_argument("--methods", help="beside compact, separated by commas; all by default")
    parser.add_argument("--per-class", type=int, default=12)
    parser.add_argument("--rise-masks", type=int, default=METHODS["rise"].config.masks)
    parser.add_argument("--extremal-iterations", type=int, default=METHODS["extremal"].config.iterations)
    parser.add_argument("--redrawn-per-class", type=int, default=2, help="images of the model-randomisation check")
    parser.add_argument("--batch-size", type=int, default=default_batch_size())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument("--quick", action="store_true", help=f"few classes and methods, and {QUICK}")
    options = parser.parse_args()
    if options.quick:
        vars(options).update(QUICK)
    classes = options.classes.split(",") if options.classes else QUICK_CLASSES if options.quick else CLASSES
    names = options.methods.split(",") if options.methods else (STRICT, *(QUICK_METHODS if options.quick else METHODS))
    use_compilation_cache()
    options.out.mkdir(parents=True, exist_ok=True)

    fighters = contenders(names, rise_masks=options.rise_masks, extremal_iterations=options.extremal_iterations)
    classifier = load_classifier(options.model, weights=options.weights)
    subject = Subject(classifier, guided_twin(options.model, options.weights, fighters))
    chosen = choose(
        classifier,
        options.images,
        classes,
        [read_boxes(path) for path in options.boxes],
        [read_parts(path) for path in options.parts],
        per_class=options.per_class,
        seed=options.seed,
    )
    tables = compute(subject, chosen, fighters, options)
    rows, columns, versus = summarise(tables, chosen, classifier)
    curves = {name: mean_drop_curve(table) for name, table in tables.items()}
    headings, lines = cells(rows, TITLES | {"redrawn_iou": "IoU redrawn", "chance_iou": "chance"})
    values = {
        "model": classifier.spec.name,
        "weights_sha256": classifier.spec.weights_sha256,
        "device": device_name(),
        "versions": {name: metadata.version(name) for name in ("jax", "jaxlib", "flax", "numpy")},
        "commit": commit(),
        "seed": options.seed,
        "images": len(chosen.photographs.names),
        "images_per_class": {name: options.per_class for name in chosen.class_names.values()},
        "passed_over_as_mispredicted": chosen.passed_over,
        "redrawn_per_class": options.redrawn_per_class,
        "constants": {contender.name: repr(contender.config) for contender in fighters},
        "results": [{"case": row.label, **row.plain(), "compact_minus_this": versus[row.label]} for row in rows],
        "curves": {name: compactly(curve) for name, curve in curves.items()},
        "per_image": {
            "images": list(chosen.photographs.names),
            "p_original": compactly(columns[label_of(REFERENCE, OWN)]["p_original"]),
            "values": {
                label: {name: compactly(measured[name]) for name in PER_IMAGE if np.isfinite(measured[name]).any()}
                for label, measured in columns.items()
            },
        },
        "table": {"headings": headings, "lines": lines},
    }
    file = f"masks_{classifier.spec.name}"
    target = (options.out if options.quick else RESULTS) / f"{file}.json"
    # A line for each value, so that two results can be compared line by line without filling a screen each.
    text = ",\n".join(f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in values.items())
    write_atomically(target, f"{{\n{text}\n}}\n".encode())
    own = columns[label_of(REFERENCE, OWN)]
    write_atomically(options.out / f"{file}.png", drop_picture(curves, own["area"], own["drop"], label=REFERENCE))
    if options.json:
        print(json.dumps({key: value for key, value in values.items() if key != "per_image"}, ensure_ascii=False))
        return
    print(f"{markdown(headings, lines)}\nWritten to {target}; plot: {options.out / file}.png")


if __name__ == "__main__":
    main()
