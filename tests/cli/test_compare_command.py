"""`vissum compare` on runs whose summaries are told."""

import json

import pytest
import toys
from toy_runs import summary, write_run

A, B = (0, 0, 24, 24), (36, 36, 24, 24)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    photos = toys.write_photographs(folder / "photos", {0: 3})
    told = {"one": [A, B], "two": [A]}
    return [
        write_run(
            photos,
            folder / name,
            {0: [summary(number, dict.fromkeys(range(3), box)) for number, box in enumerate(boxes)]},
        ).folder
        for name, boxes in told.items()
    ]


def test_json_is_one_object_and_progress_is_on_standard_error(vissum, runs, tmp_path):
    answer = vissum("compare", *runs, "--out", tmp_path / "page", "--json")
    assert answer.code == 0
    values = json.loads(answer.out)
    (found,) = values["classes"]
    assert [len(cards) for cards in found["only"]] == [1, 0]
    assert len(found["matched"]) == 1
    assert values["report"] == str(tmp_path / "page" / "index.html")
    assert (tmp_path / "page" / "index.html").is_file()
    assert "compare: 1/1" in answer.err


def test_for_people_there_is_a_line_a_class_and_the_page_is_beside_the_first_run(vissum, runs):
    answer = vissum("compare", *runs)
    assert answer.code == 0
    page = runs[0] / "evaluation" / "compare-two" / "index.html"
    assert answer.out.splitlines() == [
        "red disc: only toy 1, only toy 0, both 1 (3 photographs explained by both)",
        f"Report: {page}",
    ]
    assert page.is_file()


def test_what_the_user_got_wrong_is_said_in_one_line(vissum, runs, tmp_path):
    photos = toys.write_photographs(tmp_path / "photos", {1: 1})
    other = write_run(photos, tmp_path / "run", {}).folder
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("x")
    for arguments, complaint in (
        ([runs[0], tmp_path / "nowhere"], "nowhere' is not a RUN folder"),
        ([runs[0], runs[0]], "is compared with itself; name two runs."),
        ([runs[0], other], "have no photograph in common"),
        ([*runs, "--out", tmp_path / "thesis"], "thesis' holds something else than a report; name another folder"),
    ):
        answer = vissum("compare", *arguments)
        assert (answer.code, answer.out) == (2, "")
        assert complaint in answer.complaint


def test_the_command_explains_itself(vissum):
    answer = vissum("compare", "--help")
    assert answer.code == 0
    assert "\n  vissum compare runs/googlenet runs/squeezenet\n" in answer.out
    assert "--json " in answer.out
    assert vissum("compare").code == 2
