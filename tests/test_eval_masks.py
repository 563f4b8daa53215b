"""`benchmarks/eval_masks.py` on toys."""

import json
import sys

import numpy as np
import pytest
import toys

from benchmarks import eval_masks
from vissum_jax.masks.methods import METHODS
from vissum_jax.pipeline import measure_masks

METHODS_SHOWN = "random,gradient,compact_999"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return toys.write_photographs(tmp_path_factory.mktemp("photos"), {0: 4, 1: 4})


@pytest.fixture
def compare(photos, tmp_path, monkeypatch, capsys):
    """Runs the benchmark; returns what it printed and what it wrote."""
    boxes = tmp_path / "boxes.csv"
    rows = [f"{name}/{n}.png,0,0,64,64\n" for name in ("red_disc", "green_square") for n in range(4)]
    boxes.write_text("file,x,y,w,h\n" + "".join(rows))
    monkeypatch.setattr(eval_masks, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(eval_masks, "source_digest", lambda: "this code")

    def run(*options):
        arguments = ["--model", toys.MODEL, "--images", photos, "--out", tmp_path / "work", "--boxes", boxes]
        arguments += ["--classes", "red_disc,green_square", "--methods", METHODS_SHOWN, "--per-class", 2]
        arguments += ["--redrawn-per-class", 1, "--batch-size", 4, *options]
        monkeypatch.setattr(sys, "argv", ["eval_masks.py", *map(str, arguments)])
        eval_masks.main()
        return capsys.readouterr().out, json.loads((tmp_path / "results" / "masks_toy.json").read_text())

    return run


def test_the_comparison_is_written_printed_and_resumed(compare, tmp_path, monkeypatch):
    out, values = compare()
    cases = {row["case"]: row for row in values["results"]}
    assert {row["method"] for row in values["results"]} == {"compact", "compact_999", "random", "gradient"}
    assert {row["form"] for row in values["results"] if row["method"] == "compact"} == {"soft", "own", "equal_area"}
    assert out.startswith("| masks | images |")
    assert all(case in out for case in cases)

    compact, random = cases["compact, equal area"], cases["random, equal area"]
    assert (values["images"], values["images_per_class"]) == (4, {"red disc": 2, "green square": 2})
    assert compact["measures"]["drop"]["mean"] > random["measures"]["drop"]["mean"]
    assert compact["measures"]["in_box"]["mean"] == 1.0
    assert random["measures"]["redrawn_iou"] == {"mean": 1.0, "variance": 0.0, "count": 2}
    assert random["measures"]["area"]["mean"] == pytest.approx(compact["measures"]["area"]["mean"])

    difference = random["compact_minus_this"]["drop"]
    of_images = values["per_image"]["values"]
    drops = [np.array(of_images[case]["drop"]) for case in ("compact, equal area", "random, equal area")]
    assert difference["images"] == 4
    assert difference["mean"] == pytest.approx(np.mean(drops[0] - drops[1]), abs=1e-4)
    assert difference["low"] <= difference["mean"] <= difference["high"]
    assert compact["compact_minus_this"]["drop"]["mean"] == 0.0
    strict = cases["compact_999, own area"]["measures"]
    for name, target in (("reaches_99", 0.99), ("reaches_999", 0.999)):
        reached = [drop >= target for drop in of_images["compact_999, own area"]["drop"]]
        assert strict[name]["mean"] == np.mean(reached)
    assert "target_drop=0.999" in values["constants"]["compact_999"]
    assert (tmp_path / "work" / "masks_toy.png").read_bytes().startswith(b"\x89PNG")

    with monkeypatch.context() as changed:
        changed.setattr(eval_masks, "source_digest", lambda: "other code")
        changed.setattr(eval_masks, "measure_method", None)
        with pytest.raises(TypeError):  # the results of other code are not taken
            compare()

    monkeypatch.setattr(eval_masks, "measure_method", None)
    out, again = compare("--json")
    assert again == {**values, "commit": again["commit"]}
    assert json.loads(out)["results"] == values["results"]


def test_photographs_are_in_turn_of_each_class_and_answered_rightly(photos):
    def chosen(**changes):
        classifier = toys.make_classifier(**changes)
        return eval_masks.choose(classifier, photos, ["red_disc", "green_square"], [], [], per_class=3, seed=0)

    found = chosen()
    assert list(found.photographs.class_index) == [0, 1] * 3
    assert found.passed_over == 0
    assert chosen().photographs.names == found.photographs.names
    with pytest.raises(SystemExit, match="red disc: only 0 of 4 photographs are answered rightly"):
        chosen(nothing=1e6)


def test_the_first_rows_of_every_class():
    assert list(eval_masks.some_of_each_class(np.array([5, 7, 5, 5, 7, 9]), 1)) == [
        True,
        True,
        False,
        False,
        False,
        True,
    ]
    assert eval_masks.some_of_each_class(np.array([5, 7, 5]), 2).all()
    assert not eval_masks.some_of_each_class(np.array([5, 7, 5]), 0).any()


def test_budgets_are_part_of_the_constants():
    found = eval_masks.contenders(("rise", "extremal", "compact_999"), rise_masks=10, extremal_iterations=20)
    assert [contender.name for contender in found] == ["compact", "rise", "extremal", "compact_999"]
    assert found[1].config.masks == 10
    assert found[2].config.iterations == 20
    assert (found[0].config.target_drop, found[3].config.target_drop) == (0.99, 0.999)
    assert found[3].method == "compact"


def test_every_method_is_compared_by_default():
    assert set(eval_masks.QUICK_METHODS) < set(METHODS)
    assert set(eval_masks.COMPARED) <= {*measure_masks.MEASURES, *measure_masks.LOCALISATION}


def test_the_digest_is_of_the_code_that_finds_masks(monkeypatch):
    monkeypatch.setattr(eval_masks, "SOURCES", ("ops",))
    digest = eval_masks.source_digest()
    assert eval_masks.source_digest() == digest
    monkeypatch.setattr(eval_masks, "SOURCES", ("attribution",))
    assert eval_masks.source_digest() != digest
