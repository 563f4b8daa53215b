"""The whole job where the truth is known: rendered flowers whose classes differ in one coloured part."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vissum_jax.analysis.parts import NO_PART, PartConfig, PartScores, own_part_share, score_parts
from vissum_jax.data.an8flower import FlowerConfig, flower_classes
from vissum_jax.data.an8flower.dataset import IMAGES_FOLDER, write_dataset
from vissum_jax.data.truth_masks import open_part_labels
from vissum_jax.pipeline.outcome import Outcome, outcome
from vissum_jax.pipeline.part_truth import LabelTruth
from vissum_jax.pipeline.progress import Progress
from vissum_jax.pipeline.run import Run, start_run
from vissum_jax.pipeline.settings import RunConfig
from vissum_jax.pipeline.stages import mask_stage, report_stage, summary_stage
from vissum_jax.runs.rows import decode_mask

VARIANT = "demo"
MODEL = "flowernet"
IMAGES_PER_CLASS = 16
SETTINGS = {
    # The papers' pixels are those of inputs twice as wide: a box may have half their least side, and the mask's
    # grid half as many cells, of the same size in pixels. Masks hide whole rendered parts and need not be grown.
    "proposals": {"min_side": 10, "mask_growth": 0},
    "masks": {"grid": 14, "target_drop": 0.999},
}
SEED = 2026
"""Of the flowers; none of them was seen in training."""


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What the demo found, and how it fits the truth.

    Attributes:
        report: The page to open.
        outcome: Figures of the run.
        parts: Purity of the kept summaries against the rendered parts, beside shuffled labels.
        own_part_share: Share of the parts shown that are the one that makes their class.
    """

    report: Path
    outcome: Outcome
    parts: PartScores
    own_part_share: float

    def plain(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {
            "report": str(self.report),
            **self.outcome.plain(),
            "parts": dataclasses.asdict(self.parts),
            "own_part_share": self.own_part_share,
        }


def render_flowers(out: Path, progress: Progress) -> None:
    """Render the flowers into ``out/flowers``; the same bytes every time."""
    progress.start("flowers", IMAGES_PER_CLASS * len(flower_classes(VARIANT)))
    write_dataset(
        out / "flowers",
        variant=VARIANT,
        images_per_class=IMAGES_PER_CLASS,
        seed=SEED,
        config=FlowerConfig(),
        progress=progress.advance,
    )
    progress.finish()


def start_demo(out: Path) -> Run:
    """Start the run in ``out/run``, or go on with it."""
    return start_run(
        RunConfig(images=str(out / "flowers" / IMAGES_FOLDER), model=MODEL, overrides=SETTINGS), out / "run"
    )


def explain_flowers(run: Run, out: Path, progress: Progress) -> DemoResult:
    """Work through all stages and compare the summaries with the truth that was rendered."""
    mask_stage(run, progress)
    summary_stage(run, progress)
    page = report_stage(run, progress)
    truth = LabelTruth(open_part_labels(out / "flowers"), PartConfig())
    summary, part, own = _member_parts(run, truth)
    return DemoResult(
        report=page,
        outcome=outcome(run),
        parts=score_parts(summary, part, truth.config),
        own_part_share=own_part_share(part, own),
    )


def _member_parts(run: Run, truth: LabelTruth) -> tuple[np.ndarray, np.ndarray, list[tuple[int, ...]]]:
    """Summary, part and discriminative parts of every kept member; summaries are numbered over all classes."""
    rows = {row["image"]: row for row in run.mask_rows().to_pylist()}
    summaries: list[int] = []
    parts: list[int] = []
    own: list[tuple[int, ...]] = []
    number = 0
    for class_index in sorted(run.manifest.classes):
        files = [entry.image for entry in run.source.of_class(class_index)]
        for summary in run.class_result(class_index).kept:
            for member in summary.kept_members:
                row = rows[files[member.image]]
                salient = decode_mask(row["rle"], row["height"], row["width"])
                shown = truth.shown(row["image"], member.box, row, salient)
                summaries.append(number)
                parts.append(NO_PART if shown is None else shown)
                own.append(truth.own_parts(row["image"]))
            number += 1
    return np.array(summaries, int), np.array(parts, int), own
