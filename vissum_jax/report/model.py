"""What a report needs to know, as plain values: from memory or from the files of a run alike.

Names of files and classes come from outside and may hold anything; pages show them and never trust them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from vissum_jax.report.evaluation import Comparison, Evaluation
from vissum_jax.study.tags import Tag
from vissum_jax.types import ClassSummaries, MaskBatch


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What holds for a run as a whole.

    Attributes:
        model: Name of the network.
        preset: Name of the mask preset.
        class_names: The network's class names, by index (to name what it predicts).
        configuration: The resolved configuration, nested.
        versions: Version of each package.
        device: What the run computed on.
        timings: Seconds of each stage.
        evaluations: What was measured: how the masks compare with other methods', whether summaries are parts, ..
        comparisons: Pages that put this run beside another.
        tags: What people call summaries, by class and number of the summary, if a study was scored.
    """

    model: str
    preset: str
    class_names: tuple[str, ...]
    configuration: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    device: str = ""
    timings: Mapping[str, float] = field(default_factory=dict)
    evaluations: tuple[Evaluation, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    tags: Mapping[tuple[int, int], Tag] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ClassReport:
    """One class of a run.

    Attributes:
        class_index: The class.
        class_name: Its name.
        files: Where each photograph came from, as the rows call it.
        images: The photographs in the network's geometry; anything where the file was unreadable.
        masks: Masks and measures of the photographs, in the same order.
        summaries: The class's summaries; their members count photographs in the same order.
        has_soft: Whether `masks.soft` holds the continuous masks (files of a run keep the binary ones only).
        perturbed: The photographs with their masks applied, if they are to be shown.
    """

    class_index: int
    class_name: str
    files: tuple[str, ...]
    images: UInt8[np.ndarray, "n h w 3"]
    masks: MaskBatch
    summaries: ClassSummaries
    has_soft: bool = True
    perturbed: UInt8[np.ndarray, "n h w 3"] | None = None

    def __post_init__(self) -> None:
        """Check that everything speaks of the same photographs."""
        n = len(self.files)
        if self.class_index < 0:
            raise ValueError(f"`class_index` must not be negative, got {self.class_index}.")
        if len(self.masks) != n:
            raise ValueError(f"`masks` must be one for each of the {n} files, got {len(self.masks)}.")
        shape = (n, *self.masks.salient.shape[1:], 3)
        for name in ("images", "perturbed"):
            array = getattr(self, name)
            if array is not None and (array.shape != shape or array.dtype != np.uint8):
                raise ValueError(f"`{name}` must be uint8 {shape}, got {array.dtype} {array.shape}.")
        for summary in self.summaries.summaries:
            for member in summary.members:
                if not 0 <= member.image < n:
                    raise ValueError(f"`summaries` name photograph {member.image} of {n}.")

    @property
    def measures(self) -> dict[str, Float[np.ndarray, n]]:
        """The measures of the photographs that have a mask, by name (VS 4.1)."""
        masks, rows = self.masks, self.masks.has_mask
        columns = {
            "drop_soft": masks.drop_soft,
            "drop_binary": masks.drop_binary,
            "area": masks.area,
            "transfer_drop": masks.transfer_drop,
        }
        return {name: np.asarray(column, np.float64)[rows] for name, column in columns.items()}
