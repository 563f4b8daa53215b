"""A page on which the summaries of two networks stand side by side; those that only one of them has come first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from vissum_jax.report.environment import make_environment
from vissum_jax.report.jpeg import encode_jpeg

_STATIC = ("report.css", "report.js", "compare.css")
_JPEG_QUALITY = 85


class Side(NamedTuple):
    """One of the two runs."""

    model: str
    run: str
    preset: str


class Card(NamedTuple):
    """A summary: its number as pages count, its members, and pictures of some of them with their names."""

    number: int
    members: int
    tiles: Sequence[tuple[str, UInt8[np.ndarray, "h w 3"]]]


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


def write_comparison(folder: Path, sides: tuple[Side, Side], sections: Iterable[ClassSection]) -> Path:
    """Write the page and its pictures into an empty folder.

    Args:
        folder: Where.
        sides: The two runs.
        sections: Classes, which may come from a generator, one at a time.

    Returns:
        The page, `index.html`.
    """
    (folder / "static").mkdir()
    for name in _STATIC:
        source = resources.files("vissum_jax.report") / "static" / name
        (folder / "static" / name).write_bytes(source.read_bytes())
    views = [_view(section, folder, number) for number, section in enumerate(sections)]
    html = make_environment().get_template("compare.html").render(sides=sides, classes=views, root="")
    # Names from a file system may hold halves of characters, which UTF-8 cannot write.
    (folder / "index.html").write_bytes(html.encode("utf-8", "backslashreplace"))
    return folder / "index.html"


def _view(section: ClassSection, root: Path, number: int) -> dict:
    """A class as the template sees it; its pictures are written."""
    # Names come from outside; addresses are made of numbers only.
    folder = f"classes/{number}"
    (root / folder).mkdir(parents=True)

    def card(side: int, shown: Card) -> dict:
        tiles = []
        for row, (name, picture) in enumerate(shown.tiles):
            file = f"{folder}/{'ab'[side]}-{shown.number}-{row}.jpg"
            (root / file).write_bytes(encode_jpeg(picture, _JPEG_QUALITY))
            height, width = picture.shape[:2]
            tiles.append({"file": file, "name": name, "height": height, "width": width})
        return {"number": shown.number, "members": shown.members, "tiles": tiles}

    return {
        "id": f"class-{number}",
        "section": section,
        "only": [[card(side, shown) for shown in cards] for side, cards in enumerate(section.only)],
        "matched": [(match, card(0, match.first), card(1, match.second)) for match in section.matched],
    }
