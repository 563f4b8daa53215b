"""The rows of a run's parts: schemas, and the way between arrays and tables.

Masks are stored as COCO run lengths (compressed, salient = 1), in the network's input geometry.
"""

from __future__ import annotations

import json
import math
import warnings
import zlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float
from pycocotools import mask as coco_mask

from vissum_jax.types import (
    ClassSummaries,
    ClusterDiagnostics,
    Crop,
    MaskBatch,
    MaskStatus,
    Member,
    Summary,
)

MASK_SCHEMA = pa.schema(
    [
        ("image", pa.string()),
        ("class_index", pa.int32()),
        ("class_name", pa.string()),
        ("predicted_index", pa.int32()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("p_original", pa.float32()),
        ("p_soft", pa.float32()),
        ("p_binary", pa.float32()),
        ("drop_soft", pa.float32()),
        ("drop_binary", pa.float32()),
        ("area", pa.float32()),
        ("transfer_drop", pa.float32()),
        ("components", pa.int32()),
        ("passes", pa.int32()),
        ("rle", pa.binary()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("crop_x", pa.float32()),
        ("crop_y", pa.float32()),
        ("crop_w", pa.float32()),
        ("crop_h", pa.float32()),
        ("content_sha256", pa.string()),
        ("soft", pa.binary()),
    ]
)
"""Mask rows; what an image does not have is null. `soft` is for looking at (see `encode_soft`)."""

_SOFT_STEP = 4
"""Pixels of the continuous mask that become one: it is smooth, and hardly needs more."""

SUMMARY_SCHEMA = pa.schema(
    [
        ("class_index", pa.int32()),
        ("class_name", pa.string()),
        ("summary", pa.int32()),
        ("rank", pa.int32()),
        ("image", pa.string()),
        ("box_x", pa.int32()),
        ("box_y", pa.int32()),
        ("box_w", pa.int32()),
        ("box_h", pa.int32()),
        ("similarity", pa.float32()),
        ("ssim", pa.float32()),
        ("exemplar", pa.bool_()),
        ("kept", pa.bool_()),
        ("summary_kept", pa.bool_()),
        ("summary_ssim", pa.float32()),
        ("summary_reason", pa.string()),
        ("importance", pa.float32()),
        ("stability", pa.float32()),
    ]
)
"""Summary rows, one a member; what was not measured is null.

`kept` is the member's own; a member counts where `summary_kept` holds too. The last columns, from `summary_kept`
on, are the summary's and the same in all its rows.
"""

_CLASS_KEY = b"vissum.class"  # of the schema's metadata: what holds for a class that may have no row


def encode_mask(salient: Bool[np.ndarray, "h w"]) -> bytes:
    """COCO run lengths of a binary mask."""
    return bytes(coco_mask.encode(np.asfortranarray(salient.astype(np.uint8)))["counts"])  # pyright: ignore[reportArgumentType]


def decode_mask(rle: bytes, height: int, width: int) -> Bool[np.ndarray, "h w"]:
    """A binary mask from its COCO run lengths."""
    with warnings.catch_warnings():
        # pycocotools 2.0 exports its arrays by a protocol that NumPy 2 deprecates.
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        return coco_mask.decode({"size": [height, width], "counts": rle}).astype(bool)


def encode_soft(soft: Float[np.ndarray, "h w"]) -> bytes:
    """A continuous mask as a picture needs it: means over squares, in 8 bits, compressed by zlib; some KB."""
    height, width = soft.shape
    rows, columns = (np.arange(0, side, _SOFT_STEP) for side in (height, width))
    sums = np.add.reduceat(np.add.reduceat(soft, rows, axis=0), columns, axis=1)
    pixels = np.diff(rows, append=height)[:, None] * np.diff(columns, append=width)
    return zlib.compress(np.rint(255 * np.clip(sums / pixels, 0, 1)).astype(np.uint8).tobytes())


def decode_soft(data: bytes, height: int, width: int) -> Float[np.ndarray, "h w"]:
    """A continuous mask again, linear between the middles of the squares, which at the far edges count as whole."""
    rows, columns = -(-height // _SOFT_STEP), -(-width // _SOFT_STEP)
    unpacked = zlib.decompressobj().decompress(data, rows * columns)  # never more than a mask holds
    small = np.frombuffer(unpacked, np.uint8).reshape(rows, columns) / np.float32(255)
    return _between_middles(_between_middles(small).T).T[:height, :width]


def _between_middles(squares: Float[np.ndarray, "k m"]) -> Float[np.ndarray, "K m"]:
    """Pixels along the first axis from squares: linear between their middles, constant beyond the outer ones."""
    before, after = np.concatenate([squares[:1], squares[:-1]]), np.concatenate([squares[1:], squares[-1:]])
    offsets = (np.arange(_SOFT_STEP, dtype=np.float32) + 0.5) / _SOFT_STEP - 0.5
    pixels = [squares + abs(t) * ((after if t > 0 else before) - squares) for t in offsets]
    return np.stack(pixels, axis=1).reshape(-1, squares.shape[1])


def mask_table(
    masks: MaskBatch,
    images: Sequence[str],
    class_names: Sequence[str],
    crops: Sequence[Crop | None],
    hashes: Sequence[str | None],
) -> pa.Table:
    """Mask rows of n images.

    Args:
        masks: Their masks.
        images: Their names.
        class_names: Name of each image's class.
        crops: What each mask shows of its photograph; None for an image that was not read.
        hashes: SHA-256 of each file; None likewise.
    """
    has_mask = masks.has_mask
    _, height, width = masks.salient.shape

    def measured(values: np.ndarray) -> pa.Array:
        return pa.array(values.astype(np.float32), mask=~np.isfinite(values))

    boxes = {f"crop_{side}": [None if crop is None else getattr(crop, side) for crop in crops] for side in "xywh"}
    return pa.table(
        {
            "image": list(images),
            "class_index": masks.class_index,
            "class_name": list(class_names),
            "predicted_index": pa.array(masks.predicted_index, mask=masks.predicted_index < 0),
            "status": [str(status) for status in masks.status],
            "reason": list(masks.reason),
            "p_original": measured(masks.p_original),
            "p_soft": measured(masks.p_soft),
            "p_binary": measured(masks.p_binary),
            "drop_soft": measured(masks.drop_soft),
            "drop_binary": measured(masks.drop_binary),
            "area": measured(masks.area),
            "transfer_drop": measured(masks.transfer_drop),
            "components": pa.array(masks.components, mask=~has_mask),
            "passes": masks.passes,
            "rle": [encode_mask(mask) if there else None for mask, there in zip(masks.salient, has_mask, strict=True)],
            "height": [height] * len(masks),
            "width": [width] * len(masks),
            **boxes,
            "content_sha256": list(hashes),
            "soft": [encode_soft(mask) if there else None for mask, there in zip(masks.soft, has_mask, strict=True)],
        },
    ).cast(MASK_SCHEMA)


def rows_of_class(table: pa.Table, class_index: int) -> pa.Table:
    """The mask rows of a class."""
    return table.filter(pc.equal(table["class_index"], class_index))  # pyright: ignore[reportAttributeAccessIssue]


def mask_batch(table: pa.Table) -> MaskBatch:
    """Masks from their rows; the continuous mask is the binary one, exactly (see `soft_masks` for a picture of it)."""
    column = table.to_pydict()

    def numbers(name: str, missing: float, dtype: type) -> np.ndarray:
        return np.array([missing if value is None else value for value in column[name]], dtype=dtype)

    shape = (column["height"][0], column["width"][0]) if len(table) else (1, 1)
    salient = np.zeros((len(table), *shape), dtype=bool)
    for row, rle in enumerate(column["rle"]):
        if rle is not None:
            salient[row] = decode_mask(rle, *shape)
    return MaskBatch(
        soft=1.0 - salient.astype(np.float32),
        salient=salient,
        status=tuple(MaskStatus(status) for status in column["status"]),
        reason=tuple(column["reason"]),
        class_index=numbers("class_index", -1, np.int64),
        predicted_index=numbers("predicted_index", -1, np.int64),
        p_original=numbers("p_original", math.nan, np.float32),
        p_soft=numbers("p_soft", math.nan, np.float32),
        p_binary=numbers("p_binary", math.nan, np.float32),
        area=numbers("area", math.nan, np.float32),
        transfer_drop=numbers("transfer_drop", math.nan, np.float32),
        components=numbers("components", 0, np.int32),
        passes=numbers("passes", 0, np.int32),
    )


def soft_masks(table: pa.Table) -> Float[np.ndarray, "n h w"] | None:
    """Continuous masks of rows, as far as they are kept; 1 where there is none, None for runs of earlier versions."""
    if "soft" not in table.column_names:
        return None
    column = table.select(["soft", "height", "width"]).to_pydict()
    shape = (column["height"][0], column["width"][0]) if len(table) else (1, 1)
    soft = np.ones((len(table), *shape), np.float32)
    for row, data in enumerate(column["soft"]):
        if data is not None:
            soft[row] = decode_soft(data, *shape)
    return soft


def summary_table(result: ClassSummaries, class_name: str, images: Sequence[str]) -> pa.Table:
    """Summary rows of one class; what holds for the class as a whole travels in the schema's metadata.

    Args:
        result: The class's summaries.
        class_name: Its name.
        images: Names of the class's images, in the order that the members count.
    """

    def measured(value: float) -> float | None:
        return None if math.isnan(value) else value

    rows = [
        {
            "class_index": result.class_index,
            "class_name": class_name,
            "summary": summary.number,
            "rank": member.rank,
            "image": images[member.image],
            **dict(zip(("box_x", "box_y", "box_w", "box_h"), member.box, strict=True)),
            "similarity": member.similarity,
            "ssim": measured(member.ssim),
            "exemplar": member.exemplar,
            "kept": member.kept,
            "summary_kept": summary.kept,
            "summary_ssim": measured(summary.ssim),
            "summary_reason": summary.reason,
            "importance": measured(summary.importance),
            "stability": measured(summary.stability),
        }
        for summary in result.summaries
        for member in summary.members
    ]
    whole = {
        "class_index": result.class_index,
        "reason": result.reason,
        "diagnostics": vars(result.diagnostics),
    }
    schema = SUMMARY_SCHEMA.with_metadata({_CLASS_KEY: json.dumps(whole).encode()})
    return pa.Table.from_pylist(rows, schema=schema)


def class_summaries(table: pa.Table, images: Sequence[str]) -> ClassSummaries:
    """One class's summaries from their rows.

    Args:
        table: Result of `summary_table`.
        images: Names of the class's images, in the order that the members are to count.
    """
    whole = json.loads((table.schema.metadata or {})[_CLASS_KEY])
    position = {image: row for row, image in enumerate(images)}
    grouped: dict[int, list[dict]] = {}
    for row in table.to_pylist():
        grouped.setdefault(row["summary"], []).append(row)

    def known(value: float | None) -> float:
        return math.nan if value is None else value

    summaries = tuple(
        Summary(
            number=number,
            members=tuple(
                Member(
                    image=position[row["image"]],
                    box=(row["box_x"], row["box_y"], row["box_w"], row["box_h"]),
                    rank=row["rank"],
                    similarity=row["similarity"],
                    ssim=known(row["ssim"]),
                    exemplar=row["exemplar"],
                    kept=row["kept"],
                )
                for row in sorted(rows, key=lambda row: row["rank"])
            ),
            ssim=known(rows[0]["summary_ssim"]),
            kept=rows[0]["summary_kept"],
            reason=rows[0]["summary_reason"],
            importance=known(rows[0]["importance"]),
            stability=known(rows[0]["stability"]),
        )
        for number, rows in sorted(grouped.items())
    )
    return ClassSummaries(
        class_index=whole["class_index"],
        summaries=summaries,
        diagnostics=ClusterDiagnostics(**whole["diagnostics"]),
        reason=whole["reason"],
    )
