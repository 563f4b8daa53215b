"""`vissum evaluate parts` on a run whose summaries are told."""

import json

import pytest
import toys
from toy_runs import summary, write_run

BOX = (4, 4, 24, 24)
TABLE = "file,part,x,y\n" + "".join(f"red_disc/{row}.png,left eye,16,16\n" for row in range(4))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    photos = toys.write_photographs(folder / "photos", {0: 4, 1: 1})
    return write_run(photos, folder / "run", {0: [summary(0, dict.fromkeys(range(4), BOX))]}).folder


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("annotations") / "parts.csv"
    path.write_text(TABLE)
    return path


def test_json_is_one_object_and_progress_is_on_standard_error(vissum, run, table):
    answer = vissum("evaluate", "parts", run, "--annotations", table, "--baselines", "k_means,craft", "--json")
    assert answer.code == 0
    values = json.loads(answer.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert values["parts"] == ["left eye"]
    assert list(values["over_classes"]) == ["summaries", "k_means", "craft"]
    assert values["classes"][0]["methods"]["summaries"]["purity"] == 1.0
    assert values["classes"][1]["reason"] == "no cluster is large and consistent enough"
    assert values["evaluation"] == str(run / "evaluation")
    assert values["seconds"] >= 0
    assert "matches: " in answer.err


def test_for_people_there_are_tables(vissum, run, table):
    answer = vissum("evaluate", "parts", run, "--annotations", table, "--baselines", "none", "--merge-sides")
    assert answer.code == 0
    assert answer.out.startswith("| grouping | classes | groups | members | purity | shuffled |")
    assert (run / "evaluation" / "parts.md").read_text() in answer.out
    assert answer.out.splitlines()[-1] == f"Evaluation: {run / 'evaluation'}"
    assert json.loads((run / "evaluation" / "parts.json").read_text())["parts"] == ["eye"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--baselines", "kmeans"], "unknown baseline 'kmeans'; known are k_means, agglomerative, ace, craft."),
        (["--seed", -1], "`seed` must not be negative, got -1."),
        (["--batch-size", 0], "--batch-size must be at least 1, got 0."),
        (["--annotations", "nowhere.csv"], "No annotations 'nowhere.csv'."),
    ],
)
def test_what_the_user_got_wrong_is_said_in_one_line(vissum, run, table, options, complaint):
    given = [] if "--annotations" in options else ["--annotations", table]
    answer = vissum("evaluate", "parts", run, *given, *options)
    assert (answer.code, answer.out) == (2, "")
    assert complaint in answer.complaint


def test_the_truth_is_either_annotations_or_a_folder(vissum, run, table, tmp_path):
    for given in ([], ["--annotations", table, "--truth", tmp_path]):
        answer = vissum("evaluate", "parts", run, *given)
        assert (answer.code, answer.out) == (2, "")
        assert "give the truth either as --annotations FILE or as --truth FOLDER." in answer.complaint
    answer = vissum("evaluate", "parts", run, "--truth", tmp_path)
    assert answer.code == 2
    assert "holds no rendered flowers: no file an8flower.json" in answer.complaint


def test_annotations_that_are_none_are_named(vissum, run, tmp_path):
    (tmp_path / "boxes.csv").write_text("file,x,y,w,h\na.jpg,1,2,3,4\n")
    answer = vissum("evaluate", "parts", run, "--annotations", tmp_path / "boxes.csv")
    assert answer.code == 2
    assert "boxes.csv: no column 'part'; needed are file, part, x, y." in answer.complaint
    (tmp_path / "other.csv").write_text("file,part,x,y\ncrane.jpg,beak,1,2\n")
    answer = vissum("evaluate", "parts", run, "--annotations", tmp_path / "other.csv")
    assert answer.code == 2
    assert "no part is annotated in any of the 5 photographs, as 'red_disc/0.png'" in answer.complaint


def test_the_command_explains_itself(vissum):
    answer = vissum("evaluate", "parts", "--help")
    assert answer.code == 0
    assert "\n  vissum evaluate parts runs/birds --annotations parts.csv\n" in answer.out
    assert "--json " in answer.out
    assert vissum("evaluate", "parts").code == 2
