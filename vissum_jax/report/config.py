"""How a report looks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from vissum_jax.report.pictures import PictureStyle

FIGURE_FORMATS = ("pdf", "png")


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """How a report looks.

    Attributes:
        style: Colours and lines of the pictures.
        picture_side: Least short side of a summary's pictures; smaller photographs are enlarged by a
            whole factor, so that lines stay thin.
        jpeg_quality: Quality of the pictures.
        bytes_per_pixel: What a picture may take; one that takes more is written in a lower quality. It bounds the
            size of a report.
        members_shown: Members of a summary that are shown before one asks for more.
        dropped_shown: Members of a dropped cluster that are shown at all.
        exemplars_shown: Summaries of a class that the overview pictures.
        zoom_margin: Margin around a part when zoomed, as a share of the part's side.
        figures: Format of the figures for papers, or None for none.
    """

    style: PictureStyle = field(default_factory=PictureStyle)
    picture_side: int = 224
    jpeg_quality: int = 85
    bytes_per_pixel: float = 0.5
    members_shown: int = 12
    dropped_shown: int = 12
    exemplars_shown: int = 5
    zoom_margin: float = 0.6
    figures: Literal["pdf", "png"] | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("picture_side", "members_shown", "dropped_shown", "exemplars_shown"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be positive, got {getattr(self, name)}.")
        if not 1 <= self.jpeg_quality <= 100:
            raise ValueError(f"`jpeg_quality` must be in [1, 100], got {self.jpeg_quality}.")
        if not self.bytes_per_pixel > 0:
            raise ValueError(f"`bytes_per_pixel` must be positive, got {self.bytes_per_pixel}.")
        if self.zoom_margin < 0:
            raise ValueError(f"`zoom_margin` must not be negative, got {self.zoom_margin}.")
        if self.figures not in (None, *FIGURE_FORMATS):
            raise ValueError(f"`figures` must be one of {', '.join(FIGURE_FORMATS)}, got {self.figures!r}.")
