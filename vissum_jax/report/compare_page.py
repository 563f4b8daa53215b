"""A page on which the summaries of two networks stand side by side; those that only one of them has come first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from vissum_jax.report.environment import make_environment
from vissum_jax.report.figures import Format, Row, montage
from vissum_jax.report.folder import SiteFolder
from vissum_jax.report.jpeg import encode_jpeg
from vissum_jax.report.text import plural, readable

_STATIC = ("report.css", "report.js", "compare.css")
_JPEG_QUALITY = 85


class Side(NamedTuple):
    """One of the two runs; `report` is the address of its report's folder, seen from the page, or empty."""

    model: str
    run: str
    preset: str
    report: str = ""


class CardTile(NamedTuple):
    """A photograph of a summary: its name, its picture, and the address of its own page, empty where it has none."""

    name: str
    picture: UInt8[np.ndarray, "h w 3"]
    page: str = ""


class Card(NamedTuple):
    """A summary: its number as pages count, its members, pictures of some, and its address in the run's report."""

    number: int
    members: int
    tiles: Sequence[CardTile]
    page: str = ""


class Match(NamedTuple):
    """Summaries of both that show the same part, with their similarity (see `analysis.summary_overlap`)."""

    first: Card
    second: Card
    similarity: float
    photographs: int
    mean_iou: float


@dataclass(frozen=True, kw_only=True)
class ClassSection:
    """One class.

    Attributes:
        name: Its name.
        photographs: Photographs that both networks could explain.
        reasons: Why a network has no summaries, where it has none.
        only: Summaries that only the first, or only the second network has.
        matched: Pairs that show the same part.
    """

    name: str
    photographs: int
    reasons: tuple[str, str]
    only: tuple[Sequence[Card], Sequence[Card]]
    matched: Sequence[Match]


def write_comparison(
    root: Path, sides: tuple[Side, Side], sections: Iterable[ClassSection], *, figures: Format | None = None
) -> Path:
    """Write the page and its pictures into an empty folder.

    Args:
        root: Where.
        sides: The two runs.
        sections: Classes, which may come from a generator, one at a time.
        figures: Format of a figure for papers of each class (VS figure 5), or None for none.

    Returns:
        The page, `index.html`.
    """
    site = SiteFolder(root)
    site.write_static(_STATIC)
    same = sides[0].model == sides[1].model
    names = [f"{side.model} ({side.run})" if same else side.model for side in sides]
    views = [_view(section, site, number, names, figures) for number, section in enumerate(sections)]
    html = make_environment().get_template("compare.html").render(sides=sides, names=names, classes=views, root="")
    site.write_page("index.html", html)
    return root / "index.html"


def _view(section: ClassSection, site: SiteFolder, number: int, names: Sequence[str], figures: Format | None) -> dict:
    """A class as the template sees it; its pictures are written."""
    # Names come from outside; addresses are made of numbers only.
    folder = f"classes/{number}"

    def card(side: int, shown: Card) -> dict:
        tiles = []
        for row, tile in enumerate(shown.tiles):
            file = f"{folder}/{'ab'[side]}-{shown.number}-{row}.jpg"
            site.write(file, encode_jpeg(tile.picture, _JPEG_QUALITY))
            height, width = tile.picture.shape[:2]
            tiles.append({"file": file, "page": tile.page or file, "name": tile.name, "height": height, "width": width})
        return {"number": shown.number, "members": shown.members, "page": shown.page, "tiles": tiles}

    rows = [
        *(_row(f"Only {name}", one) for name, cards in zip(names, section.only, strict=True) for one in cards),
        *(
            _row(f"Both: {name}", one)
            for match in section.matched
            for name, one in zip(names, (match.first, match.second), strict=True)
        ),
    ]
    figure = f"{folder}/figure.{figures}" if figures is not None and rows else ""
    if figures is not None and rows:
        site.write(figure, montage(readable(section.name), rows, figures))
    return {
        "id": f"class-{number}",
        "section": section,
        "figure": figure,
        "only": [[card(side, shown) for shown in cards] for side, cards in enumerate(section.only)],
        "matched": [(match, card(0, match.first), card(1, match.second)) for match in section.matched],
    }


def _row(whose: str, card: Card) -> Row:
    """A summary in a figure."""
    label = [whose, f"summary {card.number}", plural(card.members, "photograph")]
    return Row(label, [tile.picture for tile in card.tiles])
