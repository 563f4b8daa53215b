"""Static pages of pictures with facts: class models, saliency, localisation. One page, and one for each class."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from vissum_jax.report.environment import make_environment
from vissum_jax.report.jpeg import encode_jpeg
from vissum_jax.report.site import MARKER, is_report
from vissum_jax.report.views import flattened

_STATIC = ("report.css", "report.js", "gallery.css")
_JPEG_QUALITY = 85


class Figure(NamedTuple):
    """A number, large, and what it is."""

    name: str
    value: str


class Picture(NamedTuple):
    """A picture with its caption and its alternative text."""

    caption: str
    alt: str
    pixels: UInt8[np.ndarray, "h w 3"]


@dataclass(frozen=True, kw_only=True)
class Table:
    """Text in rows and columns.

    Attributes:
        title: Heading.
        headings: Of the columns.
        lines: Cells.
        note: What the figures mean.
    """

    title: str
    headings: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One thing shown.

    Attributes:
        title: Its name.
        pictures: Its pictures.
        facts: Names and values.
        warning: What went wrong, if anything did.
    """

    title: str
    pictures: Sequence[Picture] = ()
    facts: Sequence[tuple[str, str]] = ()
    warning: str = ""


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """What holds for all pages.

    Attributes:
        model: Name of the network.
        kind: What the pages show, as a heading of the site.
        title: Of the first page.
        lede: What one sees.
        unit: What an item is called when items are counted.
        figures: A few numbers.
        tables: Further numbers.
        notes: How to read them.
        configuration: The resolved configuration, nested.
        versions: Version of each package.
    """

    model: str
    kind: str
    title: str
    lede: str
    unit: str = "photograph"
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    configuration: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


class _Link(NamedTuple):
    """A class on the first page."""

    name: str
    page: str
    count: int
    picture: str


def write_gallery(
    out: Path, gallery: Gallery, sections: Mapping[str, Iterable[Item]], *, prefaces: Mapping[str, Item] | None = None
) -> Path:
    """Write the pages beside `out` and move them there; an earlier report is replaced.

    Args:
        out: A folder that does not exist, is empty, or holds an earlier report.
        gallery: What holds for all pages.
        sections: Things by class, which may come from generators, one at a time: a page each; those of the class
            without a name are on the first page.
        prefaces: What stands above the things of a class, by class.

    Returns:
        The page to open.

    Raises:
        ValueError: If `out` holds something else.
    """
    if out.exists() and not is_report(out):
        raise ValueError(f"{str(out)!r} holds something else than a report: name another folder.")
    partial = out.with_name(out.name + ".partial")
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    (partial / MARKER).touch()
    (partial / "static").mkdir()
    for name in _STATIC:
        source = resources.files("vissum_jax.report") / "static" / name
        (partial / "static" / name).write_bytes(source.read_bytes())
    template = make_environment().get_template("gallery.html")
    links: list[_Link] = []
    first: list[dict] = []
    for number, (name, items) in enumerate(sections.items()):
        # Names come from outside; addresses are made of numbers only.
        folder = f"classes/{number}" if name else "pictures"
        (partial / folder).mkdir(parents=True)
        views = [_save(item, partial, folder, str(row)) for row, item in enumerate(items)]
        preface = (prefaces or {}).get(name)
        above = None if preface is None else _save(preface, partial, folder, "preface")
        if not name:
            first = views
            continue
        page = f"{folder}/index.html"
        shown = next((view["pictures"][-1]["file"] for view in views if view["pictures"]), "")
        links.append(_Link(name, page, len(views), shown))
        html = template.render(
            gallery=gallery, section=name, preface=above, items=views, links=[], root="../../", configuration=[]
        )
        _write_page(partial / page, html)
    html = template.render(
        gallery=gallery,
        section="",
        preface=None,
        items=first,
        links=links,
        root="",
        configuration=flattened(gallery.configuration),
    )
    _write_page(partial / "index.html", html)
    if out.exists():
        shutil.rmtree(out)
    partial.rename(out)
    return out / "index.html"


def _write_page(path: Path, html: str) -> None:
    # Names from a file system may hold halves of characters, which UTF-8 cannot write.
    path.write_bytes(html.encode("utf-8", "backslashreplace"))


def _save(item: Item, root: Path, folder: str, row: str) -> dict[str, Any]:
    """An item as its page sees it; its pictures are written."""
    pictures = []
    for number, (caption, alt, pixels) in enumerate(item.pictures):
        file = f"{folder}/{row}-{number}.jpg"
        (root / file).write_bytes(encode_jpeg(pixels, _JPEG_QUALITY))
        height, width = pixels.shape[:2]
        pictures.append({"file": file, "caption": caption, "alt": alt, "height": height, "width": width})
    return {"title": item.title, "facts": item.facts, "warning": item.warning, "pictures": pictures}
