"""``vissum features explain``: the relevant features behind a network's answers (VE section 3.2).

    folder of photographs --explain_stage--> explanations/, maps/, overlays/

A run as in `stages`: the same manifest, parts, resume and statuses. `explanation_pages` shows it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from vissum_jax.data import ImageEntry, UnreadableImage
from vissum_jax.data.photograph import Photograph
from vissum_jax.deep_inside.views import lay_back
from vissum_jax.interpretation.explanation import Explanation, ExplanationConfig, explain
from vissum_jax.interpretation.selection import FACTS, WEIGHTS, FeatureSelection
from vissum_jax.pipeline.memory import default_batch_size
from vissum_jax.pipeline.photograph_runs import (
    OVERLAYS,
    PHOTOGRAPH_COLUMNS,
    Looks,
    beside,
    finish_shards,
    look_at,
    photograph_row,
    read_parts,
)
from vissum_jax.pipeline.progress import Progress
from vissum_jax.pipeline.run import NotReadyError, Run, start_run
from vissum_jax.pipeline.settings import RunConfig
from vissum_jax.pipeline.twins import guided_twin
from vissum_jax.report.overlays import heat_overlay, png
from vissum_jax.runs.manifest import load_manifest
from vissum_jax.runs.store import PartStore, write_atomically
from vissum_jax.types import Classifier, MaskStatus

FOLDER, MAPS = "explanations", "maps"

_VIEW = "centre"  # what classifiers are measured on
_BATCHES = 8  # read at once: features lie in many layers, each of which fills batches of its own

_FEATURE = pa.struct([("layer", pa.string()), ("channel", pa.int32()), ("strength", pa.float64())])

SCHEMA = pa.schema(
    [
        *PHOTOGRAPH_COLUMNS,
        ("explained_index", pa.int32()),
        ("explained_name", pa.string()),
        ("probability", pa.float32()),
        (
            "features",
            pa.list_(pa.struct([("layer", pa.string()), ("channel", pa.int32()), ("strength", pa.float64())])),
        ),
    ]
)
"""Rows; what a photograph does not have is null. The class explained is the network's answer, whatever the folder."""


@dataclass(frozen=True, kw_only=True)
class ExplainRequest(RunConfig):
    """Everything that decides the results of a run of explanations.

    Attributes:
        features: Folder that `vissum features select` made.
        explanation: How many features are shown, and how.
    """

    features: str
    explanation: ExplanationConfig = field(default_factory=ExplanationConfig)

    def __post_init__(self) -> None:
        """Make paths absolute; check what every run has."""
        super().__post_init__()
        object.__setattr__(self, "features", str(Path(self.features).expanduser().resolve()))

    def resolved(self) -> dict[str, Any]:
        """All values that decide the results, as plain nested data.

        Raises:
            FileNotFoundError: If there is no selection.
        """
        plain = dataclasses.asdict(self)
        for name in ("overrides", "preset", "keep_mispredicted"):  # of masks
            del plain[name]
        digest = hashlib.sha256()
        for name in (FACTS, WEIGHTS):
            digest.update((Path(self.features) / name).read_bytes())
        return json.loads(json.dumps({"kind": FOLDER, **plain, "features_sha256": digest.hexdigest()}))


class Explained(NamedTuple):
    """A photograph that was read, and why the network answers what it answers.

    Attributes:
        photograph: Its pixels.
        explanation: Of the network's answer, in the network's input geometry.
        maps: Its heat maps in the photograph's pixels.
    """

    photograph: Photograph
    explanation: Explanation
    maps: Float[np.ndarray, "k h w"]

    @property
    def probability(self) -> Float[np.ndarray, " classes"]:
        """Softmax probabilities of all classes."""
        return self.explanation.probability

    @property
    def finite(self) -> bool:
        """Whether the network's answer is."""
        return bool(np.isfinite(self.probability).all() and np.isfinite(self.maps).all())


@dataclass(frozen=True)
class ExplainRun:
    """An open run of explanations.

    Attributes:
        run: Folder, manifest, network and photographs.
        request: What was asked for.
        selection: The relevant features.
        guided: The network that signals are sent back through.
    """

    run: Run
    request: ExplainRequest
    selection: FeatureSelection
    guided: Classifier

    @property
    def store(self) -> PartStore:
        """Rows, a part a shard."""
        return PartStore(self.run.folder / FOLDER)

    def rows(self) -> pa.Table:
        """All rows; every part must be done."""
        return read_parts(self.run, self.store, "features explain")


def start_explain(request: ExplainRequest, folder: Path | str) -> ExplainRun:
    """Start a run in a new folder, or go on with the one that is there.

    Raises:
        FileNotFoundError: There is no selection; for others see `run.start_run`.
        ValueError: The selection is another network's, or the network cannot be built with guided activations; for
            others see `run.start_run`.
    """
    selection = FeatureSelection.load(request.features)
    chosen_for = load_manifest(request.features).model

    def check(classifier: Classifier) -> None:
        spec = classifier.spec
        if (spec.name, spec.weights_sha256) != (chosen_for["name"], chosen_for["weights_sha256"]):
            same = " with other weights" if spec.name == chosen_for["name"] else ""
            raise ValueError(
                f"{request.features!r}: these features were selected for {chosen_for['name']!r}{same}, not for "
                f"{spec.name!r}; run `vissum features select` for it."
            )
        guided_twin(classifier, destrided=True)

    run = start_run(request, folder, check=check)
    return ExplainRun(run, request, selection, guided_twin(run.classifier, destrided=True))


def explain_stage(opened: ExplainRun, progress: Progress, *, batch_size: int | None = None) -> None:
    """Explain the network's answer to every photograph; one part a shard."""
    run = opened.run
    size = batch_size or default_batch_size()

    def work(number: int) -> pa.Table:
        entries = run.source.entries[slice(*run.manifest.shards[number])]
        # Files are written while the network is busy with the next batch.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            rows = []
            for looks in look_at(run, entries, _VIEW, size=_BATCHES * size):
                for entry, result in zip(looks.entries, _explained(opened, looks, size, progress.advance), strict=True):
                    rows.append(pool.submit(_row, opened, entry, result))
        return pa.Table.from_pylist([row.result() for row in rows], schema=SCHEMA)

    finish_shards(run, opened.store, FOLDER, work, progress)


def _explained(
    opened: ExplainRun, looks: Looks, batch_size: int, advance: Callable[[int], object]
) -> Iterator[Explained | UnreadableImage]:
    advance(len(looks.entries) - len(looks.views))
    found = explain(
        opened.run.classifier,
        opened.guided,
        opened.selection,
        looks.inputs[list(looks.views), 0],
        config=opened.request.explanation,
        batch_size=batch_size,
        progress=advance,
    )
    by_row = dict(zip(looks.views, found, strict=True))
    for row, result in enumerate(looks.read):
        if isinstance(result, UnreadableImage):
            yield result
            continue
        height, width = result.pixels.shape[:2]
        maps = np.zeros((len(by_row[row].maps), height, width), np.float32)
        for number, own in enumerate(by_row[row].maps):
            maps[number] = lay_back([own], looks.views[row], height, width)
        yield Explained(result, by_row[row], maps)


def _row(opened: ExplainRun, entry: ImageEntry, seen: Explained | UnreadableImage) -> dict:
    """A photograph's row; its maps and pictures are written beside."""
    run, selection = opened.run, opened.selection
    row = photograph_row(run, entry, seen, keep_mispredicted=True)
    if row["status"] != MaskStatus.OK or isinstance(seen, UnreadableImage):
        return row
    index, features = seen.explanation.class_index, seen.explanation.features
    name = run.classifier.spec.class_names[index]
    row |= {
        "explained_index": index,
        "explained_name": name,
        "probability": float(seen.probability[index]),
        "features": [feature._asdict() for feature in features],
    }
    if not features:
        why = "no relevant feature speaks for" if index in selection.class_index else "no features were selected for"
        return row | {"status": MaskStatus.INFEASIBLE.value, "reason": f"{why} {name}"}
    write_maps(run.folder, entry.image, seen)
    pixels = seen.photograph.pixels
    for ending, heat in zip(_endings(len(features)), [*seen.maps, seen.maps.max(axis=0)], strict=True):
        write_atomically(beside(run.folder, OVERLAYS, entry.image, ending), png(heat_overlay(pixels, heat)))
    return row


def _endings(count: int) -> list[str]:
    """Of the overlays of a photograph: one for each feature, then the combined one."""
    return [*(f".{number}.png" for number in range(1, count + 1)), ".png"]


def write_maps(run: Path, image: str, seen: Explained) -> None:
    """Write a photograph's heat maps, strongest feature first, as ``maps/IMAGE.npz`` (half precision)."""
    features = seen.explanation.features
    buffer = io.BytesIO()
    np.savez(
        buffer,
        maps=seen.maps.astype(np.float16),
        layer=[feature.layer for feature in features],
        channel=[feature.channel for feature in features],
    )
    write_atomically(beside(run, MAPS, image, ".npz"), buffer.getvalue())


def read_maps(run: Path, image: str) -> Float[np.ndarray, "k h w"]:
    """Read a photograph's heat maps.

    Raises:
        NotReadyError: If they are gone.
    """
    path = beside(run, MAPS, image, ".npz")
    try:
        with np.load(path) as arrays:
            return arrays["maps"].astype(np.float32)
    except FileNotFoundError:
        raise NotReadyError(f"{str(path)!r} is gone; start another run.") from None
