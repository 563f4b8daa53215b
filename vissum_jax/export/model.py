"""What is exported, as plain values, and where it lies on the photographs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool

from vissum_jax.types import Crop, MaskBatch, Summary

Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class ExportedClass:
    """One class of a run.

    Attributes:
        class_index: The class.
        class_name: Its name.
        images: Path of each photograph, relative to the images folder.
        masks: Their masks.
        crops: What each mask shows of its photograph; None where the photograph was unreadable.
        summaries: The kept summaries.
        tags: What people call a summary, by its number, where they were asked.
    """

    class_index: int
    class_name: str
    images: tuple[str, ...]
    masks: MaskBatch
    crops: tuple[Crop | None, ...]
    summaries: tuple[Summary, ...]
    tags: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that everything speaks of the same photographs."""
        for name in ("masks", "crops"):
            if len(getattr(self, name)) != len(self.images):
                raise ValueError(
                    f"`{name}` must be one for each of the {len(self.images)} images, got {len(getattr(self, name))}."
                )

    def label(self, summary: Summary) -> str:
        """Name of a summary among all of the run's."""
        return f"{self.class_name}/{summary.number}"


def photograph_size(crop: Crop) -> tuple[int, int]:
    """Width and height of the photograph, upright after its EXIF orientation, of which `crop` is the centre."""
    return round(2 * crop.x + crop.w), round(2 * crop.y + crop.h)


def on_photograph(salient: Bool[np.ndarray, "h w"], crop: Crop) -> Bool[np.ndarray, "height width"]:
    """A mask in the photograph's pixels: each takes the value under its centre; False outside the crop."""
    width, height = photograph_size(crop)
    rows, y = _sampled(height, crop.y, crop.h, salient.shape[0])
    columns, x = _sampled(width, crop.x, crop.w, salient.shape[1])
    whole = np.zeros((height, width), dtype=bool)
    whole[np.ix_(rows, columns)] = salient[np.ix_(y, x)]
    return whole


def _sampled(size: int, start: float, length: float, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of a photograph's side whose centres a mask covers, and the cells of the mask under them."""
    cell = np.floor((np.arange(size) + 0.5 - start) * cells / length).astype(int)
    inside = np.flatnonzero((cell >= 0) & (cell < cells))
    return inside, cell[inside]


def box_on_photograph(box: Box | tuple[int, int, int, int], crop: Crop, height: int, width: int) -> Box:
    """A box (x, y, width, height) of the mask geometry in the photograph's pixels.

    Args:
        box: The box.
        crop: What the mask shows of the photograph.
        height: Of the mask.
        width: Of the mask.
    """
    x, y, w, h = box
    across, down = crop.w / width, crop.h / height
    return crop.x + x * across, crop.y + y * down, w * across, h * down


def bounds(salient: Bool[np.ndarray, "h w"]) -> tuple[int, int, int, int]:
    """The smallest box (x, y, width, height) around a mask that is not empty."""
    rows, columns = np.flatnonzero(salient.any(axis=1)), np.flatnonzero(salient.any(axis=0))
    x, y = int(columns[0]), int(rows[0])
    return x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y


def known(value: float) -> float | None:
    """A measure for JSON, which has no NaN."""
    return float(value) if math.isfinite(value) else None
