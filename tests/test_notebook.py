import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from markupsafe import Markup
from PIL import Image

from vissum_jax import notebook
from vissum_jax.types import ClassSummaries, ClusterDiagnostics, MaskBatch, MaskStatus, Member, Summary

HOSTILE = "<script>alert('&')</script>"


class Page(HTMLParser):
    """What a browser would make of it: elements, their attributes, and the text of each table cell."""

    def __init__(self, html: str):
        super().__init__()
        self.elements, self.rows, self.text = [], [], ""
        self.feed(str(html))

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        self.text += data
        if data.strip() and self.rows and self.elements[-1][0] in ("td", "th"):
            self.rows[-1][-1] += data

    @property
    def pictures(self) -> list[Image.Image]:
        sources = [attributes["src"] for tag, attributes in self.elements if tag == "img"]
        assert all(source.startswith("data:image/webp;base64,") for source in sources)
        return [Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) for source in sources]


@pytest.fixture
def masks():
    """Five images, one of each status; the first mask covers the left half of 8 x 6 pixels."""
    n = len(MaskStatus)
    salient = np.zeros((n, 6, 8), bool)
    salient[0, :, :4] = True
    nothing = np.full(n, np.nan)
    return MaskBatch(
        soft=1.0 - salient,
        salient=salient,
        status=tuple(MaskStatus),
        reason=("", "answered 3", "", HOSTILE, ""),
        class_index=np.arange(n),
        predicted_index=np.arange(n),
        p_original=np.array([0.75, 0.25, np.nan, np.nan, np.nan]),
        p_soft=nothing,
        p_binary=np.array([0.0, *nothing[1:]]),
        area=np.array([0.5, *nothing[1:]]),
        transfer_drop=nothing,
        components=np.ones(n, int),
        passes=np.ones(n, int),
    )


def summary(count: int, **values) -> Summary:
    members = tuple(
        Member(image=rank, box=(1, 2, 3, 4), rank=rank, similarity=0.5, ssim=0.25, exemplar=rank == 0, kept=rank < 3)
        for rank in range(count)
    )
    return Summary(**{"number": 0, "members": members, "ssim": 0.25, "kept": True, "importance": 0.125, **values})


def test_masks_are_a_row_each_with_their_measures_and_picture(masks):
    page = Page(masks._repr_html_())
    names, first, second, *_ = page.rows
    of_first, of_second = (dict(zip(names, row, strict=True)) for row in (first, second))
    assert of_first | {"mask": ""} == {
        "image": "0",
        "mask": "",
        "class": "0",
        "answered": "0",
        "probability": "0.750",
        "drop": "1.000",
        "area": "0.500",
        "transfer": "-",
        "status": "ok",
    }
    assert of_second["status"] == "skipped_prediction: answered 3"
    assert len(page.rows) == 1 + len(masks) == 1 + len(page.pictures)
    assert "2 of 5 images have a mask" in page.text


def test_the_perturbed_half_of_a_mask_is_red_in_its_picture(masks):
    shown = Page(masks._repr_html_()).pictures[0].convert("RGB")
    assert shown.size == (8, 6)
    red, green, _ = np.asarray(shown, int).transpose(2, 0, 1)
    assert (red - green)[:, :3].min() > 60
    assert np.abs(red - green)[:, 5:].max() < 60


def test_words_from_outside_are_shown_and_never_executed(masks):
    for html in (masks._repr_html_(), summary(3, kept=False, reason=HOSTILE)._repr_html_()):
        page = Page(html)
        assert "script" not in {tag for tag, _ in page.elements}
        assert HOSTILE in page.text
    alt = notebook.thumbnail(np.zeros((2, 2, 3), np.uint8), '" onerror="alert(1)')
    assert {name for _, attributes in Page(alt).elements for name in attributes} == {"src", "alt", "width", "height"}


def test_a_long_batch_shows_its_first_rows_and_says_how_many_follow(masks):
    page = Page(masks.select(np.zeros(notebook.MOST_ROWS + 8, int))._repr_html_())
    assert len(page.pictures) == notebook.MOST_ROWS
    assert ".. and 8 more." in page.text


def test_no_masks_are_said_to_be_none(masks):
    page = Page(masks.select(np.array([], int))._repr_html_())
    assert "0 of 0 images have a mask" in page.text
    assert page.rows == []


def test_a_summary_lists_its_members():
    page = Page(summary(4)._repr_html_())
    assert page.rows[0] == ["rank", "image", "box", "similarity", "ssim", "kept"]
    assert page.rows[1] == ["0", "0", "(1, 2, 3, 4)", "0.500", "0.250", "yes"]
    assert page.rows[4][-1] == "no"
    assert "Summary 1: kept; SSIM 0.250, importance 0.125" in page.text


def test_a_class_lists_kept_and_dropped_summaries_or_why_there_are_none():
    diagnostics = ClusterDiagnostics(images=9, proposals=20, clustered=10)
    found = (summary(4), summary(2, number=1, kept=False, reason="2 members, fewer than 3"))
    page = Page(ClassSummaries(class_index=7, summaries=found, diagnostics=diagnostics)._repr_html_())
    assert [row[0] for row in page.rows] == ["summary", "1", "2"]
    assert [row[-1] for row in page.rows[1:]] == ["kept", "2 members, fewer than 3"]
    assert "Class 7: 1 of 2 clusters kept, of 9 images" in page.text
    empty = ClassSummaries(class_index=7, summaries=(), diagnostics=diagnostics, reason=HOSTILE)._repr_html_()
    assert HOSTILE in Page(empty).text
    assert "<table" not in empty


def test_pictures_are_small_in_pixels_and_bytes():
    noise = np.random.default_rng(0).integers(0, 256, (500, 250, 3), dtype=np.uint8)
    html = notebook.thumbnail(noise, "noise")
    assert Page(html).pictures[0].size == (notebook.SIDE // 2, notebook.SIDE)
    assert len(html) < 8000


def test_nothing_is_fetched(masks):
    html = masks._repr_html_() + summary(3)._repr_html_()
    assert not re.search(r"https?://|<link|<script|url\(", html)


def test_only_markup_is_taken_for_html():
    assert "&lt;b&gt;" in notebook.table("t", "", {"c": ["<b>"]}, rows=1)
    assert "<b>" in notebook.table("t", "", {"c": [Markup("<b>")]}, rows=1)
