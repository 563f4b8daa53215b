"""``vissum evaluate drop``: VS table 2 for a run's own photographs, with transfer and baselines of equal area."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float

from vissum_jax.analysis.drop import DropRow, cells, markdown
from vissum_jax.analysis.localisation import boxes_in_mask, points_in_mask
from vissum_jax.data.annotations import Annotations
from vissum_jax.pipeline.contenders import Contender, Photographs, Subject, guided_twin
from vissum_jax.pipeline.measure_masks import (
    EQUAL_AREA,
    OWN,
    SOFT,
    MeasureConfig,
    form_table,
    mean_drop_curve,
    measure_binary,
    measure_method,
    measured_columns,
)
from vissum_jax.pipeline.memory import default_batch_size
from vissum_jax.pipeline.method_parts import finish_method
from vissum_jax.pipeline.progress import Progress
from vissum_jax.pipeline.run import Run
from vissum_jax.pipeline.stages import read_unchanged
from vissum_jax.report.drop_plot import drop_picture
from vissum_jax.report.evaluation import DROP_PLOT, DROP_TABLE, DROP_VALUES, FOLDER
from vissum_jax.runs.rows import decode_mask
from vissum_jax.runs.store import write_atomically
from vissum_jax.types import HAS_MASK, Crop

PAPERS_METHOD = "iebb"
"""What VS table 2 compares with: always part of the table."""

DEFAULT_METHODS = ("random", "smoothed_gradient")
"""A drop alone proves little: a random mask of equal area, and one pass of gradient."""

RUN_METHOD = "run"
"""Name of the run's own masks among the methods."""

TITLES = {
    "drop": "drop",
    "area": "area",
    "transfer_mean_colour": "mean colour",
    "transfer_inpainting": "inpainting",
    "transfer_noise": "noise",
    "in_box": "in box",
    "parts_hit": "parts hit",
    "deletion_auc": "deletion",
    "insertion_auc": "insertion",
    "components": "regions",
    "passes": "passes",
}
"""Headings of the table's columns."""

_PAPERS_LABELS = {SOFT: "IEBB", EQUAL_AREA: "IEBB thresh", OWN: "IEBB, binary at 1/2"}
_FORM_LABELS = {SOFT: "continuous", EQUAL_AREA: "equal area", OWN: "own area"}
_RUN_LABELS = {SOFT: "continuous", OWN: "binary"}


def label_of(method: str, form: str) -> str:
    """What a table calls a method's masks; FV's keep the names of VS table 2."""
    return _PAPERS_LABELS[form] if method == PAPERS_METHOD else f"{method}, {_FORM_LABELS[form]}"


@dataclass(frozen=True, kw_only=True)
class DropPlan:
    """What is compared, checked and ready to be computed.

    Attributes:
        run: The run.
        rows: Its mask rows that are compared.
        left_out: Number of images without a mask, by status.
        contenders: What the run's masks are compared with.
        subject: The network explained.
        boxes: Boxes of the objects in pixels of the mask, by image.
        parts: Centres of the visible parts likewise.
        config: Constants of the measures.
        batch_size: Images at once.
    """

    run: Run
    rows: pa.Table
    left_out: Mapping[str, int]
    contenders: tuple[Contender, ...]
    subject: Subject
    boxes: Mapping[str, Float[np.ndarray, "k 4"]]
    parts: Mapping[str, Float[np.ndarray, "k 2"]]
    config: MeasureConfig
    batch_size: int

    @property
    def folder(self) -> Path:
        """Where the results are."""
        return self.run.folder / FOLDER


def plan_drop(
    run: Run,
    *,
    methods: Sequence[str] = DEFAULT_METHODS,
    limit: int | None = None,
    boxes: Annotations | None = None,
    parts: Annotations | None = None,
    config: MeasureConfig | None = None,
    batch_size: int | None = None,
) -> DropPlan:
    """Check what is asked for and take it in.

    Args:
        run: A run whose masks are done.
        methods: Names of methods to compare with, at the areas of the run's masks.
        limit: Most images of a class; None for all.
        boxes: Boxes of the objects in the photographs.
        parts: Centres of their visible parts.
        config: Constants of the measures.
        batch_size: Images at once; None for what suits the device.

    Raises:
        NotReadyError: If the masks are not done.
        ValueError: If a method is unknown (the nearest is named) or cannot be had, no image has a mask, or no
            annotation is about any of them.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"`limit` must be at least 1, got {limit}.")
    contenders = tuple(Contender.of(name) for name in dict.fromkeys((PAPERS_METHOD, *methods)))
    table = run.mask_rows()
    statuses = table["status"].to_pylist()
    taken: Counter[int] = Counter()
    chosen = []
    for row, (status, class_index) in enumerate(zip(statuses, table["class_index"].to_pylist(), strict=True)):
        if status in HAS_MASK and (limit is None or taken[class_index] < limit):
            taken[class_index] += 1
            chosen.append(row)
    left_out = Counter(status for status in statuses if status not in HAS_MASK)
    if not chosen:
        found = ", ".join(f"{count} {status}" for status, count in left_out.items())
        raise ValueError(f"{str(run.folder)!r}: no image has a mask ({found}); there is nothing to evaluate.")
    rows = table.take(chosen)
    return DropPlan(
        run=run,
        rows=rows,
        left_out=dict(left_out),
        contenders=contenders,
        subject=Subject(run.classifier, guided_twin(run.config.model, run.config.weights, contenders)),
        boxes=_in_mask_geometry(boxes, rows, boxes_in_mask, "--boxes"),
        parts=_in_mask_geometry(parts, rows, points_in_mask, "--parts"),
        config=config or MeasureConfig(),
        batch_size=default_batch_size() if batch_size is None else batch_size,
    )


def _in_mask_geometry(
    annotations: Annotations | None,
    rows: pa.Table,
    convert: Callable[[np.ndarray, Crop, int, int], np.ndarray],
    option: str,
) -> dict[str, np.ndarray]:
    if annotations is None:
        return {}
    found = {}
    for row in rows.select(["image", "height", "width", *(f"crop_{side}" for side in "xywh")]).to_pylist():
        truth = annotations.of(row["image"])
        if truth is not None:
            crop = Crop(*(row[f"crop_{side}"] for side in "xywh"))
            found[row["image"]] = convert(truth, crop, row["height"], row["width"])
    if not found:
        raise ValueError(f"{option}: nothing is annotated in any of the {len(rows)} images, as {rows['image'][0]}.")
    return found


def evaluate_drop(plan: DropPlan, progress: Progress) -> dict[str, Any]:
    """Compute what is not done yet, write the table and the plot.

    Returns:
        Plain values, as ``drop.json`` holds them.
    """
    own = _finish(plan, None, progress)
    tables = {contender.name: _finish(plan, contender, progress) for contender in plan.contenders}
    preset = plan.run.config.preset
    rows = []
    for name, table in ({RUN_METHOD: own} | tables).items():
        for form in (SOFT, OWN, EQUAL_AREA):
            of_form = table.filter(pc.equal(table["form"], form))  # pyright: ignore[reportAttributeAccessIssue]
            if len(of_form):
                label = f"{preset} (this run), {_RUN_LABELS[form]}" if name == RUN_METHOD else label_of(name, form)
                rows.append(DropRow.of(label, name, form, _columns(plan, of_form)))
    curves = {name: mean_drop_curve(table) for name, table in tables.items()}
    headings, lines = cells(rows, TITLES)
    values = {
        "run": str(plan.run.folder),
        "model": plan.run.classifier.spec.name,
        "preset": preset,
        "fingerprint": plan.run.manifest.fingerprint,
        "images": len(plan.rows),
        "left_out": plan.left_out,
        "rows": [row.plain() for row in rows],
        "curves": {name: [round(float(value), 6) for value in curve] for name, curve in curves.items()},
        "table": {"headings": headings, "lines": lines},
    }
    masks = _columns(plan, own.filter(pc.equal(own["form"], OWN)))  # pyright: ignore[reportAttributeAccessIssue]
    picture = drop_picture(curves, masks["area"], masks["drop"], label=f"{preset} (this run)")
    write_atomically(plan.folder / DROP_TABLE, markdown(headings, lines).encode())
    write_atomically(plan.folder / DROP_PLOT, picture)
    write_atomically(plan.folder / DROP_VALUES, json.dumps(values, indent=1, ensure_ascii=False).encode())
    return values


def _finish(plan: DropPlan, contender: Contender | None, progress: Progress) -> pa.Table:
    """All rows of a method, or of the run's own masks."""

    def work(part: slice) -> pa.Table:
        if contender is None:
            return _own_rows(plan, part, progress)
        return _contender_rows(plan, contender, part, progress)

    return finish_method(
        plan.folder / "parts",
        RUN_METHOD if contender is None else contender.name,
        work,
        units=np.ones(len(plan.rows), int),
        batch_size=plan.batch_size,
        # Annotations come in afterwards.
        decisive={
            "fingerprint": plan.run.manifest.fingerprint,
            "images": plan.rows["image"].to_pylist(),
            "masks": hashlib.sha256(b"".join(plan.rows["rle"].to_pylist())).hexdigest(),
            "contender": repr(contender),
            "config": repr(plan.config),
        },
        log=plan.run.log,
        progress=progress,
    )


def _photographs(plan: DropPlan, part: slice) -> tuple[Photographs, list[dict[str, Any]]]:
    """Photographs of a part, with their mask rows."""
    rows = plan.rows[part].to_pylist()
    entries = {entry.image: entry for entry in plan.run.source.entries}
    images = read_unchanged(plan.run, [entries[row["image"]] for row in rows], [row["content_sha256"] for row in rows])
    photographs = Photographs(
        names=tuple(row["image"] for row in rows),
        images=images,
        class_index=np.array([row["class_index"] for row in rows]),
    )
    return photographs, rows


def _own_rows(plan: DropPlan, part: slice, progress: Progress) -> pa.Table:
    """The run's own masks: the continuous ones are not kept, but their drop is."""
    photographs, rows = _photographs(plan, part)
    passes = np.array([row["passes"] for row in rows])
    soft = {"drop": np.array([row["drop_soft"] for row in rows]), "passes": passes}
    salient = np.stack([decode_mask(row["rle"], row["height"], row["width"]) for row in rows])
    binary = measure_binary(plan.run.classifier, photographs, salient, batch_size=plan.batch_size)
    progress.advance(len(rows))
    return pa.concat_tables(
        [form_table(photographs, SOFT, soft), form_table(photographs, OWN, {**binary, "passes": passes})]
    )


def _contender_rows(plan: DropPlan, contender: Contender, part: slice, progress: Progress) -> pa.Table:
    photographs, rows = _photographs(plan, part)
    return measure_method(
        plan.subject,
        photographs,
        contender,
        np.array([row["area"] for row in rows]),
        plan.config,
        batch_size=plan.batch_size,
        progress=progress.advance,
    )


def _columns(plan: DropPlan, table: pa.Table) -> dict[str, np.ndarray]:
    spec = plan.run.classifier.spec
    return measured_columns(table, plan.boxes, plan.parts, height=spec.input_height, width=spec.input_width)
