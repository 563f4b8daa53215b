"""``vissum evaluate parts``: do summaries coincide with annotated parts, and more so than other groupings do?"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vissum_jax._version import __version__
from vissum_jax.analysis.bootstrap import BootstrapConfig
from vissum_jax.analysis.concepts import ConceptConfig
from vissum_jax.analysis.parts import PartConfig
from vissum_jax.analysis.parts_comparison import (
    ON_OWN_PART,
    OURS,
    TITLES,
    WITHOUT_PART,
    over_classes,
    parts_markdown,
    share_of_members,
)
from vissum_jax.pipeline.finished import open_finished
from vissum_jax.pipeline.half_stability import half_stability
from vissum_jax.pipeline.memory import default_batch_size
from vissum_jax.pipeline.part_baselines import BASELINES, BaselineConfig, Grouping, group_anew
from vissum_jax.pipeline.part_scores import scored
from vissum_jax.pipeline.part_truth import PartTruth
from vissum_jax.pipeline.progress import Progress
from vissum_jax.pipeline.run import Run
from vissum_jax.pipeline.stages import read_class
from vissum_jax.report.evaluation import FOLDER
from vissum_jax.report.parts_plot import parts_picture
from vissum_jax.runs.engine import finish_parts
from vissum_jax.runs.store import PartStore, write_atomically

PARTS_VALUES, PARTS_TABLE, PARTS_PLOT = "parts.json", "parts.md", "parts.png"

_SCHEMA = pa.schema(
    [("method", pa.string()), ("group", pa.int32()), ("image", pa.int32())]
    + [(f"box_{side}", pa.int32()) for side in "xywh"]
)
_KEY = b"vissum.parts"  # of the schema's metadata: what a class has besides boxes


@dataclass(frozen=True, kw_only=True)
class PartsConfig:
    """Constants of the evaluation.

    Attributes:
        baselines: Groupings that the summaries are compared with.
        scoring: Of the measures.
        grouping: Of the baselines.
        bootstrap: Of the differences over classes.
        seed: Of the halves whose agreement is the stability.
    """

    baselines: tuple[str, ...] = BASELINES
    scoring: PartConfig = field(default_factory=PartConfig)
    grouping: BaselineConfig = field(default_factory=BaselineConfig)
    bootstrap: BootstrapConfig = field(default_factory=BootstrapConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the names and the seed."""
        for name in self.baselines:
            if name not in BASELINES:
                raise ValueError(f"unknown baseline {name!r}; known are {', '.join(BASELINES)}.")
        if self.seed < 0:
            raise ValueError(f"`seed` must not be negative, got {self.seed}.")


def seeded(seed: int, *, baselines: Sequence[str] | None = None) -> PartsConfig:
    """The constants with one seed for shuffles, halves, groupings and bootstrap; all baselines unless some are named.

    Raises:
        ValueError: If a baseline is unknown or the seed negative.
    """
    return PartsConfig(
        baselines=BASELINES if baselines is None else tuple(dict.fromkeys(baselines)),
        scoring=PartConfig(seed=seed),
        grouping=BaselineConfig(concepts=ConceptConfig(seed=seed)),
        bootstrap=BootstrapConfig(seed=seed),
        seed=seed,
    )


@dataclass(frozen=True, kw_only=True)
class PartsPlan:
    """What is compared, checked and ready to be computed.

    Attributes:
        run: The run.
        rows: Its mask rows.
        truth: What is known of the parts.
        config: Constants.
        batch_size: Crops at once.
    """

    run: Run
    rows: pa.Table
    truth: PartTruth
    config: PartsConfig
    batch_size: int

    @property
    def folder(self) -> Path:
        """Where the results are."""
        return self.run.folder / FOLDER


def plan_parts(
    run: Run, truth: PartTruth, *, config: PartsConfig | None = None, batch_size: int | None = None
) -> PartsPlan:
    """Check what is asked for.

    Args:
        run: A run whose summaries are done.
        truth: What is known of the parts of its photographs.
        config: Constants.
        batch_size: Crops at once; None for what suits the device.

    Raises:
        NotReadyError: If summaries are missing.
        ValueError: If nothing is known of any of the photographs.
    """
    open_finished(run.folder)
    rows = run.mask_rows()
    images = rows["image"].to_pylist()
    if not any(truth.covers(image) for image in images):
        raise ValueError(
            f"no part is annotated in any of the {len(images)} photographs, as {images[0]!r}; {truth.hint}."
        )
    size = default_batch_size() if batch_size is None else batch_size
    return PartsPlan(run=run, rows=rows, truth=truth, config=config or PartsConfig(), batch_size=size)


def evaluate_parts(plan: PartsPlan, progress: Progress) -> dict[str, Any]:
    """Group anew what is not done yet, score every grouping, write table, plot and values.

    Returns:
        Plain values, as ``parts.json`` holds them.
    """
    run = plan.run
    store = _store(plan)
    finish_parts(
        "evaluate_parts",
        store,
        sorted(run.manifest.classes),
        lambda number: _class_table(plan, number, progress),
        run.log,
        describe=lambda table: {"boxes": table.num_rows},
    )
    geometry = {row["image"]: row for row in plan.rows.drop_columns(["rle"]).to_pylist()}
    classes = [
        _class_values(plan, number, name, store.read(number), geometry)
        for number, name in sorted(run.manifest.classes.items())
    ]
    methods = (OURS, *plan.config.baselines)
    values = {
        "run": str(run.folder),
        "model": run.classifier.spec.name,
        "preset": run.config.preset,
        "fingerprint": run.manifest.fingerprint,
        "parts": list(plan.truth.names),
        "configuration": json.loads(json.dumps(dataclasses.asdict(plan.config))),
        **over_classes(classes, methods, plan.config.bootstrap),
        WITHOUT_PART: share_of_members(classes, WITHOUT_PART),
        "classes": classes,
    }
    if plan.truth.tells_own_parts:
        values[ON_OWN_PART] = share_of_members(classes, ON_OWN_PART)
    purity = {TITLES[name]: [entry["methods"].get(name, {}).get("purity") for entry in classes] for name in methods}
    shuffled = [entry["methods"][OURS]["shuffled_purity"] for entry in classes]
    picture = parts_picture([entry["class_name"] for entry in classes], purity, shuffled)
    write_atomically(plan.folder / PARTS_TABLE, parts_markdown(values).encode("utf-8", "backslashreplace"))
    write_atomically(plan.folder / PARTS_PLOT, picture)
    write_atomically(plan.folder / PARTS_VALUES, json.dumps(values, indent=1, allow_nan=False).encode())
    return values


def _store(plan: PartsPlan) -> PartStore:
    """Groupings by class, none of other summaries or constants; annotations come in afterwards."""
    parts = [plan.run.summaries.part(number).read_bytes() for number in sorted(plan.run.manifest.classes)]
    decisive = {
        "version": __version__,
        "fingerprint": plan.run.manifest.fingerprint,
        "summaries": hashlib.sha256(b"".join(parts)).hexdigest(),
        "baselines": plan.config.baselines,
        "grouping": repr(plan.config.grouping),
        "seed": plan.config.seed,
    }
    key = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
    return PartStore(plan.folder / "parts" / f"groups-{key[:12]}")


def _members(plan: PartsPlan, class_index: int) -> Grouping:
    """Kept members of a class's kept summaries."""
    result = plan.run.class_result(class_index)
    kept = [(summary.number, member) for summary in result.kept for member in summary.kept_members]
    if not kept:
        return Grouping.without(result.reason or "the class has no kept summary")
    return Grouping(
        images=np.array([member.image for _, member in kept]),
        boxes=np.array([member.box for _, member in kept]),
        labels=np.array([number for number, _ in kept]),
    )


def _class_table(plan: PartsPlan, class_index: int, progress: Progress) -> pa.Table:
    """The baselines' boxes of a class; its stability, and what failed, in the schema's metadata."""
    run, members = plan.run, _members(plan, class_index)
    groupings: dict[str, Grouping] = {}
    about: dict[str, Any] = {"stability": {"value": None, "reason": members.reason}, "reasons": {}}
    if not members.reason:
        _, images, masks = read_class(run, plan.rows, class_index)
        about["stability"] = half_stability(
            run.classifier,
            images,
            masks,
            run.class_result(class_index),
            run.config.stages,
            seed=plan.config.seed,
            batch_size=plan.batch_size,
            progress=progress,
        )
        progress.start("baselines", len(np.unique(members.images)))
        groupings = group_anew(
            run.classifier,
            images,
            members,
            plan.config.baselines,
            plan.config.grouping,
            batch_size=plan.batch_size,
            progress=progress.advance,
        )
        progress.finish()
        about["reasons"] = {name: grouping.reason for name, grouping in groupings.items() if grouping.reason}
    rows = [
        {"method": name, "group": int(label), "image": int(image), **_sides(box)}
        for name, grouping in groupings.items()
        for label, image, box in zip(grouping.labels, grouping.images, grouping.boxes, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=_SCHEMA.with_metadata({_KEY: json.dumps(about).encode()}))


def _sides(box: Sequence[int]) -> dict[str, int]:
    return {f"box_{side}": int(value) for side, value in zip("xywh", box, strict=True)}


def _class_values(
    plan: PartsPlan, class_index: int, name: str, table: pa.Table, geometry: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Scores of a class: of its summaries and of every other grouping."""
    about = json.loads((table.schema.metadata or {})[_KEY])
    files = tuple(entry.image for entry in plan.run.source.of_class(class_index))
    members = _members(plan, class_index)
    groupings = {OURS: members}
    columns = {key: np.array(values) for key, values in table.to_pydict().items()}
    for method in plan.config.baselines if not members.reason else ():
        if method in about["reasons"]:
            groupings[method] = Grouping.without(about["reasons"][method])
            continue
        own = columns["method"] == method
        groupings[method] = Grouping(
            images=columns["image"][own],
            boxes=np.stack([columns[f"box_{side}"][own] for side in "xywh"], axis=1),
            labels=columns["group"][own],
        )
    scores = {
        method: scored(grouping, files, geometry, plan.truth, plan.config.scoring)
        for method, grouping in groupings.items()
    }
    return {
        "class_index": class_index,
        "class_name": name,
        "reason": scores[OURS]["reason"],
        "stability": about["stability"],
        "methods": scores,
    }
