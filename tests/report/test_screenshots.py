"""Screenshots beside those that somebody has looked at.

All machines draw the letters of matplotlib's font; what else differs between browsers is forgiven, as pictures are
compared as seen from far away. `VISSUM_UPDATE_SCREENSHOTS=1` writes new ones: look at them before you keep them.
"""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path

import numpy as np
import pytest
from matplotlib import get_data_path
from PIL import Image
from report_pages import write_compared, write_site

GOLDEN = Path(__file__).with_name("screenshots")
KEPT_SCALE = 0.5
"""Of the files."""
FAR = 8
"""Pixels of a kept screenshot that become one before the comparison."""
MOST_DIFFERENCE = 3.0
"""Mean difference of these in grey levels."""

PAGES = {
    "overview": "report/index.html",
    "class": "report/classes/0/index.html",
    "photograph": "report/classes/0/photograph-1.html",
    "run": "report/run.html",
    "compare": "compared/index.html",
}
LOOKS = {
    "wide": {"viewport": {"width": 1200, "height": 900}, "color_scheme": "light"},
    "narrow-dark": {"viewport": {"width": 400, "height": 800}, "color_scheme": "dark"},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("pages")
    write_site(root)
    write_compared(root)
    return root


@pytest.fixture(scope="module")
def font() -> str:
    """A style sheet with the letters themselves: a page on disk may not fetch them."""
    data = base64.b64encode((Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf").read_bytes()).decode()
    return (
        f"@font-face {{ font-family: same; src: url(data:font/ttf;base64,{data}) }} "
        "body, button, input, code { font-family: same !important }"
    )


def screenshot(page, font) -> Image.Image:
    page.add_style_tag(content=font)
    page.evaluate("document.fonts.ready")
    page.wait_for_function(
        "[...document.images].every((image) => "
        "image.complete || !image.checkVisibility() || image.getBoundingClientRect().top > innerHeight)"
    )
    picture = Image.open(io.BytesIO(page.screenshot(animations="disabled"))).convert("RGB")
    return picture.resize([round(KEPT_SCALE * side) for side in picture.size], Image.Resampling.BOX)


def from_far(picture: Image.Image) -> np.ndarray:
    return np.asarray(
        picture.convert("RGB").resize([side // FAR for side in picture.size], Image.Resampling.BOX), float
    )


def difference(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(from_far(one) - from_far(other)).mean()) if one.size == other.size else np.inf


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_pages_look_as_they_did(root, visit, font, name, look):
    found = screenshot(visit((root / PAGES[name]).as_uri(), **LOOKS[look]), font)
    path = GOLDEN / f"{name}-{look}.png"
    if os.environ.get("VISSUM_UPDATE_SCREENSHOTS"):
        GOLDEN.mkdir(exist_ok=True)
        found.quantize(256).save(path, optimize=True)
    assert difference(found, Image.open(path)) < MOST_DIFFERENCE


@pytest.mark.parametrize(
    "damage",
    [
        "document.querySelector('link[rel=stylesheet]').remove()",
        "document.querySelectorAll('img').forEach((image) => image.remove())",
        "document.querySelectorAll('.tiles').forEach((tiles) => (tiles.style.display = 'block'))",
    ],
)
def test_a_broken_page_looks_different(root, visit, font, damage):
    page = visit((root / PAGES["class"]).as_uri(), **LOOKS["wide"])
    page.evaluate(damage)
    assert difference(screenshot(page, font), Image.open(GOLDEN / "class-wide.png")) > MOST_DIFFERENCE
