"""What came out of a run, in figures."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from vissum_jax.pipeline.run import Run
from vissum_jax.pipeline.stages import FAILED
from vissum_jax.types import HAS_MASK

_COLUMNS = ["image", "status", "reason", "drop_binary", "area", "transfer_drop"]


@dataclass(frozen=True, kw_only=True)
class ClassOutcome:
    """One class of a run.

    Attributes:
        class_index: The class.
        class_name: Its name.
        statuses: Number of images by status.
        drop_binary_mean: Mean drop of the binary masks.
        drop_binary_variance: Its population variance.
        area_mean: Mean share of salient pixels.
        transfer_drop_mean: Mean drop under the mean colour.
        summaries_kept: Number of summaries.
        images_per_summary: Number of images in each of them.
        importance: What each of them takes of the class's probability with it, see `Summary`; None if unknown.
        stability: How surely each of them is found again; None where that was not measured.
        reason: Why there are none, where there are none.
    """

    class_index: int
    class_name: str
    statuses: dict[str, int]
    drop_binary_mean: float | None
    drop_binary_variance: float | None
    area_mean: float | None
    transfer_drop_mean: float | None
    summaries_kept: int
    images_per_summary: tuple[int, ...]
    importance: tuple[float | None, ...]
    stability: tuple[float | None, ...]
    reason: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A whole run.

    Attributes:
        classes: By class index.
        failed: (image, reason) of images on which the work itself failed.
    """

    classes: tuple[ClassOutcome, ...]
    failed: tuple[tuple[str, str], ...]

    def plain(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return dataclasses.asdict(self)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def outcome(run: Run) -> Outcome:
    """Collect the figures of a finished run."""
    run.require_masks()
    classes: list[ClassOutcome] = []
    failed: list[tuple[str, str]] = []
    for class_index, name in sorted(run.manifest.classes.items()):
        own = run.class_rows(class_index).select(_COLUMNS).to_pylist()
        masked = [row for row in own if row["status"] in HAS_MASK]
        failed += [(row["image"], row["reason"]) for row in own if row["status"] in FAILED]

        def moment(column: str, take: Any, masked: list[dict] = masked) -> float | None:
            return float(take([row[column] for row in masked])) if masked else None

        result = run.class_result(class_index)
        classes.append(
            ClassOutcome(
                class_index=class_index,
                class_name=name,
                statuses=dict(Counter(row["status"] for row in own)),
                drop_binary_mean=moment("drop_binary", np.mean),
                drop_binary_variance=moment("drop_binary", np.var),
                area_mean=moment("area", np.mean),
                transfer_drop_mean=moment("transfer_drop", np.mean),
                summaries_kept=len(result.kept),
                images_per_summary=tuple(len(summary.kept_members) for summary in result.kept),
                importance=tuple(_known(summary.importance) for summary in result.kept),
                stability=tuple(_known(summary.stability) for summary in result.kept),
                reason=result.reason,
            )
        )
    return Outcome(classes=tuple(classes), failed=tuple(failed))
