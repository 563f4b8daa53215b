"""The report in a real browser: found, read, followed, at any width, without a complaint."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

import pytest
from report_pages import PHOTOGRAPHS, class_report, facts, write_compared, write_pictures, write_site
from study_pages import write_study
from test_site import FACTS, make_class

from vissum_jax.report import ReportConfig, write_report

KEPT = PHOTOGRAPHS - 2 - 1
"""Photographs of the large summary: two have no mask, one is left out."""


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A report, a comparison, a gallery, a study, and a report of what is hostile."""
    root = tmp_path_factory.mktemp("pages")
    write_site(root)
    write_compared(root)
    write_pictures(root)
    write_study(root / "study")
    write_report(root / "hostile", FACTS, [make_class()])
    return root


@pytest.fixture
def page(root, visit):
    return visit((root / "report" / "index.html").as_uri())


def shown_classes(page):
    return page.locator("table.classes tbody tr:visible th a").all_inner_texts()


def shown_tiles(page, summary=1):
    return page.locator(f"#summary-{summary} > .tiles > li:visible").count()


def test_classes_are_found_and_sorted(page):
    assert shown_classes(page) == ["red ball", "green ball", "blue ball"]
    page.keyboard.press("/")
    page.keyboard.type("ball")
    assert len(shown_classes(page)) == 3
    page.fill("#search", "RED")
    assert shown_classes(page) == ["red ball"]
    assert page.inner_text("#found") == "1 of 3"
    page.fill("#search", "")
    page.click("th button:has-text('Class')")
    assert shown_classes(page) == ["blue ball", "green ball", "red ball"]
    assert page.get_attribute("th:has(button:has-text('Class'))", "aria-sort") == "ascending"
    page.focus("th button:has-text('Class')")
    page.keyboard.press("Enter")
    assert shown_classes(page) == ["red ball", "green ball", "blue ball"]


def test_a_slider_shows_more_and_fewer_photographs_of_a_summary(page):
    page.click("text=red ball")
    first = ReportConfig().members_shown
    assert shown_tiles(page) == first < KEPT
    slider = page.locator("#summary-1 input[type=range]")
    assert page.inner_text("#summary-1 output") == f"{first} of {KEPT}"
    slider.focus()
    page.keyboard.press("End")
    assert (shown_tiles(page), page.inner_text("#summary-1 output")) == (KEPT, f"{KEPT} of {KEPT}")
    page.keyboard.press("Home")
    assert shown_tiles(page) == 1
    assert page.locator("#summary-2 input[type=range]").count() == 0, "nothing more to show"


def test_zooming_enlarges_the_parts(page):
    page.click("text=red ball")
    picture = page.locator("#summary-1 .tile img").first
    before = picture.bounding_box()["width"]
    page.check("#zoom")
    page.wait_for_timeout(400)
    assert picture.bounding_box()["width"] > 1.1 * before


def test_one_follows_links_from_the_overview_to_a_photograph_and_back(page):
    page.click("table.classes td.strip a >> nth=1")
    assert page.url.endswith("/classes/0/index.html#summary-2")
    page.click("#summary-1 .tile a >> nth=2")
    assert page.url.endswith("/classes/0/photograph-2.html")
    assert page.inner_text("h1") == "red_ball/02.jpg"
    page.click("a:has-text('Summary 1: stripes')")
    assert page.url.endswith("/classes/0/index.html#summary-1")
    page.click("#photograph-3 a >> nth=0")
    page.wait_for_url("**/photograph-3.html")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**/photograph-2.html")
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**/photograph-3.html")
    page.keyboard.press("Control+ArrowLeft")
    page.click("nav.trail a >> nth=0")
    assert page.url.endswith("/classes/0/index.html#photograph-3")
    page.click("text=All classes")
    assert page.url.endswith("/index.html#class-0")


def test_a_deep_link_opens_what_is_folded_away(root, visit):
    page = visit((root / "report/classes/0/index.html").as_uri() + "#summary-3")
    assert page.locator("#summary-3 .tile").first.is_visible()


def test_a_comparison_leads_to_the_report(root, visit):
    page = visit((root / "compared/index.html").as_uri())
    page.click("nav[aria-label=Reports] a")
    assert page.url.endswith("/report/index.html")
    page.go_back()
    page.click("a:has-text('Summary 2') >> nth=0")
    assert "/report/classes/0/index.html#summary-" in page.url


ADDRESSES = (
    "report/index.html",
    "report/classes/0/index.html",
    "report/classes/0/photograph-1.html",
    f"report/classes/0/photograph-{PHOTOGRAPHS - 1}.html",
    "report/run.html",
    "compared/index.html",
    "gallery/index.html",
    "gallery/classes/0/index.html",
    "study/index.html",
    "hostile/index.html",
    "hostile/classes/1/index.html",
    "hostile/classes/1/photograph-0.html",
    "hostile/run.html",
)


@pytest.mark.parametrize("address", ADDRESSES)
def test_pages_need_no_scrolling_aside_on_a_telephone_and_all_their_pictures_load(root, visit, address):
    page = visit((root / address).as_uri(), viewport={"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    page.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    page.evaluate("document.querySelectorAll('img').forEach((each) => (each.loading = 'eager'))")
    page.wait_for_function("[...document.images].every((image) => image.complete && image.naturalWidth)")
    assert page.evaluate("document.documentElement.scrollWidth") == 400


def test_hostile_names_do_nothing(root, visit):
    page = visit((root / "hostile/index.html").as_uri())
    page.click("table.classes th a")
    assert page.inner_text("h1").startswith("<script>")
    page.click("#summary-1 .tile a >> nth=0")
    page.click("nav.trail a[rel=next]")
    assert page.evaluate("document.scripts.length") == 1


@pytest.fixture(scope="module")
def axe() -> str:
    """The accessibility checker's source."""
    package = importlib.util.find_spec("axe_playwright_python")
    if package is None or package.origin is None:
        pytest.skip("axe-core is not installed: axe-playwright-python of the [test] extra ships it")
    return str(Path(package.origin).with_name("axe.min.js"))


def check(page, axe):
    page.add_script_tag(path=axe)
    found = page.evaluate("axe.run({preload: false}).then((result) => result.violations)")
    return [
        (each["id"], each["impact"], [node["target"] for node in each["nodes"]][:3])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 400)])
def test_the_accessibility_checker_finds_nothing_serious(root, visit, axe, address, scheme, width):
    page = visit((root / address).as_uri(), color_scheme=scheme, viewport={"width": width, "height": 900})
    page.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    assert check(page, axe) == []


def test_the_accessibility_checker_would_find_something(root, visit, axe):
    page = visit((root / "report/index.html").as_uri())
    page.evaluate("document.querySelectorAll('img').forEach((image) => image.removeAttribute('alt'))")
    page.evaluate("document.body.style.color = '#ccc'")
    assert {"image-alt", "color-contrast"} <= {name for name, _, _ in check(page, axe)}


def test_the_overview_of_a_thousand_classes_is_there_in_two_seconds(visit, tmp_path_factory):
    root = tmp_path_factory.mktemp("large")
    classes = (class_report(index, photographs=1, name=f"class_{index}") for index in range(1000))
    first = write_report(root / "report", facts(root), classes)
    seconds = []
    while len(seconds) < 8 and min(seconds, default=2) >= 2:  # the machine may be at something else
        start = time.perf_counter()
        page = visit(first.as_uri())
        page.wait_for_function(
            "[...document.images].slice(0, 4).every((image) => image.complete && image.naturalWidth)"
        )
        assert page.locator("tbody tr").first.is_visible()
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 2
    assert page.evaluate("performance.getEntriesByType('resource').length") < 300, "pictures come when they are seen"
    start = time.perf_counter()
    page.fill("#search", "class 77")
    assert len(shown_classes(page)) == 11
    page.click("th button:has-text('Drop')")
    assert time.perf_counter() - start < 2
