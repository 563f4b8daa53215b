"""The study's page in a real browser, from opening it to scoring what it downloads."""

import json
from functools import partial

import pytest
from study_pages import QUESTIONS, STUDY, write_study

from vissum_jax.study.answers import MAX_PARTICIPANT, read_answers
from vissum_jax.study.nouns import MAX_LETTERS, MAX_NOUNS
from vissum_jax.study.score import score


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("study") / "pages").as_uri()


@pytest.fixture
def visit(visit, url):
    """Opens the study as somebody new."""
    return partial(visit, url)


@pytest.fixture
def page(visit):
    return visit()


def type_in(page, *keys):
    """Press keys one after another; longer texts are typed."""
    for key in keys:
        if key[0].isupper():
            page.keyboard.press(key)
        else:
            page.keyboard.type(key)


def enter(page, participant="ann"):
    type_in(page, "Tab", "Tab", participant, "Enter")  # past the link to the content


def download(page, folder, selector="#end [data-download]"):
    with page.expect_download() as waiting:
        page.click(selector)
    name = waiting.value.suggested_filename
    waiting.value.save_as(folder / name)
    return name


def nouns(page):
    return page.locator("#nouns bdi").all_inner_texts()


def pictures(page):
    return [image.get_attribute("src") for image in page.locator("#montage img").all()]


def test_the_whole_study_by_keyboard(page, tmp_path):
    enter(page)
    for number in range(len(QUESTIONS)):
        assert page.inner_text("#where") == f"Group {number + 1} of {len(QUESTIONS)}"
        assert page.evaluate("document.activeElement.id") == "noun"
        type_in(page, f"noun{number}", "Enter", "ears", "Enter", "Enter")
    assert page.is_visible("#end")
    assert page.inner_text("#outcome").startswith("You have answered all 4.")
    assert page.is_hidden("#missing")
    type_in(page, "Tab", "Tab")
    assert page.evaluate("document.activeElement.textContent") == "Download your answers"
    assert download(page, tmp_path) == "answers-ann.json"
    (answers,) = read_answers(tmp_path)
    assert (answers.participant, answers.study, len(answers.nouns)) == ("ann", STUDY, 4)
    found = score([answers], chance_pairs=1, seed=0)
    assert [summary.nouns for summary in found.summaries] == [
        {"ear": 1, f"noun{json.loads((tmp_path / 'answers-ann.json').read_text())['order'].index(name)}": 1}
        for name in QUESTIONS
    ]


def test_progress_survives_a_reload_and_a_new_tab(page):
    enter(page)
    type_in(page, "ear", "Enter", "Enter", "eye", "Enter")
    shown = pictures(page)
    page.reload()
    assert page.inner_text("#where") == "Group 2 of 4"
    assert (nouns(page), pictures(page), page.inner_text("#answered")) == (["eye"], shown, "2 answered")
    other = page.context.new_page()
    other.goto(page.url)
    assert (other.inner_text("#where"), nouns(other)) == ("Group 2 of 4", ["eye"])
    type_in(page, "PageUp")
    assert nouns(page) == ["ear"]


def test_participants_have_their_own_orders_and_answers(page):
    orders = {}
    for participant in ("ann", "bob", "cem", "ann"):
        page.fill("#participant", participant)
        page.keyboard.press("Enter")
        for _ in range(page.locator("#ask:visible").count() and len(QUESTIONS)):
            orders.setdefault(participant, []).append(pictures(page)[0])
            type_in(page, f"by {participant}", "PageDown")
        assert page.inner_text("#who") == participant
        page.click("#another")
    assert all(sorted(order) == sorted(orders["ann"]) for order in orders.values())
    assert len({tuple(order) for order in orders.values()}) > 1
    assert len(orders["ann"]) == 4, "who comes back is at the end, where they were"


def test_no_idea_is_an_answer_and_nouns_take_it_back(page, tmp_path):
    enter(page)
    page.click("#unknown")
    assert page.get_attribute("#unknown", "aria-pressed") == "true"
    page.click("#next")
    page.click("#unknown")
    page.fill("#noun", "wing")
    page.click("#add")
    assert page.get_attribute("#unknown", "aria-pressed") == "false"
    page.click("#next")
    page.click("#unknown")
    page.click("#unknown")
    download(page, tmp_path, "#ask [data-download]")
    (answers,) = read_answers(tmp_path)
    assert sorted(answers.nouns.values()) == [(), ("wing",)]


def test_nouns_can_be_removed_by_key_and_by_click(page):
    enter(page)
    type_in(page, "ear", "Enter", "eye", "Enter", "leg", "Enter", "ear", "Enter")
    assert nouns(page) == ["ear", "eye", "leg"]
    type_in(page, "Backspace")
    assert nouns(page) == ["ear", "eye"]
    page.click("[aria-label='Remove ear']")
    assert nouns(page) == ["eye"]
    type_in(page, "Backspace")
    assert page.inner_text("#answered") == "0 answered"
    type_in(page, "Enter")
    assert page.inner_text("#where") == "Group 1 of 4", "Enter does not pass a group without an answer"


def test_moving_on_takes_over_what_is_typed_and_the_end_leads_to_what_is_missing(page):
    enter(page)
    type_in(page, "PageDown", "wheel", "PageDown", "PageDown", "PageDown")
    assert page.inner_text("#outcome").startswith("You have answered 1 of 4.")
    page.click("#missing")
    assert page.inner_text("#where") == "Group 1 of 4"
    type_in(page, "PageDown")
    assert nouns(page) == ["wheel"]


def test_suggestions_hold_what_was_said_before(page):
    enter(page)

    def options():
        return [option.get_attribute("value") for option in page.locator("#suggestions option").all()]

    before = options()
    type_in(page, "zebra crossing", "Enter", "Enter")
    assert sorted({*before, "zebra crossing"}) == sorted(options())


def test_whatever_is_typed_gives_a_file_that_is_accepted(page, tmp_path):
    hostile = "<img src=x onerror=alert(1)>" + "\u202e\u200b\u00a0é" + "x" * 300
    enter(page, "../<b>a\u200b" + "n" * 200)
    page.fill("#noun", hostile)
    type_in(page, "Enter", "!?", "Enter")
    for number in range(MAX_NOUNS + 3):
        page.fill("#noun", f"noun {number}")
        type_in(page, "PageUp")
    assert page.locator("#nouns img").count() == 0
    assert len(nouns(page)) == MAX_NOUNS
    assert "/" not in download(page, tmp_path, "#ask [data-download]")
    (answers,) = read_answers(tmp_path)
    (given,) = answers.nouns.values()
    assert given[0].startswith("<img src=x onerror=alert(1)>")
    assert len(given[0]) <= MAX_LETTERS
    assert answers.participant.startswith("../<b>an")
    assert len(answers.participant) <= MAX_PARTICIPANT


def test_a_browser_that_keeps_nothing_is_told(visit):
    page = visit()
    page.add_init_script("Object.defineProperty(window, 'localStorage', {get() { throw new Error('off'); }})")
    page.reload()
    assert page.is_hidden("#trouble")
    page.fill("#participant", "ann")
    page.keyboard.press("Enter")
    assert page.is_visible("#ask")
    assert page.inner_text("#trouble").startswith("This browser keeps no progress for this page.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_shows_all_without_scrolling_aside(visit, scheme):
    page = visit(color_scheme=scheme, viewport={"width": 400, "height": 800}, has_touch=True, is_mobile=True)
    for _ in range(2):
        assert page.evaluate("document.documentElement.scrollWidth") == 400
        page.fill("#participant", "w" * MAX_PARTICIPANT)
        page.tap("#enter button")
        page.fill("#noun", "w" * MAX_LETTERS)
        page.tap("#add")
        assert page.evaluate("document.documentElement.scrollWidth") == 400
        assert page.evaluate("document.activeElement.id") != "noun", "no keyboard over the pictures"
        page.tap("#next")
        page.evaluate("byId('another').click()")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, paper[4:-1].split(","))) < 200) == (scheme == "dark")


def test_every_picture_loads_and_says_what_it_is(page):
    enter(page)
    for _ in QUESTIONS:
        page.wait_for_function("[...document.images].every((image) => image.complete && image.naturalWidth)")
        texts = [image.get_attribute("alt") for image in page.locator("#montage img").all()]
        assert texts[0] == f"Photograph 1 of {len(texts)}, its part outlined in red"
        type_in(page, "PageDown")
