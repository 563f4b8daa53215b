import json
import re

import cv2
import numpy as np
import pytest
from study_pages import HOSTILE, QUESTIONS, STUDY, class_report, write_study

from vissum_jax.report.pictures import PictureStyle, enlarged, summary_picture
from vissum_jax.report.study_page import StudyWriter
from vissum_jax.study.nouns import SUGGESTIONS


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("study") / "pages")


@pytest.fixture(scope="module")
def html(page):
    return page.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def data(html):
    return json.loads(re.search(r'id="study">(.*?)</script>', html, re.DOTALL)[1])


def test_a_question_for_each_kept_summary(data):
    assert tuple(entry["id"] for entry in data["questions"]) == QUESTIONS
    assert [len(entry["pictures"]) for entry in data["questions"]] == [12, 3, 3, 3]
    assert (data["study"], tuple(data["suggestions"])) == (STUDY, SUGGESTIONS)


def test_pictures_are_there_and_no_others(data, page):
    named = {picture["file"] for entry in data["questions"] for picture in entry["pictures"]}
    assert named == {path.relative_to(page.parent).as_posix() for path in page.parent.rglob("*.jpg")}
    assert all(re.fullmatch(r"pictures/\d+-\d+\.jpg", name) for name in named)
    for entry in data["questions"]:
        for picture in entry["pictures"]:
            shape = cv2.imread(str(page.parent / picture["file"])).shape
            assert shape == (picture["height"], picture["width"], 3)


def test_pictures_are_the_reports(data, page):
    report = class_report(2, 4)
    member = report.summaries.summaries[0].members[2]  # the second that is kept
    factor = 5  # from 48 to at least 224
    view = enlarged(report.images[2], report.masks.salient[2], member.box, factor)
    wanted = summary_picture(*view, PictureStyle())
    found = cv2.imread(str(page.parent / data["questions"][2]["pictures"][1]["file"]))[..., ::-1]
    assert found.shape == wanted.shape
    assert np.abs(found.astype(int) - wanted).mean() < 6


def test_neither_classes_nor_files_are_told(html):
    assert HOSTILE not in html
    for word in ("alert(", "onerror", "../"):
        assert word not in html
    assert len(re.findall("<script", html)) == 3


def test_nothing_comes_from_the_network(page):
    for path in page.parent.rglob("*"):
        if path.suffix in (".html", ".css", ".js"):
            assert "://" not in path.read_text(encoding="utf-8"), path.name


def test_data_cannot_end_their_element(tmp_path):
    folder = tmp_path / "pages"
    folder.mkdir()
    writer = StudyWriter(folder)
    writer.add_class(class_report(1, 4))
    html = writer.finish("</script><b>").read_text()
    assert "<b>" not in html


def test_a_study_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no class has a summary: there is nothing to ask"):
        StudyWriter(tmp_path).finish(STUDY)
