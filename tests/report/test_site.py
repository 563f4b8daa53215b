import gc
import itertools
import re
import weakref
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import cv2
import numpy as np
import pytest

from vissum_jax.report import ClassReport, ReportConfig, ReportWriter, RunFacts, write_report
from vissum_jax.study.tags import Tag
from vissum_jax.types import (
    ClassSummaries,
    ClusterDiagnostics,
    MaskBatch,
    MaskStatus,
    Member,
    Summary,
)

HOSTILE_CLASS = "<script>alert('class')</script>"
HOSTILE_FILES = (
    "../../escape.jpg",
    '"><img src=x onerror=alert(1)>.jpg',
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% include 'x' %}.jpg",
    "\u202egpj.exe",
    "long" * 75,
    "half\udcff.jpg",
)
FACTS = RunFacts(
    model="net<b>",
    preset="compact",
    class_names=("tench", HOSTILE_CLASS, "crane"),
    configuration={"masks": {"steps": 200, "blur": {"sigma": 10.0}}, "seed": 0, "name": "<i>"},
    versions={"jax": "0.10.2"},
    device="2 x cpu",
    timings={"masks": 12.34},
)
ABSENT = (MaskStatus.SKIPPED_PREDICTION, MaskStatus.UNREADABLE, MaskStatus.NON_FINITE)


def masks_of(statuses: list[MaskStatus], salient: np.ndarray, class_index: int) -> MaskBatch:
    n = len(statuses)
    gone = np.array([np.nan if status in ABSENT else 0.0 for status in statuses])
    return MaskBatch(
        soft=np.where(salient, 0, 1).astype(np.float32),
        salient=salient,
        status=tuple(statuses),
        reason=tuple("" if status is MaskStatus.OK else f"because of {status}" for status in statuses),
        class_index=np.full(n, class_index),
        predicted_index=np.where(np.isnan(gone), 2, class_index),
        p_original=np.linspace(0.5, 0.9, n),
        p_soft=np.full(n, 0.01) + gone,
        p_binary=np.linspace(0.5, 0.9, n) * 0.25 + gone,
        area=salient.mean((1, 2)) + gone,
        transfer_drop=np.full(n, 0.5) + gone,
        components=np.ones(n, int),
        passes=np.full(n, 40),
    )


def member(image: int, rank: int, *, kept: bool = True) -> Member:
    return Member(
        image=image,
        box=(10, 8, 12, 16),
        rank=rank,
        similarity=9.5 - rank,
        ssim=0.4,
        exemplar=rank == 0,
        kept=kept,
    )


def make_class(index: int = 1, name: str = HOSTILE_CLASS, files: tuple[str, ...] = HOSTILE_FILES) -> ClassReport:
    n = len(files)
    statuses = [MaskStatus.OK] * n
    statuses[4], statuses[5], statuses[6] = (
        MaskStatus.INFEASIBLE,
        MaskStatus.UNREADABLE,
        MaskStatus.SKIPPED_PREDICTION,
    )
    salient = np.zeros((n, 48, 64), bool)
    salient[:5, 8:24, 8:24] = True
    images = np.random.default_rng(index).integers(0, 256, (n, 48, 64, 3), np.uint8)
    members = tuple(member(image, rank, kept=rank != 3) for rank, image in enumerate((2, 0, 1, 3, 4)))
    return ClassReport(
        class_index=index,
        class_name=name,
        files=files,
        images=images,
        masks=masks_of(statuses, salient, index),
        summaries=ClassSummaries(
            class_index=index,
            summaries=(
                Summary(number=0, members=members, ssim=0.42, kept=True),
                Summary(number=1, members=members[:2], ssim=0.2, kept=False, reason="2 members, <3> needed"),
            ),
            diagnostics=ClusterDiagnostics(images=5, proposals=20, clustered=10),
        ),
        perturbed=255 - images,
    )


def make_empty_class(index: int, name: str) -> ClassReport:
    salient = np.zeros((1, 48, 64), bool)
    return ClassReport(
        class_index=index,
        class_name=name,
        files=("only.jpg",),
        images=np.zeros((1, 48, 64, 3), np.uint8),
        masks=masks_of([MaskStatus.NON_FINITE], salient, index),
        summaries=ClassSummaries(
            class_index=index,
            summaries=(),
            diagnostics=ClusterDiagnostics(images=0, proposals=0, clustered=0),
            reason="no photograph has a mask",
        ),
        has_soft=False,
    )


class Page(HTMLParser):
    """A page's elements and text, with a check that every element is closed."""

    VOID = frozenset({"meta", "link", "img", "input"})

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self._text: list[str] = []
        self._open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        assert len(dict(attrs)) == len(attrs)
        self._text.append(" " if tag in ("dt", "dd", "div", "td", "th", "tr") else "")
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self._text.append(data)

    @property
    def text(self) -> str:
        """All text, white space as a browser shows it."""
        return re.sub(r"[ \n]+", " ", "".join(self._text))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("site") / "report"
    classes = (make_class(), make_empty_class(2, "crane"))
    return write_report(out, FACTS, iter(classes)).parent


def pages(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


def test_addresses_come_from_numbers_only(site):
    assert [path.relative_to(site).as_posix() for path in pages(site)] == [
        "classes/1/index.html",
        *(f"classes/1/photograph-{row}.html" for row in range(len(HOSTILE_FILES))),
        "classes/2/index.html",
        "classes/2/photograph-0.html",
        "index.html",
        "run.html",
    ]
    names = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    assert all(re.fullmatch(r"[a-z0-9./-]+", name) for name in names)


def test_every_link_leads_to_a_file_and_a_place_in_it(site):
    for path in pages(site):
        page = Page(path)
        references = [
            (tag, value)
            for tag, attributes in page.elements
            for value in (attributes.get("href"), attributes.get("src"))
            if value and value != "data:,"
        ]
        assert references
        for tag, reference in references:
            assert ":" not in reference, f"{tag} leads outside: {reference}"
            file, place = urldefrag(reference)
            target = (path.parent / unquote(file)).resolve() if file else path
            assert target.is_file()
            assert target.is_relative_to(site.resolve())
            if place:
                assert place in {attributes.get("id") for _, attributes in Page(target).elements}


def test_every_written_picture_is_shown_and_has_the_size_it_says(site):
    shown = {(path.parent / image["src"]).resolve() for path in pages(site) for image in Page(path).all("img")}
    assert shown == {path.resolve() for path in site.rglob("*.jpg")}
    for path in pages(site):
        for image in Page(path).all("img"):
            assert image["alt"]
            assert image["loading"] == "lazy"
            height, width = cv2.imread(str(path.parent / image["src"])).shape[:2]
            if path.relative_to(site).as_posix() != "index.html":  # the overview crops to squares
                assert int(image["width"]) / int(image["height"]) == width / height


def test_hostile_names_are_shown_and_never_executed(site):
    for path in pages(site):
        page = Page(path)
        assert all(script["src"].endswith("static/report.js") for script in page.all("script"))
        assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
        assert all(image["src"] != "x" for image in page.all("img"))
        assert not page.all("b") or path.as_posix().endswith("1/index.html")  # the reading guide's, not the model's
        assert not page.all("i")
    page = Page(site / "classes" / "1" / "index.html")
    assert HOSTILE_CLASS in page.text
    for file in HOSTILE_FILES[:-1]:
        assert file in page.text
    assert "half\\udcff.jpg" in page.text
    assert "net<b>" in page.text
    assert "2 members, <3> needed" in page.text


def test_ids_are_unique(site):
    for path in pages(site):
        ids = [attributes["id"] for _, attributes in Page(path).elements if "id" in attributes]
        assert len(ids) == len(set(ids))


def test_headings_do_not_skip_levels_and_pages_have_titles(site):
    for path in pages(site):
        page = Page(path)
        levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
        assert len(page.all("title")) == len(page.all("main")) == 1
        assert page.all("html") == [{"lang": "en"}]


def test_the_class_page_shows_summaries_in_order_of_rank(site):
    page = Page(site / "classes" / "1" / "index.html")
    tiles = [image["src"] for image in page.all("img") if image["src"].startswith("summary-")]
    assert tiles == [
        *("summary-1-0.jpg", "summary-1-1.jpg", "summary-1-2.jpg", "summary-1-4.jpg"),
        "summary-1-3.jpg",  # not kept: folded away below
        *("summary-2-0.jpg", "summary-2-1.jpg"),  # of the dropped cluster
    ]
    text = page.text
    assert "Summary 1 in 4 of 5 photographs SSIM 0.420 similarity 7.5" in text
    assert "1 photograph left out" in text
    assert "Cluster 2: 2 members, <3> needed (2 photographs, SSIM 0.200)" in text


def test_the_class_page_says_how_important_and_stable_a_summary_is_where_it_was_measured(site, tmp_path):
    plain = Page(site / "classes/1/index.html").text
    one = make_class()
    kept = replace(one.summaries.summaries[0], importance=0.625, stability=0.75)
    known = replace(one, summaries=replace(one.summaries, summaries=(kept,)))
    text = Page(write_report(tmp_path / "report", FACTS, [known]).parent / "classes/1/index.html").text
    assert "4 of 5 photographs SSIM 0.420" in plain
    assert "4 of 5 photographs importance 62.5\u202f% stability 0.75 SSIM 0.420" in text


def test_the_class_page_tells_what_happened_to_each_photograph(site):
    page = Page(site / "classes" / "1" / "index.html")
    text = page.text
    first = text[text.index("Each photograph has a page of its own") :]
    assert re.search(re.escape(HOSTILE_FILES[0]) + r"\s+drop 75\u202f%area 8\u202f%in summary 1 ", first)
    assert "unreadable" in first
    assert "drop not reached" in first
    assert "predicted otherwise" in first
    sources = {image["src"] for image in page.all("img")}
    assert {"mask-0.jpg", "photo-6.jpg"} <= sources
    assert not {"photo-0.jpg", "photo-5.jpg", "mask-6.jpg"} & sources  # the mask stands for its photograph


def photograph(site: Path, row: int) -> Page:
    return Page(site / "classes" / "1" / f"photograph-{row}.html")


def test_a_photograph_has_a_page_with_its_masks_and_its_scores_before_and_after(site):
    page = photograph(site, 0)
    assert [image["src"] for image in page.all("img")] == [
        *("photo-0.jpg", "soft-0.jpg", "mask-0.jpg", "perturbed-0.jpg"),
        "summary-1-1.jpg",
    ]
    text = page.text
    assert "Blurring 8.3\u202f% of the photograph takes 75.0\u202f% of the probability" in text
    assert "Nothing 0.500 \u2013" in text
    assert "The continuous mask 0.010 98.0\u202f%" in text
    assert "The binary mask, blurred 0.125 75.0\u202f%" in text
    assert "The binary mask, in the mean colour 0.250 50.0\u202f%" in text
    assert "similarity 8.50, SSIM 0.40" in text
    assert {"index.html#summary-1", "index.html#photograph-0"} <= {link["href"] for link in page.all("a")}


def test_the_page_of_a_photograph_without_a_mask_says_why(site):
    skipped = photograph(site, 6)
    assert [image["src"] for image in skipped.all("img")] == ["photo-6.jpg"]
    assert "Predicted otherwise: because of skipped_prediction" in skipped.text
    assert "The network predicts crane. The probability of <script>" in skipped.text
    assert "is 0.900." in skipped.text
    assert "no summary: it has no mask" in skipped.text
    unreadable = photograph(site, 5)
    assert unreadable.all("img") == []
    assert "Unreadable: because of unreadable" in unreadable.text


def test_photographs_lead_to_the_next_and_the_one_before(site):
    def related(row: int) -> dict[str, str]:
        return {link["rel"]: link["href"] for link in photograph(site, row).all("a") if "rel" in link}

    assert related(0) == {"next": "photograph-1.html"}
    assert related(3) == {"prev": "photograph-2.html", "next": "photograph-4.html"}
    assert related(6) == {"prev": "photograph-5.html"}


def test_a_photograph_that_a_summary_leaves_out_says_so(site):
    text = photograph(site, 3).text
    assert "This photograph appears in no summary." in text
    assert "Left out of summary 1" in text


def test_tiles_and_failures_lead_to_the_pages_of_photographs(site):
    links = {link["href"] for link in Page(site / "classes" / "1" / "index.html").all("a")}
    assert {f"photograph-{row}.html" for row in range(len(HOSTILE_FILES))} <= links
    links = {link["href"] for link in Page(site / "run.html").all("a")}
    assert {"classes/1/photograph-4.html", "classes/2/photograph-0.html"} <= links


def test_dropped_clusters_show_their_first_members_only(tmp_path):
    write_report(tmp_path / "r", FACTS, [make_class()], config=ReportConfig(dropped_shown=1))
    page = Page(tmp_path / "r" / "classes" / "1" / "index.html")
    assert [image["src"] for image in page.all("img") if image["src"].startswith("summary-2")] == ["summary-2-0.jpg"]
    assert "1 photograph more." in page.text


def test_the_size_of_a_report_is_bounded_and_told(tmp_path):
    noise = make_class()  # which no encoder makes small
    write_report(tmp_path / "r", FACTS, [noise], config=ReportConfig(bytes_per_pixel=0.3))
    for path in (tmp_path / "r").rglob("*.jpg"):
        height, width = cv2.imread(str(path)).shape[:2]
        # Headers and tables take 600 bytes, however small a picture is.
        assert path.stat().st_size <= max(0.3 * height * width, 0.115 * height * width + 700)
    files = [path for path in (tmp_path / "r").rglob("*") if path.is_file()]
    told = re.search(r"Report (\d+\.\d) MB in (\d+) files", Page(tmp_path / "r" / "run.html").text)
    assert told
    assert int(told[2]) == len(files)
    assert float(told[1]) == pytest.approx(sum(path.stat().st_size for path in files) / 1e6, abs=0.1)


def test_a_class_without_summaries_says_why(site):
    page = Page(site / "classes" / "2" / "index.html")
    assert "no photograph has a mask" in page.text
    assert {image["src"] for image in page.all("img")} == {"photo-0.jpg"}
    assert "no photograph has a mask" in Page(site / "index.html").text
    assert "nan" not in " ".join(Page(path).text.lower() for path in pages(site))


def test_the_overview_counts(site):
    page = Page(site / "index.html")
    text = page.text
    assert "Summaries kept 1" in text
    assert "Photographs with a mask 5 of 8" in text
    assert "Mean drop 75.0\u202f%" in text
    assert "Mean area hidden 8.3\u202f%" in text
    assert "4 masked 1 predicted otherwise 1 drop not reached 1 unreadable" in text
    (exemplar,) = page.all("img")
    assert exemplar["src"] == "classes/1/summary-1-0.jpg"


def test_the_run_page_has_measures_failures_and_configuration(site):
    text = Page(site / "run.html").text
    assert re.search("Drop, binary mask 75.00\u202f% \\S+ 5 ", text)
    assert "Drop under another perturbation 50.00\u202f% 0.00e+00 5" in text
    assert "because of infeasible" in text
    assert "because of unreadable" in text
    assert "because of non_finite" in text
    assert "because of skipped_prediction" not in text  # as the method wants it
    assert "masks.blur.sigma 10.0" in text
    assert "name <i>" in text
    assert "masks 12.3 s" in text


def test_pictures_show_the_part(site):
    # Photographs of 48 x 64 pixels are drawn five times larger.
    picture = cv2.imread(str(site / "classes" / "1" / "summary-1-0.jpg"))[..., ::-1].astype(int)
    assert picture.shape == (240, 320, 3)
    box = picture[5 * 8 + 1, 5 * 12 : 5 * 20]  # along the part's upper edge
    assert (box[:, 0] > 180).all()
    assert (box[:, 1:] < 90).all()
    assert np.ptp(picture[180:, 200:], axis=-1).max() <= 24  # grey, but for what JPEG does to it


def test_the_same_input_gives_the_same_bytes(site, tmp_path):
    again = write_report(tmp_path / "report", FACTS, [make_class(), make_empty_class(2, "crane")]).parent
    files = {path.relative_to(again): path.read_bytes() for path in again.rglob("*") if path.is_file()}
    assert files == {path.relative_to(site): path.read_bytes() for path in site.rglob("*") if path.is_file()}


def test_an_earlier_report_is_replaced_only_when_the_new_one_is_whole(tmp_path):
    out = tmp_path / "report"
    write_report(out, FACTS, [make_class()])
    writer = ReportWriter(out, FACTS)
    writer.add_class(make_empty_class(2, "crane"))
    assert (out / "classes" / "1" / "index.html").is_file()
    writer.finish()
    assert not (out / "classes" / "1").exists()
    assert (out / "classes" / "2" / "index.html").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_other_folders_are_not_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match=r"holds something else than a report: name another folder\.$"):
        ReportWriter(tmp_path, FACTS)
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_a_report_of_nothing_is_a_report(tmp_path):
    index = write_report(tmp_path / "report", FACTS, [])
    assert "This run has no classes." in Page(index).text


def test_long_summaries_fold_the_rest(tmp_path):
    write_report(tmp_path / "r", FACTS, [make_class()], config=ReportConfig(members_shown=2))
    assert "2 more photographs" in Page(tmp_path / "r" / "classes" / "1" / "index.html").text


def test_summaries_bear_the_names_that_people_gave_them(tmp_path):
    tag = Tag(class_index=1, summary=0, tag="<b>beak", share=0.8, participants=5)
    write_report(tmp_path / "r", replace(FACTS, tags={(1, 0): tag}), [make_class()])
    page = Page(tmp_path / "r" / "classes" / "1" / "index.html")
    assert "Summary 1: <b>beak in 4 of 5 photographs called so by 80\u202f% of 5 participants SSIM 0.420" in page.text


def test_shares_a_hair_below_zero_are_zero(tmp_path):
    report = make_class()
    first, *others = report.summaries.summaries
    summaries = replace(report.summaries, summaries=(replace(first, importance=-1e-6), *others))
    write_report(tmp_path / "r", FACTS, [replace(report, summaries=summaries)])
    assert "importance 0.0\u202f% SSIM" in Page(tmp_path / "r" / "classes" / "1" / "index.html").text


def test_a_class_is_forgotten_once_its_pages_are_written(tmp_path):
    """Otherwise a report of a thousand classes would hold the pictures of many."""
    writer, report = ReportWriter(tmp_path / "report", FACTS), make_class()
    pictures = weakref.ref(report.images)
    gc.disable()  # which finds what cycles of references hold, but seldom
    try:
        writer.add_class(report)
        del report
        assert pictures() is None
    finally:
        gc.enable()


def test_a_class_is_added_once(tmp_path):
    writer = ReportWriter(tmp_path / "r", FACTS)
    writer.add_class(make_class())
    with pytest.raises(ValueError, match=r"^class 1 is in the report already\.$"):
        writer.add_class(make_class())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"files": ("a",)}, r"^`masks` must be one for each of the 1 files, got 7\.$"),
        ({"class_index": -1}, r"^`class_index` must not be negative, got -1\.$"),
        (
            {"images": np.zeros((7, 48, 64, 3), np.float32)},
            r"^`images` must be uint8 \(7, 48, 64, 3\), got float32 \(7, 48, 64, 3\)\.$",
        ),
        (
            {"perturbed": np.zeros((7, 4, 4, 3), np.uint8)},
            r"^`perturbed` must be uint8 \(7, 48, 64, 3\), got ",
        ),
        (
            {
                "summaries": ClassSummaries(
                    class_index=1,
                    summaries=(Summary(number=0, members=(member(7, 0),), ssim=0.5, kept=True),),
                    diagnostics=ClusterDiagnostics(images=5, proposals=20, clustered=10),
                )
            },
            r"^`summaries` name photograph 7 of 7\.$",
        ),
    ],
)
def test_reports_check_that_their_parts_agree(change, message):
    with pytest.raises(ValueError, match=message):
        replace(make_class(), **change)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"jpeg_quality": 101}, r"^`jpeg_quality` must be in \[1, 100\], got 101\.$"),
        ({"members_shown": 0}, r"^`members_shown` must be positive, got 0\.$"),
        ({"zoom_margin": -1.0}, r"^`zoom_margin` must not be negative, got -1\.0\.$"),
    ],
)
def test_configurations_check_themselves(option, message):
    with pytest.raises(ValueError, match=message):
        ReportConfig(**option)
