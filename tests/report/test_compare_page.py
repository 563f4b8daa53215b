from html.parser import HTMLParser
from urllib.parse import urldefrag

import numpy as np
import pytest

from vissum_jax.report.compare_page import Card, CardTile, ClassSection, Match, Side, write_comparison

HOSTILE = "<script>alert('x')</script>"
SIDES = (Side("net<b>", HOSTILE, "compact"), Side("other", "runs/other", "paper"))


class Page(HTMLParser):
    """Tags, addresses and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.links += [value for name, value in attrs if name in ("href", "src") and value]

    def handle_data(self, data):
        self.text += f"{data} "


def card(number, count=2):
    name = f'{HOSTILE}"><img onerror=alert(1)>'
    tiles = [CardTile(f"{name}{row}.jpg", np.full((8, 6, 3), 40 * row, np.uint8)) for row in range(count)]
    return Card(number=number, members=9, tiles=tiles)


def section(name="crane", **values):
    return ClassSection(
        **{
            "name": name,
            "photographs": 12,
            "reasons": ("", ""),
            "only": ([card(1)], [card(2), card(5)]),
            "matched": [Match(card(3), card(1), 0.42, 7, 0.61)],
            **values,
        }
    )


@pytest.fixture
def folder(tmp_path):
    nothing = section(HOSTILE, only=([], []), matched=[], reasons=("nothing is salient", ""))
    write_comparison(tmp_path, SIDES, iter([section(), nothing, section("broken\udcff")]))
    return tmp_path


@pytest.fixture
def page(folder):
    return Page((folder / "index.html").read_text(encoding="utf-8"))


def test_every_address_leads_somewhere_and_every_picture_is_shown(folder, page):
    identities = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(identities) == len(set(identities))
    for link in page.links:
        target, anchor = urldefrag(link)
        assert target in ("", "data:,") or (folder / target).is_file(), link
        assert not anchor or anchor in identities, link
    pictures = {path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg")}
    assert {attributes["src"] for tag, attributes in page.tags if tag == "img"} == pictures
    assert len(pictures) == 2 * (3 + 2) * 2


def test_names_from_outside_are_shown_and_never_trusted(page):
    assert all(attributes["src"].endswith("report.js") for tag, attributes in page.tags if tag == "script")
    assert not [attributes for _, attributes in page.tags if any(name.startswith("on") for name in attributes)]
    assert HOSTILE in page.text
    assert "net<b>" in page.text


def test_pictures_have_sizes_and_alternative_texts(page):
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert all((image["width"], image["height"]) == ("6", "8") and image["alt"] for image in images)


def test_what_only_one_has_comes_first_then_the_pairs_with_their_similarity(page):
    text = " ".join(page.text.split())
    first = text[text.index("12 photographs explained by both") :]
    order = ["Only net<b>", "Summary 1", "Only other", "Summary 2", "Summary 5", "Both", "similarity 0.42", "Summary 3"]
    places = [first.index(shown) for shown in order]
    assert places == sorted(places)
    assert "photographs of both 7" in first
    assert "overlap in these 0.61" in first


def test_the_figures_count_all_classes(page):
    text = " ".join(page.text.split())
    assert "Only net<b> 2 Only other 4 Both 2" in text


def test_a_class_without_summaries_says_why(page):
    text = " ".join(page.text.split())
    assert "Only net<b> No summaries: nothing is salient Only other Nothing. Both No part that both rely on." in text


def test_two_runs_of_one_network_are_told_apart_by_their_folders(tmp_path):
    write_comparison(tmp_path, (Side("net", "runs/a", "x"), Side("net", "runs/b", "x")), [section()])
    text = (tmp_path / "index.html").read_text()
    assert "Only net (runs/a)" in text
    assert "Only net (runs/b)" in text


def test_a_single_class_needs_no_contents(tmp_path):
    write_comparison(tmp_path, SIDES, [section()])
    assert "contents" not in (tmp_path / "index.html").read_text()


def test_summaries_and_photographs_lead_to_the_reports_of_their_runs(tmp_path):
    tile = CardTile("a.jpg", np.zeros((8, 6, 3), np.uint8), "../a/classes/3/photograph-7.html")
    linked = Card(number=2, members=4, tiles=[tile], page="../a/classes/3/index.html#summary-2")
    sides = (Side("net", "a", "compact", "../a"), Side("other", "b", "compact"))
    write_comparison(tmp_path, sides, [section(only=([linked], [card(1)]), matched=[])])
    links = Page((tmp_path / "index.html").read_text()).links
    assert {"../a/index.html", "../a/classes/3/photograph-7.html", "../a/classes/3/index.html#summary-2"} <= set(links)
    assert "classes/0/b-1-0.jpg" in links, "without a report a picture leads to itself"
    assert not any(link.startswith("/") for link in links)


@pytest.mark.parametrize("kind", ["pdf", "png"])
def test_each_class_with_summaries_has_a_figure_if_it_is_asked_for(tmp_path, kind):
    empty = section("none", only=([], []), matched=[])
    write_comparison(tmp_path, SIDES, [section(HOSTILE), empty], figures=kind)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob(f"*.{kind}")] == [
        f"classes/0/figure.{kind}"
    ]
    assert f"classes/0/figure.{kind}" in Page((tmp_path / "index.html").read_text()).links
