"""Photographs that heat maps are compared on: what the network answers, and what truly makes their class."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, UInt8

from vissum_jax.data import Decoded, UnreadableImage
from vissum_jax.data.truth_masks import TruthMasks, in_mask_geometry
from vissum_jax.pipeline.answers import answer
from vissum_jax.pipeline.method_parts import finish_method
from vissum_jax.pipeline.progress import Progress
from vissum_jax.pipeline.run import Run
from vissum_jax.pipeline.stages import ChangedError
from vissum_jax.types import Crop

PARTS = "parts"
UNREADABLE, NO_TRUTH, OTHER_ANSWER = "unreadable", "without truth", "answered otherwise"
"""Why a photograph is left out."""

_SCHEMA = pa.schema(
    [
        ("image", pa.string()),
        ("class_index", pa.int32()),
        ("class_name", pa.string()),
        ("predicted_index", pa.int32()),
        ("content_sha256", pa.string()),
        *((f"crop_{side}", pa.float64()) for side in "xywh"),
    ]
)

Row = Mapping[str, Any]
Mask = Bool[np.ndarray, "h w"]


@dataclass(frozen=True, kw_only=True)
class TruePhotographs:
    """Photographs that are compared on.

    Attributes:
        rows: What is known of each.
        truths: What makes each one's class, as the network sees it, by name.
        left_out: How many others there are, by reason.
        accuracy: Share of those that could be read whose class the network answers; None if none could.
    """

    rows: tuple[Row, ...]
    truths: Mapping[str, Mask]
    left_out: Mapping[str, int]
    accuracy: float | None

    def first_of_each_class(self, count: int) -> tuple[Row, ...]:
        """So many photographs of each class, to show."""
        taken: Counter[int] = Counter()
        shown = []
        for row in self.rows:
            taken[row["class_index"]] += 1
            if taken[row["class_index"]] <= count:
                shown.append(row)
        return tuple(shown)


def true_photographs(
    run: Run, truth: TruthMasks, progress: Progress, *, keep_mispredicted: bool, batch_size: int
) -> TruePhotographs:
    """Have the network answer what it has not yet, and read the truth.

    Args:
        run: Network and photographs.
        truth: Masks of what makes the class.
        progress: Shows photographs done.
        keep_mispredicted: Also take photographs that the network answers wrongly.
        batch_size: Photographs at once.

    Raises:
        ValueError: If none is left.
    """
    entries = run.source.entries

    def work(part: slice) -> pa.Table:
        found = run.source.read(entries[part], run.classifier.spec, workers=os.cpu_count() or 1)
        rows: list[dict[str, Any]] = [
            {"image": entry.image, "class_index": entry.class_index, "class_name": entry.class_name}
            for entry in entries[part]
        ]
        decoded = [(row, one) for row, one in zip(rows, found, strict=True) if isinstance(one, Decoded)]
        if decoded:
            images = np.stack([one.image for _, one in decoded])
            probability, _ = answer(run.classifier, images, batch_size=batch_size)
            for (row, one), own in zip(decoded, probability, strict=True):
                row["predicted_index"] = int(np.argmax(own)) if np.isfinite(own).all() else -1
                row["content_sha256"] = one.content_hash
                row |= {f"crop_{side}": float(value) for side, value in zip("xywh", one.crop, strict=True)}
        progress.advance(len(rows))
        return pa.Table.from_pylist(rows, schema=_SCHEMA)

    rows = finish_method(
        run.folder / PARTS,
        "answers",
        work,
        units=np.ones(len(entries), int),
        batch_size=batch_size,
        decisive={"fingerprint": run.manifest.fingerprint},
        log=run.log,
        progress=progress,
    ).to_pylist()
    truths = {row["image"]: mask for row in rows if (mask := _truth_of(run, truth, row)) is not None}
    status = [_status(row, truths, keep_mispredicted) for row in rows]
    chosen = tuple(row for row, why in zip(rows, status, strict=True) if not why)
    left_out = dict(Counter(filter(None, status)))
    if not chosen:
        told = ", ".join(f"{count} {why}" for why, count in left_out.items())
        raise ValueError(f"no photograph is left to compare on: {told}.")
    right = [row["predicted_index"] == row["class_index"] for row in rows if _readable(row)]
    return TruePhotographs(
        rows=chosen,
        truths={row["image"]: truths[row["image"]] for row in chosen},
        left_out=left_out,
        accuracy=float(np.mean(right)) if right else None,
    )


def read_pictures(run: Run, rows: Sequence[Row]) -> UInt8[np.ndarray, "n h w 3"]:
    """Photographs as the network sees them, and as they were when it answered.

    Raises:
        ChangedError: If one is another one now.
    """
    entries = {entry.image: entry for entry in run.source.entries}
    wanted = [entries[row["image"]] for row in rows]
    found = run.source.read(wanted, run.classifier.spec, workers=os.cpu_count() or 1)
    images = []
    for row, one in zip(rows, found, strict=True):
        if isinstance(one, UnreadableImage) or one.content_hash != row["content_sha256"]:
            raise ChangedError(f"{row['image']!r} has changed since it was answered; name another folder with --out.")
        images.append(one.image)
    return np.stack(images)


def _readable(row: Row) -> bool:
    return row["content_sha256"] is not None


def _truth_of(run: Run, truth: TruthMasks, row: Row) -> Mask | None:
    """What makes the photograph's class, as the network sees it; None where that is nothing or not known."""
    mask = truth.of(row["image"]) if _readable(row) else None
    if mask is None:
        return None
    spec, crop = run.classifier.spec, Crop(*(row[f"crop_{side}"] for side in "xywh"))
    seen = in_mask_geometry(mask, crop, spec.input_height, spec.input_width)
    return seen if seen.any() else None


def _status(row: Row, truths: Mapping[str, Mask], keep_mispredicted: bool) -> str:
    """Why a photograph is left out; empty for one that is not."""
    if not _readable(row):
        return UNREADABLE
    if row["image"] not in truths:
        return NO_TRUTH
    return OTHER_ANSWER if row["predicted_index"] != row["class_index"] and not keep_mispredicted else ""
