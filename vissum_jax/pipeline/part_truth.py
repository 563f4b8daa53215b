"""Which part a box shows, by what is known of the photograph: annotated points, or a label for every pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from jaxtyping import Bool

from vissum_jax.analysis.localisation import points_in_mask
from vissum_jax.analysis.parts import NO_PART, PartConfig, nearest_part, part_of_box
from vissum_jax.data.part_points import PartPoints
from vissum_jax.data.truth_masks import PartLabels, in_mask_geometry
from vissum_jax.types import Crop

Row = Mapping[str, Any]
"""What a mask row says of its photograph: `crop_*`, height, width."""


class PartTruth(Protocol):
    """What is known of the parts of photographs."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parts."""
        ...

    @property
    def hint(self) -> str:
        """Where photographs are looked for, as one clause for messages."""
        ...

    def covers(self, image: str) -> bool:
        """Whether anything is known of a photograph."""
        ...

    def shown(self, image: str, box: Sequence[int], row: Row) -> int | None:
        """The part that a box shows, `NO_PART` for none; None where nothing is known of the photograph."""
        ...

    @property
    def tells_own_parts(self) -> bool:
        """Whether it is known which parts make a class."""
        ...

    def own_parts(self, image: str) -> tuple[int, ...]:
        """Parts that make the photograph's class."""
        ...


@dataclass(frozen=True)
class PointTruth:
    """A box shows the annotated part nearest to its centre, inside the box.

    Attributes:
        points: Annotated parts.
    """

    points: PartPoints

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parts."""
        return self.points.names

    @property
    def hint(self) -> str:
        """See `PartTruth`."""
        return "the column `file` must hold their names or the ends of their paths"

    def covers(self, image: str) -> bool:
        """Whether any part of a photograph is annotated."""
        return self.points.of(image) is not None

    def shown(self, image: str, box: Sequence[int], row: Row) -> int | None:
        """See `PartTruth`."""
        annotated = self.points.of(image)
        if annotated is None:
            return None
        parts, centres = annotated
        x, y, w, h = box
        seen = points_in_mask(centres, _crop(row), row["height"], row["width"])
        nearest = nearest_part(seen, (x, y, w, h))
        return NO_PART if nearest == NO_PART else int(parts[nearest])

    @property
    def tells_own_parts(self) -> bool:
        """Points do not say what makes a class."""
        return False

    def own_parts(self, image: str) -> tuple[int, ...]:
        """None."""
        del image
        return ()


@dataclass(frozen=True)
class LabelTruth:
    """A box shows the part that covers most of it.

    Attributes:
        labels: A label for every pixel.
        config: How much a part must cover.
    """

    labels: PartLabels
    config: PartConfig

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parts."""
        return self.labels.names

    @property
    def hint(self) -> str:
        """See `PartTruth`."""
        return f"files of the same names must be in {str(self.labels.folder)!r}"

    def covers(self, image: str) -> bool:
        """Whether a photograph has labels."""
        return self.labels.of(image) is not None

    def shown(
        self, image: str, box: Sequence[int], row: Row, salient: Bool[np.ndarray, "h w"] | None = None
    ) -> int | None:
        """See `PartTruth`; where a mask is given, its pixels alone count."""
        labels = self.labels.of(image)
        if labels is None:
            return None
        seen = in_mask_geometry(labels, _crop(row), row["height"], row["width"])
        x, y, w, h = box
        return part_of_box(seen, np.ones(seen.shape, bool) if salient is None else salient, (x, y, w, h), self.config)

    @property
    def tells_own_parts(self) -> bool:
        """What makes a class was rendered."""
        return True

    def own_parts(self, image: str) -> tuple[int, ...]:
        """Parts whose colour makes the photograph's class."""
        return self.labels.own_parts(image)


def _crop(row: Row) -> Crop:
    return Crop(*(row[f"crop_{side}"] for side in "xywh"))
