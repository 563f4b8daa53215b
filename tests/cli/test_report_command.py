"""`vissum report` on a run whose summaries are told."""

import json

import pytest
import toys
from toy_runs import summary, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    photos = toys.write_photographs(folder / "photos", {0: 3, 1: 1})
    return write_run(photos, folder / "run", {0: [summary(0, dict.fromkeys(range(3), (0, 0, 24, 24)))]}).folder


@pytest.mark.parametrize("kind", ["pdf", "png"])
def test_figures_for_papers_come_in_the_format_that_is_asked_for(vissum, run, kind):
    answer = vissum("report", run, "--figures", kind, "--json")
    assert (answer.code, json.loads(answer.out)) == (0, {"report": str(run / "report" / "index.html")})
    found = {path.relative_to(run / "report").as_posix() for path in run.rglob("figure-*")}
    assert found == {
        *(f"classes/0/figure-{name}.{kind}" for name in ("summaries", "masks", "measures")),
        *(f"classes/1/figure-{name}.{kind}" for name in ("masks", "measures")),
    }


def test_without_being_asked_for_there_are_none_and_each_photograph_has_its_page(vissum, run):
    assert vissum("report", run).code == 0
    assert not list(run.rglob("figure-*"))
    pages = sorted(path.relative_to(run / "report").as_posix() for path in run.rglob("photograph-*.html"))
    assert pages == [*(f"classes/0/photograph-{row}.html" for row in range(3)), "classes/1/photograph-0.html"]
    assert (run / "report/classes/0/perturbed-0.jpg").is_file()


def test_other_formats_and_damaged_evaluations_are_refused_in_one_line(vissum, run):
    assert vissum("report", run, "--figures", "svg").code == 2
    (run / "evaluation").mkdir()
    (run / "evaluation" / "drop.json").write_text("{")
    (run / "evaluation" / "drop.png").write_bytes(b"")
    answer = vissum("report", run)
    assert answer.code == 2
    assert "drop.json' is damaged" in answer.complaint
    assert "Traceback" not in answer.err
