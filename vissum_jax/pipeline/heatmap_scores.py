"""Measures of one method's heat maps, part by part on disk."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Collection
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float
from PIL import Image

from vissum_jax.analysis.heatmaps import HeatmapConfig, overlap_curve, pointing_hit, unit_range
from vissum_jax.analysis.heatmaps_comparison import HeatmapScores
from vissum_jax.interpretation.artefacts import grid_energy
from vissum_jax.pipeline.heatmap_methods import HeatmapMaker
from vissum_jax.pipeline.heatmap_photographs import PARTS, TruePhotographs, read_pictures
from vissum_jax.pipeline.method_parts import finish_method
from vissum_jax.pipeline.progress import Progress
from vissum_jax.pipeline.run import Run

_SCHEMA = pa.schema(
    [
        ("image", pa.string()),
        ("curve", pa.list_(pa.float64())),
        ("pointing", pa.float64()),
        ("grid_energy", pa.float64()),
        ("map", pa.binary()),
    ]
)


def finish_scores(
    run: Run,
    maker: HeatmapMaker,
    method: str,
    photographs: TruePhotographs,
    scoring: HeatmapConfig,
    progress: Progress,
    *,
    stride: int | None,
    shown: Collection[str],
    batch_size: int,
) -> pa.Table:
    """All rows of a method; what is there is not computed again.

    Args:
        run: Network and photographs.
        maker: What the maps are made with.
        method: Name of the method.
        photographs: Those that are compared on.
        scoring: Constants of the measures.
        progress: Shows photographs done.
        stride: Period of the grid that is measured; None for none.
        shown: Names of photographs whose maps are kept.
        batch_size: Photographs at once.
    """

    def work(part: slice) -> pa.Table:
        rows = photographs.rows[part]
        maps = maker.maps(
            method,
            read_pictures(run, rows),
            np.array([row["class_index"] for row in rows]),
            batch_size=batch_size,
            progress=progress.advance,
        )
        scored = []
        for row, heat in zip(rows, maps, strict=True):
            image = row["image"]
            scored.append({"image": image, **_measures(heat, photographs.truths[image], scoring, stride)})
            if image in shown and scored[-1]["curve"] is not None:
                scored[-1]["map"] = _encoded(heat)
        return pa.Table.from_pylist(scored, schema=_SCHEMA)

    packed = b"".join(np.packbits(photographs.truths[row["image"]]).tobytes() for row in photographs.rows)
    return finish_method(
        run.folder / PARTS,
        method,
        work,
        units=np.ones(len(photographs.rows), int),
        batch_size=batch_size,
        decisive={
            "fingerprint": run.manifest.fingerprint,
            "images": [row["image"] for row in photographs.rows],
            "truth": hashlib.sha256(packed).hexdigest(),
            "stride": stride,
            "maker": maker.decisive(method),
        },
        log=run.log,
        progress=progress,
    )


def scores_of(table: pa.Table, scoring: HeatmapConfig) -> HeatmapScores:
    """The measures of a method, NaN for maps that were not finite."""
    nothing = [float("nan")] * scoring.thresholds
    return HeatmapScores(
        curves=np.array([nothing if curve is None else curve for curve in table["curve"].to_pylist()]),
        pointing=_column(table, "pointing"),
        grid_energy=_column(table, "grid_energy"),
    )


def map_of(table: pa.Table, image: str) -> Float[np.ndarray, "h w"] | None:
    """A map that was kept, in [0, 1]; None where there is none."""
    data = table["map"][table["image"].to_pylist().index(image)].as_py()
    return None if data is None else np.asarray(Image.open(io.BytesIO(data))) / 255.0


def _measures(
    heat: Float[np.ndarray, "h w"], truth: Bool[np.ndarray, "h w"], scoring: HeatmapConfig, stride: int | None
) -> dict[str, Any]:
    """Of one map; None each where it is not finite."""
    if not np.isfinite(heat).all():
        return dict.fromkeys(("curve", "pointing", "grid_energy"))
    return {
        "curve": overlap_curve(heat, truth, scoring).tolist(),
        "pointing": pointing_hit(heat, truth, scoring),
        "grid_energy": None if stride is None else grid_energy(heat, stride=stride),
    }


def _encoded(heat: Float[np.ndarray, "h w"]) -> bytes:
    """A map in 8 bits, for the eye."""
    data = io.BytesIO()
    Image.fromarray(np.rint(unit_range(heat) * 255).astype(np.uint8)).save(data, format="PNG")
    return data.getvalue()


def _column(table: pa.Table, name: str) -> Float[np.ndarray, " n"]:
    return np.array([np.nan if value is None else value for value in table[name].to_pylist()], float)
