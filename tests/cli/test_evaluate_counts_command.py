"""`vissum evaluate counts` on runs whose summaries are told."""

import json

import pytest
import toys
from toy_runs import summary, write_run

BOX = (4, 4, 24, 24)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    photos = toys.write_photographs(folder / "photos", {0: 2, 1: 2})
    return [
        write_run(photos, folder / f"run{count}", {0: [summary(n, {0: BOX}) for n in range(count)]}).folder
        for count in range(3)
    ]


def test_json_is_one_object_and_files_come_where_they_are_wanted(vissum, runs, tmp_path):
    answer = vissum("evaluate", "counts", *runs, "--out", tmp_path / "out", "--json")
    assert (answer.code, answer.err) == (0, "")
    values = json.loads(answer.out)
    assert [run["mean_summaries"] for run in values["runs"]] == [0.0, 0.5, 1.0]
    assert values["evaluation"] == str(tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["counts.json", "counts.md", "counts.png"]


def test_for_people_there_is_a_table_and_nothing_is_written(vissum, runs):
    before = {path for run in runs for path in run.rglob("*")}
    answer = vissum("evaluate", "counts", *runs[:2])
    assert answer.code == 0
    assert answer.out.startswith("| network | summaries a class | known top-1 | top-1 here | photographs |")
    assert "it needs at least 3 runs" in answer.out
    assert {path for run in runs for path in run.rglob("*")} == before


def test_what_the_user_got_wrong_is_said_in_one_line(vissum, runs, tmp_path):
    for arguments, complaint in (
        ([tmp_path / "nowhere"], "nowhere' is not a RUN folder"),
        ([runs[0], runs[0]], "is named twice; name each run once."),
        ([], "name the folder of at least one run."),
    ):
        answer = vissum("evaluate", "counts", *arguments)
        assert (answer.code, answer.out) == (2, "")
        assert complaint in answer.complaint


def test_the_command_explains_itself(vissum):
    answer = vissum("evaluate", "counts", "--help")
    assert answer.code == 0
    assert "\n  vissum evaluate counts runs/squeezenet runs/googlenet runs/lite0 runs/lite1\n" in answer.out
    assert "--json " in answer.out
