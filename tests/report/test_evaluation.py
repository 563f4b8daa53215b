import json

import cv2
import numpy as np
import pytest

from vissum_jax.report import RunFacts, write_report
from vissum_jax.report.drop_plot import drop_picture
from vissum_jax.report.evaluation import Comparison, read_comparisons, read_evaluations

CURVES = {"random": np.linspace(0, 1, 11), "<b>rise": np.sqrt(np.linspace(0, 1, 11))}
AREAS, DROPS = np.array([0.1, 0.2]), np.array([0.99, 1.0])


@pytest.fixture
def plot():
    return drop_picture(CURVES, AREAS, DROPS, label="compact")


@pytest.fixture
def run(tmp_path, plot):
    """A RUN folder with an evaluation."""
    folder = tmp_path / "run" / "evaluation"
    folder.mkdir(parents=True)
    table = {"headings": ["masks", "drop"], "lines": [["IEBB", "0.9974"], ["<i>ours", "0.9997"]]}
    (folder / "drop.json").write_text(json.dumps({"fingerprint": "f", "images": 3, "table": table}))
    (folder / "drop.png").write_bytes(plot)
    return folder.parent


def test_the_plot_is_a_picture_and_the_same_each_time(plot):
    picture = cv2.imdecode(np.frombuffer(plot, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (540, 960, 3)
    assert picture.std() > 10
    assert drop_picture(CURVES, AREAS, DROPS, label="compact") == plot


def test_another_curve_is_another_plot(plot):
    assert drop_picture({**CURVES, "random": 1 - CURVES["random"]}, AREAS, DROPS, label="compact") != plot


def test_many_methods_negative_drops_and_no_method_at_all_can_be_drawn():
    many = {f"method {number}": np.full(5, -number / 10) for number in range(14)}
    assert drop_picture(many, AREAS, -DROPS, label="x") != drop_picture({}, AREAS, -DROPS, label="x")


def test_evaluations_are_read_again(run, plot):
    (found,) = read_evaluations(run, "f")
    assert (found.name, found.title, found.plot) == ("drop", "How the masks compare", plot)
    assert found.headings == ("masks", "drop")
    assert found.lines == (("IEBB", "0.9974"), ("<i>ours", "0.9997"))
    assert found.note.startswith("On 3 photographs; ")


def test_without_an_evaluation_there_is_none(run, tmp_path):
    assert read_evaluations(tmp_path, "f") == ()
    (run / "evaluation" / "drop.png").unlink()
    assert read_evaluations(run, "f") == ()


def test_the_evaluation_of_another_configuration_is_not_shown(run):
    assert read_evaluations(run, "g") == ()


def mean(purity):
    return {"classes": 2, "purity": purity, "shuffled_purity": 0.25, "nmi": None, "without_part": 0.5}


def test_parts_and_coherency_are_read_after_the_drop(run, plot):
    difference = {"mean": 0.125, "low": -0.01, "high": 0.2}
    parts = {
        "fingerprint": "f",
        "over_classes": {"summaries": mean(0.75), "k_means": mean(0.625), "ace": mean(None)},
        "differences": {"k_means": {"purity": difference}, "ace": {"purity": {"mean": None}}},
        "stability": 0.5,
    }
    classes = [{"class_name": "red_<b>", "summaries": 2, "mu_s": 0.5, "mu_r": None}]
    coherency = {"fingerprint": "f", "classes": classes, "mu_s": 0.5, "mu_r": 0.75, "tagger": "net"}
    for name, values in {"parts": parts, "coherency": coherency}.items():
        (run / "evaluation" / f"{name}.json").write_text(json.dumps(values))
        (run / "evaluation" / f"{name}.png").write_bytes(plot)
    drop, one, two = read_evaluations(run, "f")
    assert (drop.name, one.name, two.name) == ("drop", "parts", "coherency")
    assert one.lines == (
        ("summaries", "0.750", "0.250", "-", "0.500", "-"),
        ("k-means", "0.625", "0.250", "-", "0.500", "+0.125 (-0.010 to +0.200)"),
        ("ACE", "-", "0.250", "-", "0.500", "-"),
    )
    assert one.note.startswith("Means over 2 classes.")
    assert one.note.endswith("0.500.")
    assert two.lines == (("red <b>", "2", "0.500", "-"), ("mean", "", "0.500", "0.750"))


@pytest.mark.parametrize("text", ["{", '{"images": 3}', '{"fingerprint": "f"}', "[]"])
def test_damaged_evaluations_are_told_in_one_line(run, text):
    (run / "evaluation" / "drop.json").write_text(text)
    with pytest.raises(ValueError, match=r"drop\.json' is damaged .*evaluate again\.$"):
        read_evaluations(run, "f")


def test_comparisons_of_the_same_configuration_are_found(run):
    for name, fingerprint in (("a b", "f"), ("other", "g")):
        folder = run / "evaluation" / f"compare-{name}"
        folder.mkdir()
        runs = [{"model": "net", "run": "x", "fingerprint": fingerprint}, {"model": "<i>", "run": "y"}]
        (folder / "compare.json").write_text(json.dumps({"runs": runs}))
    assert read_comparisons(run, "f") == (Comparison("<i> (y)", "../evaluation/compare-a%20b/index.html"),)
    (folder / "compare.json").write_text("{}")
    with pytest.raises(ValueError, match=r"compare\.json' is damaged .*compare again\.$"):
        read_comparisons(run, "f")


def test_the_runs_page_shows_the_table_and_the_plot(run, plot, tmp_path):
    comparisons = (Comparison("<i> (y)", "../evaluation/compare-y/index.html"),)
    facts = RunFacts(
        model="net",
        preset="compact",
        class_names=(),
        evaluations=read_evaluations(run, "f"),
        comparisons=comparisons,
    )
    folder = write_report(tmp_path / "report", facts, []).parent
    page = (folder / "run.html").read_text()
    assert '<th scope="row">IEBB</th><td class="num">0.9974</td>' in page
    assert "&lt;i&gt;ours" in page
    assert "On 3 photographs" in page
    assert '<img class="plot" src="drop.png"' in page
    assert (folder / "drop.png").read_bytes() == plot
    assert '<a href="../evaluation/compare-y/index.html"><bdi>&lt;i&gt; (y)</bdi></a>' in page


def test_a_run_without_an_evaluation_has_no_such_section(tmp_path):
    folder = write_report(tmp_path / "report", RunFacts(model="net", preset="compact", class_names=()), []).parent
    page = (folder / "run.html").read_text()
    assert "How the masks compare" not in page
    assert "Beside other networks" not in page
    assert not (folder / "drop.png").exists()
