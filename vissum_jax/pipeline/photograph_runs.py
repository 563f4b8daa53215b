"""What runs over photographs have in common: saliency, localisation, explanations by features.

    folder of photographs --a stage--> its folder of parts, a row a photograph or more; overlays/; report/

A run as in `stages`: the same manifest, parts, resume and statuses.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from jaxtyping import Float, UInt8

from vissum_jax.data import ImageEntry, UnreadableImage
from vissum_jax.data.decode import DecodeLimits
from vissum_jax.data.photograph import Photograph, read_photographs
from vissum_jax.deep_inside.views import View, count_views, look, views_of
from vissum_jax.pipeline.outcome import FAILED
from vissum_jax.pipeline.progress import Progress
from vissum_jax.pipeline.run import NotReadyError, Run
from vissum_jax.pipeline.stages import ChangedError
from vissum_jax.report.gallery import Item
from vissum_jax.runs.engine import finish_parts
from vissum_jax.runs.store import PartStore
from vissum_jax.types import MaskStatus

OVERLAYS = "overlays"

PHOTOGRAPH_COLUMNS = [
    ("image", pa.string()),
    ("class_index", pa.int32()),
    ("class_name", pa.string()),
    ("predicted_index", pa.int32()),
    ("status", pa.string()),
    ("reason", pa.string()),
    ("height", pa.int32()),
    ("width", pa.int32()),
    ("photograph_height", pa.int32()),
    ("photograph_width", pa.int32()),
    ("content_sha256", pa.string()),
]
"""What every row says of its photograph. Maps have `height` x `width` pixels and show all of it."""


STATUS_TITLES = {
    MaskStatus.OK: "Explained",
    MaskStatus.SKIPPED_PREDICTION: "Predicted otherwise",
    MaskStatus.UNREADABLE: "Unreadable",
    MaskStatus.NON_FINITE: "Not finite",
}
"""What pages call the statuses; each kind of run adds what it calls `INFEASIBLE`."""


class Answered(Protocol):
    """A photograph that a network was asked about."""

    @property
    def photograph(self) -> Photograph:
        """Its pixels."""
        ...

    @property
    def probability(self) -> Float[np.ndarray, " classes"]:
        """Softmax probabilities of all classes."""
        ...

    @property
    def finite(self) -> bool:
        """Whether all that the network answered is finite."""
        ...


class Looks(NamedTuple):
    """What a network gets to see of a few photographs.

    Attributes:
        entries: The photographs.
        read: Their pixels, or why there are none.
        inputs: Views of each, zeros where there is no photograph; as many as a batch has rows.
        views: The views' boxes, by row; of unreadable photographs there are none.
    """

    entries: Sequence[ImageEntry]
    read: Sequence[Photograph | UnreadableImage]
    inputs: UInt8[np.ndarray, "b v h w 3"]
    views: Mapping[int, tuple[View, ...]]


def look_at(run: Run, entries: Sequence[ImageEntry], layout: str, *, size: int) -> Iterator[Looks]:
    """Read photographs and look at them, in batches of one size, in order.

    Args:
        run: Network and photographs.
        entries: The photographs.
        layout: One of `vissum_jax.deep_inside.views.LAYOUTS`.
        size: Photographs of a batch.
    """
    spec = run.classifier.spec
    side = {"input_height": spec.input_height, "input_width": spec.input_width}
    for start in range(0, len(entries), size):
        batch = entries[start : start + size]
        files = run.source.fetch([entry.image for entry in batch], DecodeLimits())
        read = read_photographs(files, spec, workers=os.cpu_count() or 1)
        inputs = np.zeros((size, count_views(layout), spec.input_height, spec.input_width, 3), np.uint8)
        views = {}
        for row, result in enumerate(read):
            if isinstance(result, Photograph):
                views[row] = views_of(*result.pixels.shape[:2], **side, layout=layout)
                for number, view in enumerate(views[row]):
                    inputs[row, number] = look(result.pixels, view, **side)
        yield Looks(batch, read, inputs, views)


def read_parts(run: Run, store: PartStore, command: str) -> pa.Table:
    """All rows of a stage.

    Raises:
        NotReadyError: If some part is not done.
    """
    missing = [number for number in range(len(run.manifest.shards)) if not store.done(number)]
    if missing:
        raise NotReadyError(
            f"{str(run.folder)!r}: {len(missing)} of {len(run.manifest.shards)} parts are not done; give the same "
            f"`vissum {command}` command again."
        )
    return pa.concat_tables([store.read(number) for number in range(len(run.manifest.shards))])


def finish_shards(run: Run, store: PartStore, stage: str, work: Any, progress: Progress) -> None:
    """Work through the shards of a run that are not done yet; `work` advances the progress."""
    shards = run.manifest.shards
    progress.start(stage, len(run.manifest.entries))
    finish_parts(
        stage,
        store,
        range(len(shards)),
        work,
        run.log,
        describe=lambda table: {"statuses": dict(Counter(table["status"].to_pylist()))},
        on_done=lambda number: progress.advance(shards[number][1] - shards[number][0]),
    )
    progress.finish()


def photograph_row(run: Run, entry: ImageEntry, seen: Answered | UnreadableImage, *, keep_mispredicted: bool) -> dict:
    """What a row says of its photograph, its status as far as the network's answer decides it."""
    row: dict[str, Any] = {
        "image": entry.image,
        "class_index": entry.class_index,
        "class_name": entry.class_name,
        "status": MaskStatus.OK.value,
        "reason": "",
    }
    if isinstance(seen, UnreadableImage):
        return row | {"status": MaskStatus.UNREADABLE.value, "reason": str(seen)}
    photograph = seen.photograph
    row |= {
        "height": photograph.pixels.shape[0],
        "width": photograph.pixels.shape[1],
        "photograph_height": photograph.height,
        "photograph_width": photograph.width,
        "content_sha256": photograph.content_hash,
    }
    if not seen.finite:
        return row | {"status": MaskStatus.NON_FINITE.value, "reason": "the network answers NaN or infinity"}
    predicted = int(np.argmax(seen.probability))
    row["predicted_index"] = predicted
    if predicted != entry.class_index and not keep_mispredicted:
        name, probability = run.classifier.spec.class_names[predicted], seen.probability[predicted]
        row |= {
            "status": MaskStatus.SKIPPED_PREDICTION.value,
            "reason": f"the network answers {name} (p = {probability:.3f})",
        }
    return row


def beside(run: Path, folder: str, image: str, ending: str) -> Path:
    """Where what belongs to a photograph is: under its own name, so that 0.png and 0.jpg stay apart."""
    return run / folder / f"{image}{ending}"


def section_of(row: dict) -> str:
    """Title of the section of a page in which a photograph is shown."""
    return f"{row['class_name']} ({row['class_index']})"


def by_class(rows: Sequence[dict], item: Callable[[dict], Item]) -> dict[str, Iterator[Item]]:
    """Rows by their class, each shown when its page is written: pictures of one at a time are in memory."""
    sections: dict[str, list[dict]] = {}
    for row in rows:
        sections.setdefault(section_of(row), []).append(row)
    return {name: map(item, own) for name, own in sections.items()}


def photograph_of(run: Run, row: dict) -> UInt8[np.ndarray, "h w 3"]:
    """The photograph of a row, as it was.

    Raises:
        ChangedError: If it is another one now.
    """
    (read,) = read_photographs(run.source.fetch([row["image"]], DecodeLimits()), run.classifier.spec, workers=1)
    if isinstance(read, UnreadableImage) or read.content_hash != row["content_sha256"]:
        why = f" ({read})" if isinstance(read, UnreadableImage) else ""
        raise ChangedError(
            f"{row['image']!r} has changed since it was explained{why}; put it back, or start another run."
        )
    return read.pixels


def outcome(rows: Sequence[dict]) -> dict[str, Any]:
    """How the photographs of a finished run ended, a row each, for JSON."""
    return {
        "statuses": dict(Counter(row["status"] for row in rows)),
        "classes": {
            name: dict(Counter(row["status"] for row in rows if row["class_name"] == name))
            for name in dict.fromkeys(row["class_name"] for row in rows)
        },
        "failed": failures(rows),
    }


def failures(rows: Sequence[dict]) -> list[tuple[str, str]]:
    """(image, reason) of photographs on which the work itself failed."""
    return [(row["image"], row["reason"]) for row in rows if row["status"] in FAILED]
