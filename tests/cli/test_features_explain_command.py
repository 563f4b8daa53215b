"""``vissum features explain``."""

import json
from pathlib import Path

import pytest
from explained_flowers import FLOWERS, write_features, write_flowers


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("explained")
    (root / "photos").mkdir()
    return write_flowers(root / "photos"), write_features(root / "features")


def command(folders, out, *arguments):
    photos, features = folders
    return ("features", "explain", photos, "--model", "flowernet", "--features", features, "--out", out, *arguments)


def test_it_says_how_photographs_ended_and_goes_on(vissum, folders, tmp_path, monkeypatch):
    first = command(
        folders, tmp_path / "run", "--classes", FLOWERS[0].name, "--limit", 1, "--top", 1, "--batch-size", 1
    )
    answer = vissum(*first, "--json")
    assert answer.code == 0
    values = json.loads(answer.out)
    assert values["statuses"] == {"ok": 1}
    assert list(values["features"].values()) == [1]
    assert Path(values["report"]).is_file()
    (explained,) = json.loads(Path(values["explanations"]).read_text())
    assert explained["explained_name"] == FLOWERS[0].name
    assert [f"{feature['layer']} {feature['channel']}" for feature in explained["features"]] == list(values["features"])
    monkeypatch.setattr("vissum_jax.pipeline.features_explain.explain", None)
    again = vissum(*first)
    assert again.code == 0
    assert again.out.startswith("Photographs: 1 ok.\n")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--top", "0"), "`top` must be at least 1, got 0."),
        (("--batch-size", "0"), "--batch-size must be at least 1, got 0."),
        (("--classes", "tench"), "'tench' names no class of flowernet"),
        (("--features", "nowhere"), "holds no selected features; make them with `vissum features select`"),
    ],
)
def test_mistakes_are_named_in_one_line_and_leave_nothing_behind(vissum, folders, tmp_path, arguments, complaint):
    answer = vissum(*command(folders, tmp_path / "run", *arguments))
    assert (answer.code, answer.out) == (2, "")
    assert complaint in answer.complaint
    assert not (tmp_path / "run").exists()
