from html.parser import HTMLParser
from urllib.parse import urldefrag

import numpy as np
import pytest

from vissum_jax.report.gallery import Figure, Gallery, Item, Picture, Table, write_gallery
from vissum_jax.report.overlays import contact_sheet, heat_overlay, object_overlay, png

HOSTILE = "<script>alert('x')</script>"
GALLERY = Gallery(
    model="net<b>",
    kind="Localisation",
    title="What it sees",
    lede="In colour.",
    figures=(Figure("Photographs", "3"),),
    tables=(Table(title="How well", headings=("", "share"), lines=(("whole", "10 %"),), note="of 3"),),
    configuration={"saliency": {"views": "whole"}, "name": HOSTILE},
)


class Page(HTMLParser):
    """Tags and addresses of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.links += [value for name, value in attrs if name in ("href", "src") and value]


def picture(level, height=4, width=6):
    return np.full((height, width, 3), level, np.uint8)


def items():
    return [
        Item(
            title=f"{HOSTILE}.jpg",
            pictures=(Picture(HOSTILE, '"><img src=x onerror=alert(1)>', picture(40)), Picture("b", "b", picture(90))),
            facts=((HOSTILE, "0.9"),),
        ),
        Item(title="broken\udcff.jpg", warning="not a picture"),
    ]


@pytest.fixture
def site(tmp_path):
    write_gallery(tmp_path / "report", GALLERY, {HOSTILE: iter(items()), "crane (2)": iter(items()[1:])})
    return tmp_path / "report"


def pages(site):
    return {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


def test_there_is_a_page_for_each_class_and_every_address_leads_somewhere(site):
    found = pages(site)
    assert [path.relative_to(site).as_posix() for path in found] == [
        *("classes/0/index.html", "classes/1/index.html", "index.html")
    ]
    for path, page in found.items():
        for link in page.links:
            target = urldefrag(link)[0]
            assert target in ("", "data:,") or (path.parent / target).is_file(), link


def test_names_from_outside_are_shown_and_never_trusted(site):
    for page in pages(site).values():
        assert all(attributes.get("src", "").endswith("report.js") for tag, attributes in page.tags if tag == "script")
        assert not [attributes for _, attributes in page.tags if any(name.startswith("on") for name in attributes)]
    assert "&lt;script&gt;" in (site / "index.html").read_text()
    assert "not a picture" in (site / "classes" / "0" / "index.html").read_text()


def test_pictures_have_sizes_and_alternative_texts(site):
    images = [attributes for tag, attributes in pages(site)[site / "classes/0/index.html"].tags if tag == "img"]
    assert len(images) == 2
    for attributes in images:
        assert (attributes["width"], attributes["height"]) == ("6", "4")
        assert attributes["alt"]


def test_figures_tables_and_configuration_are_on_the_first_page(site):
    text = (site / "index.html").read_text()
    for shown in ("Photographs", "How well", "10 %", "saliency.views", "whole"):
        assert shown in text


def test_things_of_no_class_are_on_the_first_page(tmp_path):
    page = write_gallery(tmp_path / "report", GALLERY, {"": items()[:1]})
    assert len([tag for tag, _ in Page(page.read_text()).tags if tag == "img"]) == 2


def test_the_same_gives_the_same_and_replaces_it(site):
    before = {path: path.read_bytes() for path in site.rglob("*") if path.is_file()}
    write_gallery(site, GALLERY, {HOSTILE: items(), "crane (2)": items()[1:]})
    assert {path: path.read_bytes() for path in site.rglob("*") if path.is_file()} == before


def test_a_users_folder_is_not_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="holds something else than a report"):
        write_gallery(tmp_path, GALLERY, {})
    assert (tmp_path / "thesis.tex").exists()


def test_heat_is_where_saliency_is():
    saliency = np.zeros((10, 10))
    saliency[2:5, 2:5] = 3.0
    found = heat_overlay(picture(120, 10, 10), saliency).astype(int)
    colourful = np.ptp(found, axis=-1) > 10
    np.testing.assert_array_equal(colourful, saliency > 0)
    grey = heat_overlay(picture(120, 10, 10), np.zeros((10, 10)))
    assert np.ptp(grey) == 0


def test_the_object_keeps_its_colour_and_has_a_box():
    photograph = np.zeros((20, 30, 3), np.uint8)
    photograph[..., 1] = 200
    mask = np.zeros((10, 15), bool)
    mask[3:8, 4:12] = True
    found = object_overlay(photograph, mask, (4 / 15, 3 / 10, 8 / 15, 5 / 10))
    np.testing.assert_array_equal(found[10, 16], [0, 200, 0])
    assert np.ptp(found[1, 1]) == 0, "grey outside"
    np.testing.assert_array_equal(found[6, 12], [255, 0, 0])


def test_a_contact_sheet_holds_every_picture():
    sheet = contact_sheet([picture(level) for level in (10, 20, 30)], gap=1)
    assert sheet.shape == (2 * 4 + 3, 2 * 6 + 3, 3)
    for level, (y, x) in zip((10, 20, 30), ((1, 1), (1, 8), (6, 1)), strict=True):
        assert np.all(sheet[y : y + 4, x : x + 6] == level)
    assert png(sheet).startswith(b"\x89PNG")
