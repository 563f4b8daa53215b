"""``vissum saliency``: where a network looks, for every photograph of a folder (DI section 3).

    folder of photographs --saliency_stage--> saliency/, maps/, overlays/ --saliency_report--> report/

A run as in `stages`: the same manifest, parts, resume and statuses.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from vissum_jax.data import ImageEntry, UnreadableImage
from vissum_jax.data.photograph import Photograph
from vissum_jax.deep_inside.saliency import SaliencyConfig, explain
from vissum_jax.deep_inside.views import count_views, lay_back
from vissum_jax.pipeline.memory import default_batch_size
from vissum_jax.pipeline.photograph_runs import (
    OVERLAYS,
    PHOTOGRAPH_COLUMNS,
    STATUS_TITLES,
    Looks,
    beside,
    by_class,
    finish_shards,
    look_at,
    outcome,
    photograph_of,
    photograph_row,
    read_parts,
)
from vissum_jax.pipeline.progress import Progress
from vissum_jax.pipeline.run import NotReadyError, Run, start_run
from vissum_jax.pipeline.settings import RunConfig
from vissum_jax.report.gallery import Figure, Gallery, Item, Picture, write_gallery
from vissum_jax.report.overlays import heat_overlay, png
from vissum_jax.runs.store import PartStore, write_atomically
from vissum_jax.types import Classifier, MaskStatus

FOLDER, MAPS = "saliency", "maps"

SCHEMA = pa.schema(
    [
        *PHOTOGRAPH_COLUMNS,
        ("explained_index", pa.int32()),
        ("probability", pa.float32()),
        ("largest", pa.float32()),
        ("mean", pa.float32()),
    ]
)
"""Saliency rows; what a photograph does not have is null. `probability` is the explained class's."""

_STATUS_TITLES = STATUS_TITLES | {MaskStatus.INFEASIBLE: "No saliency"}

NO_SALIENCY = "the score does not depend on any pixel: its gradient is 0 everywhere"


@dataclass(frozen=True, kw_only=True)
class SaliencyRequest(RunConfig):
    """Everything that decides the results of a saliency run.

    Attributes:
        saliency: Views and SmoothGrad.
        predicted: Explain the network's own answer in place of the folder's class.
    """

    saliency: SaliencyConfig = field(default_factory=SaliencyConfig)
    predicted: bool = False

    def resolved(self) -> dict[str, Any]:
        """All values that decide the results, as plain nested data."""
        plain = dataclasses.asdict(self)
        for name in ("overrides", "preset"):  # of masks
            del plain[name]
        return json.loads(json.dumps({"kind": FOLDER, **plain}))


class Seen(NamedTuple):
    """A photograph that was read and explained.

    Attributes:
        photograph: Its pixels.
        probability: Softmax probabilities of all classes, averaged over views.
        classes: Classes explained.
        saliency: A map of each, in the photograph's pixels.
        finite: Whether all of these are finite.
    """

    photograph: Photograph
    probability: Float[np.ndarray, " classes"]
    classes: Int[np.ndarray, " k"]
    saliency: Float[np.ndarray, "k h w"]
    finite: bool


@dataclass(frozen=True)
class SaliencyRun:
    """An open run of saliency.

    Attributes:
        run: Folder, manifest, network and photographs.
        request: What was asked for.
    """

    run: Run
    request: SaliencyRequest

    @property
    def store(self) -> PartStore:
        """Saliency rows, a part a shard."""
        return PartStore(self.run.folder / FOLDER)

    def rows(self) -> pa.Table:
        """All rows; every part must be done."""
        return read_parts(self.run, self.store, "saliency")


def start_saliency(request: SaliencyRequest, folder: Path | str) -> SaliencyRun:
    """Start a run in a new folder, or go on with the one that is there; see `run.start_run` for errors."""
    return SaliencyRun(start_run(request, folder), request)


def saliency_stage(opened: SaliencyRun, progress: Progress, *, batch_size: int | None = None) -> None:
    """Find the saliency of every photograph; one part a shard."""
    run, request = opened.run, opened.request

    def work(number: int) -> pa.Table:
        entries = run.source.entries[slice(*run.manifest.shards[number])]
        seen = see(
            run,
            entries,
            request.saliency,
            top=int(request.predicted),
            with_label=not request.predicted,
            batch_size=batch_size,
        )
        # Files are written while the network is busy with the next batch.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            rows = []
            for entry, result in zip(entries, seen, strict=True):
                rows.append(pool.submit(_row, run, entry, result, request))
                progress.advance(1)
        table = [row.result() for row in rows]
        return pa.Table.from_pylist(table, schema=SCHEMA)

    finish_shards(run, opened.store, FOLDER, work, progress)


def see(
    run: Run,
    entries: Sequence[ImageEntry],
    config: SaliencyConfig,
    *,
    top: int,
    with_label: bool,
    batch_size: int | None,
) -> Iterator[Seen | UnreadableImage]:
    """Read photographs and explain them, in batches of one size, in order.

    Args:
        run: Network and photographs.
        entries: The photographs.
        config: Views and SmoothGrad.
        top: So many of the network's own answers are explained.
        with_label: Whether the folder's class is, after them.
        batch_size: Views at once; None for what suits the device.
    """
    size = max(1, (batch_size or default_batch_size()) // count_views(config.views))
    for looks in look_at(run, entries, config.views, size=size):
        yield from _explain_batch(run.classifier, looks, config, top=top, with_label=with_label)


def _explain_batch(
    classifier: Classifier, looks: Looks, config: SaliencyConfig, *, top: int, with_label: bool
) -> Iterator[Seen | UnreadableImage]:
    labels = np.zeros(len(looks.inputs), np.int32)
    labels[: len(looks.entries)] = [entry.class_index for entry in looks.entries]
    found = None
    if looks.views:
        answer = explain(classifier, looks.inputs, labels, top=top, with_label=with_label, config=config)
        found = jax.device_get(answer)
    for row, result in enumerate(looks.read):
        if isinstance(result, UnreadableImage) or found is None:
            yield result  # pyright: ignore[reportReturnType] - without any view, none was read
            continue
        saliency = [lay_back(maps, looks.views[row], *result.pixels.shape[:2]) for maps in found.saliency[row]]
        finite = bool(np.isfinite(found.probability[row]).all() and np.isfinite(saliency).all())
        yield Seen(result, found.probability[row], found.classes[row], np.stack(saliency), finite)


def _row(run: Run, entry: ImageEntry, seen: Seen | UnreadableImage, request: SaliencyRequest) -> dict:
    """A photograph's row; its map and picture are written beside."""
    keep = request.keep_mispredicted or request.predicted
    row = photograph_row(run, entry, seen, keep_mispredicted=keep)
    if row["status"] != MaskStatus.OK or isinstance(seen, UnreadableImage):
        return row
    (explained,), (saliency,) = seen.classes, seen.saliency
    if not saliency.any():
        row |= {"status": MaskStatus.INFEASIBLE.value, "reason": NO_SALIENCY}
    write_map(run.folder, entry.image, saliency, int(explained))
    write_atomically(
        beside(run.folder, OVERLAYS, entry.image, ".png"), png(heat_overlay(seen.photograph.pixels, saliency))
    )
    return row | {
        "explained_index": int(explained),
        "probability": float(seen.probability[explained]),
        "largest": float(saliency.max()),
        "mean": float(saliency.mean()),
    }


def write_map(run: Path, image: str, saliency: Float[np.ndarray, "h w"], class_index: int) -> None:
    """Write a photograph's saliency and the class explained as ``maps/IMAGE.npz``."""
    buffer = io.BytesIO()
    np.savez(  # compressing noise takes long and saves little
        buffer, saliency=saliency.astype(np.float32), class_index=class_index
    )
    write_atomically(beside(run, MAPS, image, ".npz"), buffer.getvalue())


def read_map(run: Path, image: str) -> Float[np.ndarray, "h w"]:
    """Read a photograph's saliency.

    Raises:
        NotReadyError: If it is gone.
    """
    path = beside(run, MAPS, image, ".npz")
    try:
        with np.load(path) as arrays:
            return arrays["saliency"]
    except FileNotFoundError:
        raise NotReadyError(f"{str(path)!r} is gone; start another run.") from None


def saliency_report(opened: SaliencyRun, progress: Progress) -> Path:
    """Write the static report; returns its first page."""
    run, request = opened.run, opened.request
    rows = opened.rows().to_pylist()
    names = run.classifier.spec.class_names
    statuses = Counter(row["status"] for row in rows)
    progress.start("report", len(rows))

    def item(row: dict) -> Item:
        progress.advance(1)
        if row["explained_index"] is None:
            return Item(title=row["image"], warning=row["reason"])
        photograph = photograph_of(run, row)
        heat = heat_overlay(photograph, read_map(run.folder, row["image"]))
        explained = names[row["explained_index"]]
        return Item(
            title=row["image"],
            pictures=(
                Picture("photograph", f"Photograph {row['image']}", photograph),
                Picture("saliency", f"Where {explained} depends on {row['image']}", heat),
            ),
            facts=((explained.replace("_", " "), f"{row['probability']:.3f}"),),
            warning=row["reason"],
        )

    gallery = Gallery(
        model=run.classifier.spec.name,
        kind="Saliency",
        title=f"Where {run.classifier.spec.name} looks",
        lede=(
            "The hotter a pixel, the more the score of the class changes with it: the largest derivative among its "
            "three colours."
        ),
        figures=(
            Figure("Photographs", str(len(rows))),
            *(Figure(_STATUS_TITLES[status], str(count)) for status, count in statuses.items()),
            Figure("Views of each", str(count_views(request.saliency.views))),
        ),
        notes=(
            "A derivative says which pixels matter to the score around this very photograph; it is not the object's "
            "outline, and single pixels say little.",
        ),
        configuration=run.manifest.configuration,
        versions=run.manifest.versions,
    )
    page = write_gallery(run.folder / "report", gallery, by_class(rows, item))
    progress.finish()
    return page


def saliency_outcome(opened: SaliencyRun) -> dict[str, Any]:
    """Plain figures of a finished run, for JSON."""
    return outcome(opened.rows().to_pylist())
