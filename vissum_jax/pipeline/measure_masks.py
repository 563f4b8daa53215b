"""One method's masks of some photographs, measured: a row a photograph and kind of mask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int

from vissum_jax.analysis.localisation import parts_hit, share_inside
from vissum_jax.analysis.randomisation import chance_overlap, intersection_over_union, rank_correlation
from vissum_jax.masks.config import MaskConfig
from vissum_jax.masks.measures import CurveConfig, area_under, drop, judge, perturbation_curves, redrawn
from vissum_jax.masks.perturbation import TRANSFERS
from vissum_jax.masks.solve import predict
from vissum_jax.pipeline.contenders import Contender, Photographs, Subject, find, in_batches, level_sets
from vissum_jax.pipeline.memory import count_regions
from vissum_jax.runs.rows import decode_mask, encode_mask
from vissum_jax.types import Classifier

SOFT, OWN, EQUAL_AREA = "soft", "own", "equal_area"
"""Kinds of masks: continuous; binary as the method itself has them; binary at a given area."""

MEASURES = (
    "drop",
    "area",
    *(f"transfer_{name}" for name in TRANSFERS),
    "components",
    "deletion_auc",
    "insertion_auc",
    "redrawn_iou",
    "chance_iou",
    "redrawn_correlation",
)
"""Measured columns; null where a kind of mask does not have them, or the method failed."""

LOCALISATION = ("in_box", "parts_hit")
"""Columns that follow from masks and annotations, which may come later."""

SCHEMA = pa.schema(
    [
        ("image", pa.string()),
        ("class_index", pa.int32()),
        ("form", pa.string()),
        ("p_original", pa.float32()),
        *((name, pa.float32()) for name in MEASURES),
        ("passes", pa.int32()),
        ("rle", pa.binary()),
        ("deletion", pa.list_(pa.float32())),
        ("insertion", pa.list_(pa.float32())),
    ]
)


@dataclass(frozen=True, kw_only=True)
class MeasureConfig:
    """Constants of the comparison.

    Attributes:
        curves: Deletion and insertion curves.
        seed: Of methods that draw, and of the weights drawn anew.
    """

    curves: CurveConfig = field(default_factory=CurveConfig)
    seed: int = 0


def measure_binary(
    classifier: Classifier, photographs: Photographs, salient: Bool[np.ndarray, "n h w"], *, batch_size: int
) -> dict[str, Any]:
    """Columns of binary masks: drops under every perturbation, area, regions."""
    judged = in_batches(
        partial(judge, classifier), photographs.images, photographs.class_index, salient, size=batch_size
    )
    return {
        "p_original": judged.p_original,
        "drop": drop(judged.p_original, judged.p_binary),
        "area": salient.mean(axis=(1, 2)),
        **{
            f"transfer_{name}": drop(judged.p_original, judged.p_transfers[:, number])
            for number, name in enumerate(TRANSFERS)
        },
        "components": np.array([count_regions(mask) for mask in salient], np.float32),
        "rle": [encode_mask(mask) for mask in salient],
    }


def measure_method(
    subject: Subject,
    photographs: Photographs,
    contender: Contender,
    area: Float[np.ndarray, " n"] | None,
    config: MeasureConfig,
    *,
    batch_size: int,
    check_randomised: Bool[np.ndarray, " n"] | None = None,
    progress: Callable[[int], object] | None = None,
) -> pa.Table:
    """Find and measure a method's masks: the continuous ones, its own binary ones and those at a given area.

    Args:
        subject: The network explained.
        photographs: What is explained.
        contender: What finds the masks.
        area: Share of each photograph that its mask of equal area covers; None for the method's own areas, whose
            masks then are those of equal area.
        config: Constants.
        batch_size: Images at once.
        check_randomised: Photographs whose maps are compared with those of meaningless weights (which takes as
            long again); None for no such check.
        progress: Called with numbers of images done, those of the check counted once more.

    Raises:
        ValueError: If `area` is None and the method is no preset.
    """
    if area is None and not isinstance(contender.config, MaskConfig):
        raise ValueError(f"`area` is needed: {contender.name!r} has no areas of its own.")
    found = find(subject, photographs, contender, area, batch_size=batch_size, seed=config.seed, progress=progress)
    failed = ~np.all(np.isfinite(found.importance), axis=(1, 2))
    maps = np.where(failed[:, None, None], 0.0, found.importance).astype(np.float32)
    tables = []

    def add(form: str, columns: dict[str, Any], passes: Int[np.ndarray, " n"]) -> None:
        columns = {
            name: np.where(failed, np.nan, values) if name in MEASURES else values for name, values in columns.items()
        }
        tables.append(form_table(photographs, form, {**columns, "passes": passes}))

    if found.soft_drop is not None and found.soft_area is not None:
        add(SOFT, {"drop": found.soft_drop, "area": found.soft_area}, found.passes)
    if found.own is not None and found.own_passes is not None:
        own = measure_binary(subject.classifier, photographs, found.own, batch_size=batch_size)
        add(OWN, own, found.own_passes)
    salient = found.own if area is None and found.own is not None else np.asarray(level_sets(maps, area))
    columns = {
        **measure_binary(subject.classifier, photographs, salient, batch_size=batch_size),
        **measure_ranking(subject.classifier, photographs, maps, config, batch_size=batch_size),
    }
    if check_randomised is not None and check_randomised.any():
        columns |= _agreement(
            subject,
            photographs,
            contender,
            maps,
            salient,
            np.flatnonzero(check_randomised),
            config,
            batch_size=batch_size,
            progress=progress,
        )
    add(EQUAL_AREA, columns, found.passes)
    return pa.concat_tables(tables)


def measure_ranking(
    classifier: Classifier,
    photographs: Photographs,
    maps: Float[np.ndarray, "n h w"],
    config: MeasureConfig,
    *,
    batch_size: int,
) -> dict[str, Any]:
    """Columns of a ranking of the pixels: the deletion and insertion curves and the areas under them."""
    curves = in_batches(
        lambda *batch: perturbation_curves(classifier, *batch, config.curves),
        photographs.images,
        photographs.class_index,
        maps,
        size=batch_size,
    )
    return {
        "deletion": list(curves.deletion),
        "insertion": list(curves.insertion),
        "deletion_auc": area_under(curves.deletion),
        "insertion_auc": area_under(curves.insertion),
    }


def _agreement(
    subject: Subject,
    photographs: Photographs,
    contender: Contender,
    maps: Float[np.ndarray, "n h w"],
    salient: Bool[np.ndarray, "n h w"],
    rows: Int[np.ndarray, " k"],
    config: MeasureConfig,
    *,
    batch_size: int,
    progress: Callable[[int], object] | None,
) -> dict[str, Float[np.ndarray, " n"]]:
    """Columns of the model-randomisation check (Adebayo et al. 2018); NaN outside `rows`.

    The network of meaningless weights is explained by its own answer: any other class's score would be too small
    to fall.
    """
    meaningless = Subject(
        redrawn(subject.classifier, config.seed),
        None if subject.guided is None else redrawn(subject.guided, config.seed),
    )
    chosen = photographs.select(rows)
    answers = in_batches(partial(predict, meaningless.classifier), chosen.images, size=batch_size)
    chosen = Photographs(**{**vars(chosen), "class_index": answers.argmax(axis=1)})
    area = salient[rows].mean(axis=(1, 2))
    others = find(
        meaningless, chosen, contender, area, batch_size=batch_size, seed=config.seed, progress=progress
    ).importance
    other_salient = np.asarray(level_sets(np.nan_to_num(others), area))
    columns: dict[str, np.ndarray] = {
        name: np.full(len(maps), np.nan) for name in ("redrawn_iou", "chance_iou", "redrawn_correlation")
    }
    for row, other, other_mask in zip(rows, others, other_salient, strict=True):
        if np.isfinite(other).all():
            columns["redrawn_iou"][row] = intersection_over_union(salient[row], other_mask)
            columns["redrawn_correlation"][row] = rank_correlation(maps[row], other)
    columns["chance_iou"][rows] = chance_overlap(area)
    return columns


def form_table(photographs: Photographs, form: str, columns: dict[str, Any]) -> pa.Table:
    """Rows of one kind of mask; columns that are not given are null, and so are values that are not finite."""
    count = len(photographs.names)

    def column(name: str, kind: pa.DataType) -> pa.Array:
        values = columns.get(name)
        if values is None:
            return pa.nulls(count, kind)
        if pa.types.is_floating(kind):
            return pa.array(np.asarray(values, np.float32), mask=~np.isfinite(values))
        return pa.array(values, kind)

    columns = {
        "image": list(photographs.names),
        "class_index": photographs.class_index,
        "form": [form] * count,
        **columns,
    }
    return pa.table({entry.name: column(entry.name, entry.type) for entry in SCHEMA}, schema=SCHEMA)


def measured_columns(
    table: pa.Table,
    boxes: Mapping[str, Float[np.ndarray, "k 4"]],
    parts: Mapping[str, Float[np.ndarray, "k 2"]],
    *,
    height: int,
    width: int,
) -> dict[str, Float[np.ndarray, " n"]]:
    """Every measure as an array, NaN where a row does not have it, localisation among them.

    Args:
        table: Rows of one kind of mask.
        boxes: Boxes of the objects in pixels of the mask, by image, where they are annotated.
        parts: Centres of the visible parts likewise.
        height: Of the masks.
        width: Of the masks.
    """
    columns = {name: _numbers(table[name]) for name in ("p_original", *MEASURES, "passes")}
    in_box, hit = np.full(len(table), np.nan), np.full(len(table), np.nan)
    for row, (image, rle) in enumerate(zip(table["image"].to_pylist(), table["rle"].to_pylist(), strict=True)):
        if rle is not None and np.isfinite(columns["drop"][row]) and (image in boxes or image in parts):
            salient = decode_mask(rle, height, width)
            in_box[row] = share_inside(salient, boxes[image]) if image in boxes else np.nan
            hit[row] = parts_hit(salient, parts[image]) if image in parts else np.nan
    return {**columns, **dict(zip(LOCALISATION, (in_box, hit), strict=True))}


def mean_drop_curve(table: pa.Table) -> Float[np.ndarray, " steps+1"]:
    """The deletion curve as drop against area, averaged over the images that have one."""
    curves = np.array([row for row in table["deletion"].to_pylist() if row is not None], np.float64)
    return np.nanmean(drop(curves[:, :1], curves), axis=0)


def _numbers(column: pa.ChunkedArray) -> Float[np.ndarray, " n"]:
    return np.array([np.nan if value is None else value for value in column.to_pylist()], np.float64)
