import json

import cv2
import numpy as np
import pytest

from vissum_jax.report import RunFacts, write_report
from vissum_jax.report.drop_plot import drop_picture
from vissum_jax.report.evaluation import Evaluation, read_evaluation

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


def test_an_evaluation_is_read_again(run, plot):
    found = read_evaluation(run, "f")
    assert found == Evaluation(
        images=3, headings=("masks", "drop"), lines=(("IEBB", "0.9974"), ("<i>ours", "0.9997")), plot=plot
    )


def test_without_an_evaluation_there_is_none(run, tmp_path):
    assert read_evaluation(tmp_path, "f") is None
    (run / "evaluation" / "drop.png").unlink()
    assert read_evaluation(run, "f") is None


def test_the_evaluation_of_another_configuration_is_not_shown(run):
    assert read_evaluation(run, "g") is None


def test_the_runs_page_shows_the_table_and_the_plot(run, plot, tmp_path):
    facts = RunFacts(model="net", preset="compact", class_names=(), evaluation=read_evaluation(run, "f"))
    folder = write_report(tmp_path / "report", facts, []).parent
    page = (folder / "run.html").read_text()
    assert '<th scope="row">IEBB</th><td class="num">0.9974</td>' in page
    assert "&lt;i&gt;ours" in page
    assert "On 3 photographs" in page
    assert '<img class="plot" src="drop.png"' in page
    assert (folder / "drop.png").read_bytes() == plot


def test_a_run_without_an_evaluation_has_no_such_section(tmp_path):
    folder = write_report(tmp_path / "report", RunFacts(model="net", preset="compact", class_names=()), []).parent
    assert "How the masks compare" not in (folder / "run.html").read_text()
    assert not (folder / "drop.png").exists()
