"""``vissum evaluate localization``: do the boxes of a run fit the annotated objects?

ILSVRC's rule: an answer is right if its class is and its box overlaps an annotated one by at least a half. Beside it
the box given the label, and what boxes cost nothing or less: the whole photograph, a central box of the mean annotated
size, and the box around the thresholded saliency without graph cut.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from vissum_jax.analysis.bootstrap import BootstrapConfig, paired_difference
from vissum_jax.analysis.object_boxes import OVERLAP, Share, best_overlap, central_box, whole_box
from vissum_jax.data.annotations import Annotations
from vissum_jax.pipeline.localize import LocalizeRun
from vissum_jax.report.evaluation import FOLDER
from vissum_jax.report.gallery import Table
from vissum_jax.runs.store import write_atomically

FILE = "localization.json"
OURS = "graph cut"
TITLES = {
    OURS: "graph cut",
    "threshold": "saliency, no graph cut",
    "whole": "whole photograph",
    "central": "central box",
}
"""Boxes given the label."""


def evaluate_localization(
    opened: LocalizeRun, boxes: Sequence[Annotations], *, exclude: Collection[str] = ()
) -> dict[str, Any]:
    """Compare a run's boxes with annotated ones; written as ``evaluation/localization.json``.

    Args:
        opened: A run whose parts are done.
        boxes: Annotated boxes in pixels of the photographs.
        exclude: Photographs that are not counted, as those that settings were tuned on.

    Returns:
        Plain values for JSON.

    Raises:
        NotReadyError: If the run is not finished.
        ValueError: If nothing is annotated in any photograph that counts.
    """
    by_image: dict[str, list[dict]] = {}
    for row in opened.rows().to_pylist():
        by_image.setdefault(row["image"], []).append(row)
    images, truths, left_out = [], [], {"excluded": 0, "not annotated": 0, "unreadable": 0}
    for image, rows in by_image.items():
        truth = next((found for found in (source.of(image) for source in boxes) if found is not None), None)
        if image in exclude:
            left_out["excluded"] += 1
        elif truth is None:
            left_out["not annotated"] += 1
        elif rows[0]["photograph_width"] is None:
            left_out["unreadable"] += 1
        else:
            images.append(rows)
            truths.append(truth)
    if not images:
        found = ", ".join(f"{count} {why}" for why, count in left_out.items())
        raise ValueError(f"no photograph of {str(opened.run.folder)!r} is left to compare ({found}).")
    values = {
        "run": str(opened.run.folder),
        "model": opened.run.classifier.spec.name,
        "fingerprint": opened.run.manifest.fingerprint,
        "overlap": OVERLAP,
        "left_out": left_out,
        **_measures(images, truths, opened.request.top),
    }
    path = opened.run.folder / FOLDER / FILE
    write_atomically(path, json.dumps(values, indent=1, ensure_ascii=False).encode())
    return values


def _measures(images: Sequence[Sequence[dict]], truths: Sequence[Float[np.ndarray, "k 4"]], top: int) -> dict[str, Any]:
    overlaps = {name: np.zeros(len(images)) for name in TITLES}
    ranks = np.zeros(len(images), int)
    shapes = [(rows[0]["photograph_width"], rows[0]["photograph_height"]) for rows in images]
    sizes = np.concatenate([truth[:, 2:] / shape for truth, shape in zip(truths, shapes, strict=True)])
    for number, (rows, truth, shape) in enumerate(zip(images, truths, shapes, strict=True)):
        own = next((row for row in rows if row["candidate_index"] == row["class_index"]), None)
        overlaps["whole"][number] = best_overlap(whole_box(*shape), truth)
        overlaps["central"][number] = best_overlap(central_box(*shape, sizes.mean(axis=0)), truth)
        # A network that answers NaN has no rank and no box.
        ranks[number] = top if own is None else own["rank"]
        for name, column in ((OURS, "box"), ("threshold", "threshold")):
            box = [
                np.nan if own is None or own[f"{column}_{side}"] is None else own[f"{column}_{side}"] for side in "xywh"
            ]
            overlaps[name][number] = best_overlap(np.array(box, float), truth)
    right = {name: overlap >= OVERLAP for name, overlap in overlaps.items()}
    classes = np.array([rows[0]["class_name"] for rows in images])
    return {
        "images": len(images),
        "top": top,
        "mean_size": sizes.mean(axis=0).tolist(),
        "top1_error": Share.of(~(right[OURS] & (ranks < 1))).plain(),
        "top_error": Share.of(~(right[OURS] & (ranks < top))).plain(),
        "classification_top1_error": Share.of(ranks >= 1).plain(),
        "classification_top_error": Share.of(ranks >= top).plain(),
        "given_label": {name: Share.of(hit).plain() for name, hit in right.items()},
        "mean_overlap": {name: float(overlap.mean()) for name, overlap in overlaps.items()},
        "gain_over": {name: _gain(right[OURS], right[name]) for name in TITLES if name != OURS},
        "by_class": {
            str(name): {method: Share.of(hit[classes == name]).plain() for method, hit in right.items()}
            for name in sorted(set(classes.tolist()))
        },
    }


def _gain(ours: Bool[np.ndarray, " n"], other: Bool[np.ndarray, " n"]) -> dict[str, float | int]:
    """Difference of the shares with the paired bootstrap's interval."""
    return dataclasses.asdict(paired_difference(ours.astype(float), other.astype(float), BootstrapConfig()))


def read_names(path: Path | str) -> frozenset[str]:
    """Names of photographs, one a line.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not text.
    """
    try:
        return frozenset(line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip())
    except FileNotFoundError:
        raise FileNotFoundError(f"No file {str(path)!r}.") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{str(path)!r} is not text in UTF-8: {error}.") from error


def as_table(values: dict[str, Any]) -> Table:
    """The figures for people."""

    def line(name: str, share: dict[str, Any]) -> tuple[str, ...]:
        return name, f"{share['share']:.1%}", f"{share['low']:.1%} to {share['high']:.1%}"

    top = values["top"]
    return Table(
        title="How well the boxes fit",
        headings=("", "share", "95 % interval"),
        lines=(
            line("Top-1 localisation error", values["top1_error"]),
            line(f"Top-{top} localisation error", values["top_error"]),
            line("Top-1 classification error", values["classification_top1_error"]),
            line(f"Top-{top} classification error", values["classification_top_error"]),
            *(line(f"Box given the label: {title}", values["given_label"][name]) for name, title in TITLES.items()),
        ),
        note=(
            f"On {values['images']} annotated photographs. A box fits if it overlaps an annotated one by at least "
            f"{OVERLAP:.0%} (intersection over union). The central box has the mean size of the annotated ones."
        ),
    )
