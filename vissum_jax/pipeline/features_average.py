"""``vissum features average``: what the relevant filters of each class respond to (VE section 3.2)."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from vissum_jax.data import Decoded
from vissum_jax.interpretation.average import average_crops, crop_field
from vissum_jax.interpretation.receptive_field import ReceptiveFields, receptive_fields
from vissum_jax.interpretation.responses import strongest_places
from vissum_jax.interpretation.selection import FeatureSelection
from vissum_jax.masks.solve import to_unit
from vissum_jax.pipeline.contenders import in_batches
from vissum_jax.pipeline.features_run import SelectRun
from vissum_jax.pipeline.memory import default_batch_size
from vissum_jax.pipeline.progress import Progress
from vissum_jax.pipeline.stages import ChangedError
from vissum_jax.report.figures import FigureStyle, Row, montage
from vissum_jax.report.gallery import Figure, Gallery, Item, Picture, write_gallery
from vissum_jax.report.overlays import contact_sheet, png
from vissum_jax.report.text import plural
from vissum_jax.runs.store import write_atomically
from vissum_jax.types import Classifier

FOLDER, PAGES, VALUES = "averages", "report", "averages.json"
_AT_ONCE = 64  # photographs in memory


@dataclass(frozen=True, kw_only=True)
class AverageConfig:
    """How the relevant filters are shown.

    Attributes:
        images: Most photographs that a filter is shown by: those with its strongest responses (VE: 100).
        features: Most filters of a class: those with the largest weights.
        coverage: See `average_crops`.
        shown: Single crops on the sheets and pages.
        least_side: Pictures of fewer pixels are enlarged by a whole factor.
    """

    images: int = 100
    features: int = 12
    coverage: float = 0.5
    shown: int = 8
    least_side: int = 96

    def __post_init__(self) -> None:
        """Check ranges."""
        for name in ("images", "features", "shown", "least_side"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}.")
        if not 0 < self.coverage <= 1:
            raise ValueError(f"`coverage` must be in (0, 1], got {self.coverage}.")


class _Top(NamedTuple):
    """The photographs with the strongest responses of some filters.

    Attributes:
        columns: The filters, ascending.
        rows: Positions among the run's photographs, the strongest first.
        responses: Of these.
        hashes: SHA-256 of all photographs, by position.
    """

    columns: Int[np.ndarray, " k"]
    rows: Int[np.ndarray, "k images"]
    responses: Float[np.ndarray, "k images"]
    hashes: Mapping[int, str]


class _Average(NamedTuple):
    """A filter and what it responds to: pictures of one size."""

    column: int
    weight: float
    mean: UInt8[np.ndarray, "h w 3"]
    crops: Sequence[UInt8[np.ndarray, "h w 3"]]
    count: int


def average_picture(folder: Path | str, column: int) -> Path:
    """Where the mean of what a filter responds to is, given its column (`Columns.column`)."""
    return Path(folder) / FOLDER / "filters" / f"{column}.png"


@dataclass(frozen=True)
class AveragePlan:
    """What is averaged.

    Attributes:
        opened: The run whose features are shown.
        config: How.
        selection: What was selected.
        chosen: The columns shown of each class.
        fields: The receptive fields of each layer.
    """

    opened: SelectRun
    config: AverageConfig
    selection: FeatureSelection
    chosen: Mapping[int, Int[np.ndarray, " k"]]
    fields: Mapping[str, ReceptiveFields]


def plan_averages(opened: SelectRun, config: AverageConfig) -> AveragePlan:
    """Look up what is shown.

    Raises:
        FileNotFoundError: If nothing was selected yet.
        ValueError: If the receptive fields of a layer are not known.
    """
    selection = opened.selection()
    chosen = {int(index): selection.relevant(int(index))[: config.features] for index in selection.class_index}
    layers = {selection.columns.filter(int(column))[0] for columns in chosen.values() for column in columns}
    return AveragePlan(opened, config, selection, chosen, receptive_fields(opened.run.classifier, sorted(layers)))


def average_features(plan: AveragePlan, progress: Progress, *, batch_size: int | None = None) -> dict[str, Any]:
    """Average what the relevant filters respond to, and write a picture a filter, a sheet a class, and pages.

    Returns:
        Plain values: ``averages``, their number; ``classes``, each with its sheet and the filters it shows; ``report``,
        the page to open.

    Raises:
        ChangedError: If a photograph is not the one that responses were taken of.
    """
    run, selection, config = plan.opened.run, plan.selection, plan.config
    size = default_batch_size() if batch_size is None else batch_size
    top = _strongest(plan, progress)
    classes: list[dict[str, Any]] = []
    progress.start("averages", sum(map(len, plan.chosen.values())))

    def section(class_index: int) -> Iterator[Item]:
        averages = []
        for average in _averages(plan, class_index, top, size):
            write_atomically(average_picture(run.folder, average.column), png(average.mean))
            averages.append(average)
            progress.advance(1)
            yield _item(average, selection, config)
        classes.append(_write_sheet(run.folder, selection, class_index, averages, config))

    gallery = _gallery(plan)
    titles = {index: f"{selection.class_names[selection.position(index)]} ({index})" for index in plan.chosen}
    page = write_gallery(run.folder / PAGES, gallery, {title: section(index) for index, title in titles.items()})
    progress.finish()
    values = {
        "features": str(run.folder),
        "averages": sum(len(each["filters"]) for each in classes),
        "config": dataclasses.asdict(config),
        "classes": classes,
        "report": str(page),
    }
    write_atomically(run.folder / FOLDER / VALUES, json.dumps(values, indent=1).encode())
    return values


def _strongest(plan: AveragePlan, progress: Progress) -> _Top:
    """The photographs with the strongest responses of all filters shown."""
    opened, most = plan.opened, plan.config.images
    needed = np.unique(np.concatenate(list(plan.chosen.values())))
    position = {entry.image: row for row, entry in enumerate(opened.run.source.entries)}
    rows, values = np.zeros((len(needed), 0), np.int64), np.zeros((len(needed), 0), np.float32)
    hashes: dict[int, str] = {}
    progress.start("strongest", len(opened.run.manifest.entries))
    for (start, stop), (some, x) in zip(opened.run.manifest.shards, opened.parts(), strict=True):
        own = np.array([position[row["image"]] for row in some], np.int64)
        hashes |= {position[row["image"]]: row["content_sha256"] for row in some}
        rows = np.concatenate([rows, np.broadcast_to(own, (len(needed), len(own)))], axis=1)
        values = np.concatenate([values, x[:, needed].T], axis=1)
        order = np.argsort(-values, axis=1, kind="stable")[:, :most]
        rows, values = np.take_along_axis(rows, order, 1), np.take_along_axis(values, order, 1)
        progress.advance(stop - start)
    progress.finish()
    return _Top(needed, rows, values, hashes)


@partial(jax.jit, static_argnames="layers")
def _places(
    classifier: Classifier, images: UInt8[Array, "b h w 3"], *, layers: tuple[str, ...]
) -> Int[Array, "b columns 2"]:
    return strongest_places(classifier, to_unit(images), layers=layers)


def _averages(plan: AveragePlan, class_index: int, top: _Top, batch_size: int) -> Iterator[_Average]:
    """The averages of a class's filters, one at a time; its photographs are read and looked at once."""
    opened, selection, columns = plan.opened, plan.selection, plan.chosen[class_index]
    places = np.searchsorted(top.columns, columns)
    shown = {
        int(column): [int(row) for row, x in zip(top.rows[place], top.responses[place], strict=True) if x > 0]
        for column, place in zip(columns, places, strict=True)
    }
    crops: dict[int, dict[int, tuple[np.ndarray, np.ndarray]]] = {column: {} for column in shown}
    rows = sorted({row for some in shown.values() for row in some})
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        images = _read(opened, some, top.hashes)
        look = partial(_places, opened.run.classifier, layers=selection.columns.layers)
        strongest = in_batches(look, images, size=batch_size)
        for number, row in enumerate(some):
            for column, wanted in shown.items():
                if row in wanted:
                    layer, channel = selection.columns.filter(column)
                    unit_row, unit_column = strongest[number, column].tolist()
                    field = plan.fields[layer].field(unit_row, unit_column, channel)
                    crops[column][row] = crop_field(images[number], field)
    position = selection.position(class_index)
    for column, wanted in shown.items():
        if not wanted:
            continue  # no photograph moves the filter: a weight of it means nothing here
        pictures, inside = zip(*(crops[column].pop(row) for row in wanted), strict=True)
        mean, (height, width) = average_crops(pictures, inside, coverage=plan.config.coverage)
        yield _Average(
            column=column,
            weight=float(selection.weights[column, position]),
            mean=mean,
            crops=[picture[height, width] for picture in pictures[: plan.config.shown]],
            count=len(wanted),
        )


def _read(opened: SelectRun, rows: Sequence[int], hashes: Mapping[int, str]) -> UInt8[np.ndarray, "n h w 3"]:
    """Photographs as they were when responses were taken of them."""
    run = opened.run
    entries = [run.source.entries[row] for row in rows]
    decoded = run.source.read(entries, run.classifier.spec, workers=os.cpu_count() or 1)
    for entry, row, each in zip(entries, rows, decoded, strict=True):
        if not isinstance(each, Decoded) or each.content_hash != hashes[row]:
            raise ChangedError(
                f"{entry.image!r} has changed since features were selected; put it back, or select again."
            )
    return np.stack([each.image for each in decoded if isinstance(each, Decoded)])


def _enlarged(picture: UInt8[np.ndarray, "h w 3"], config: AverageConfig) -> UInt8[np.ndarray, "H W 3"]:
    factor = -(-config.least_side // max(picture.shape[:2]))
    return picture.repeat(factor, 0).repeat(factor, 1)


def _name(selection: FeatureSelection, column: int) -> str:
    layer, channel = selection.columns.filter(column)
    return f"{layer} {channel}"


def _item(average: _Average, selection: FeatureSelection, config: AverageConfig) -> Item:
    name = _name(selection, average.column)
    sheet = contact_sheet([_enlarged(crop, config) for crop in average.crops])
    return Item(
        title=name,
        pictures=(
            Picture("average", f"Average of what {name} responds to", _enlarged(average.mean, config)),
            Picture("strongest", f"What {name} responds to most", sheet),
        ),
        facts=(("weight", f"{average.weight:+.2f}"), ("photographs", str(average.count))),
    )


def _write_sheet(
    folder: Path, selection: FeatureSelection, class_index: int, averages: Sequence[_Average], config: AverageConfig
) -> dict[str, Any]:
    """A class's contact sheet: a row a filter, the average first."""
    name = selection.class_names[selection.position(class_index)]
    path = folder / FOLDER / f"{class_index}.png"
    rows = [
        Row(
            [_name(selection, each.column), f"weight {each.weight:+.2f}", plural(each.count, "photograph")],
            [each.mean, *each.crops],
        )
        for each in averages
    ]
    if rows:
        style = FigureStyle(most_pictures=1 + config.shown)
        write_atomically(path, montage(name, rows, "png", captions=["average", "strongest"], style=style))
    return {
        "class_index": class_index,
        "class_name": name,
        "sheet": str(path) if rows else None,
        "filters": [{"column": each.column, "weight": each.weight, "photographs": each.count} for each in averages],
    }


def _gallery(plan: AveragePlan) -> Gallery:
    selection, manifest = plan.selection, plan.opened.run.manifest
    relevant = np.count_nonzero(selection.weights.any(1))
    return Gallery(
        model=selection.model,
        kind="Relevant features",
        title=f"What {selection.model} tells classes by",
        lede="Filters whose responses predict a class, by as few of them as will do: for each the mean of what it sees "
        "where it responds most, and the strongest of these places.",
        unit="filter",
        figures=(
            Figure("Relevant filters", f"{relevant} of {len(selection.columns)}"),
            Figure("Classes", str(len(selection.class_names))),
            Figure("Most photographs of a filter", str(plan.config.images)),
        ),
        notes=(
            "A positive weight speaks for the class where the filter responds, a negative one against it. The pictures "
            "come from photographs of all classes; each shows all that the place can see, its receptive field, grey "
            "where that reaches beyond the photograph.",
        ),
        configuration=manifest.configuration,
        versions=manifest.versions,
    )
