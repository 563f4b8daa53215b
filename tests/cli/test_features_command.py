"""``vissum features select | average``."""

import json

import feature_toys
import pytest


@pytest.fixture(scope="module")
def flowers(tmp_path_factory):
    return feature_toys.write_photographs(tmp_path_factory.mktemp("photos"), 4)


def test_features_are_selected_and_averaged(vissum, flowers, tmp_path):
    out = tmp_path / "features"
    arguments = ("features", "select", flowers, "--model", feature_toys.MODEL, "--out", out, "--draws", 2, "--mu", 5)
    answer = vissum(*arguments, "--json")
    assert answer.code == 0
    values = json.loads(answer.out)
    assert values["mu"] == 5
    assert values["check"]["own"]["accuracy_lost"] > 0
    table = vissum(*arguments)
    assert table.code == 0
    assert "relevant filters" in table.out
    averages = vissum("features", "average", out, "--images", 2, "--most", 1, "--json")
    assert averages.code == 0
    found = json.loads(averages.out)
    assert found["averages"] == 3
    assert (out / "report" / "index.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "--model must name the network, unless the photographs are those of a run."),
        (("--model", "flower"), "flowernet"),
        (("--model", feature_toys.MODEL, "--mu", 0), "`mu` must be positive, got 0.0."),
        (("--model", feature_toys.MODEL, "--batch-size", 0), "--batch-size must be at least 1, got 0."),
    ],
)
def test_mistakes_end_in_one_line(vissum, flowers, tmp_path, arguments, complaint):
    answer = vissum("features", "select", flowers, "--out", tmp_path / "out", *arguments)
    assert answer.code == 2
    assert complaint in answer.complaint


def test_averages_need_a_selection(vissum, tmp_path):
    answer = vissum("features", "average", tmp_path)
    assert answer.code == 2
    assert "is not a RUN folder" in answer.complaint
