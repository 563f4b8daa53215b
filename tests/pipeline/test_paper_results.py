import json

import pytest
import toys
from toy_runs import summary, write_run

from vissum_jax.pipeline.finished import open_finished
from vissum_jax.pipeline.paper_results import paper_sections
from vissum_jax.pipeline.paper_values import read_paper_values
from vissum_jax.pipeline.study import score_study
from vissum_jax.report.paper_page import PaperSection, Plot, paper_markdown, write_paper_page
from vissum_jax.study.answers import Answers
from vissum_jax.study.questions import study_id

BOX = (8, 8, 16, 16)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return toys.write_photographs(tmp_path_factory.mktemp("photos"), {0: 3, 1: 3})


@pytest.fixture
def run(photos, tmp_path):
    kept = [summary(0, {0: BOX, 1: BOX}), summary(1, {2: BOX})]
    return open_finished(write_run(photos, tmp_path / "run", {0: kept, 1: []}).folder)


def section(run, source, **options):
    sections = paper_sections(read_paper_values([run], **options), run.folder)
    return next(each for each in sections if each.source == source)


def write(run, name, values):
    path = run.folder / "evaluation" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"fingerprint": run.manifest.fingerprint, **values}))


def moments(mean, variance=0.0):
    return {"mean": mean, "variance": variance, "count": 6}


def test_all_of_the_paper_is_there_in_its_order(run):
    sources = [each.source for each in paper_sections(read_paper_values([run]), run.folder)]
    assert sources == [
        "VS figures 1 to 3",
        "VS table 1",
        "VS table 2",
        "VS figure 4",
        "VS table 3",
        "VS figure 5",
        "VS section 4.4 and figure 6",
    ]


def test_table_1_has_counts_and_after_a_study_what_people_said(run):
    lines = {line[0]: line[1:] for line in section(run, "VS table 1").tables[0].lines}
    assert lines["robin"] == ("5", "-")
    assert lines["red disc"] == ("-", "2")
    assert lines["green square"] == ("-", "0")
    identity = study_id(run.manifest.fingerprint, [run.summaries(index) for index in (0, 1)])
    answers = [
        Answers(file=f"{who}.json", study=identity, participant=who, nouns={(0, 0): ("disc",), (0, 1): nouns})
        for who, nouns in (("Ann", ("edge",)), ("Bob", ("sky",)))
    ]
    score_study(answers, run.folder / "study", run=run)
    found = section(run, "VS table 1")
    lines = {line[0]: line[1:] for line in found.tables[0].lines}
    assert found.tables[0].headings[2:] == ("toy: summaries", "toy: muU", "toy: tags")
    assert lines["red disc"] == ("-", "2", "0.500", "disc, edge")
    assert not found.missing


def test_scores_of_another_study_are_not_shown(run):
    (run.folder / "study").mkdir()
    (run.folder / "study" / "score.json").write_text(json.dumps({"study": "0" * 16, "classes": [], "summaries": []}))
    assert section(run, "VS table 1").missing


def test_table_2_stands_beside_the_paper_s(run):
    measures = {"drop": moments(0.99, 2e-4), "area": moments(0.25), "transfer_mean_colour": moments(0.8)}
    rows = [
        {"label": "compact (this run), binary", "method": "run", "form": "own", "images": 6, "measures": measures},
        {"label": "rise, own", "method": "rise", "form": "own", "images": 6, "measures": measures},
    ]
    write(run, "drop.json", {"rows": rows})
    lines = section(run, "VS table 2").tables[0].lines
    assert lines[0] == ("VS: IEBB", "0.99738", "8.13e-04", "-", "-", "-")
    assert lines[2][:2] == ("VS: its own masks", "0.99965")
    assert lines[3:] == (("toy: compact (this run), binary", "0.99000", "2.00e-04", "0.250", "0.800", "6"),)


def test_comparisons_are_counted_and_linked(run):
    values = {
        "runs": [{"model": "a"}, {"model": "b"}],
        "classes": [{"only": [[1, 2], [3]], "matched": [4]}, {"only": [[], [5]], "matched": []}],
    }
    path = run.folder / "evaluation" / "compare-b" / "compare.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(values))
    found = section(run, "VS figure 5")
    assert found.tables[0].lines == (("a and b", "2", "2", "1"),)
    assert found.links == [("a and b side by side", "evaluation/compare-b/index.html")]


def test_counts_of_other_runs_are_refused(run, tmp_path):
    counts = tmp_path / "counts.json"
    counts.write_text(json.dumps({"runs": [{"run": "elsewhere"}]}))
    with pytest.raises(ValueError, match=r"does not count '.*run'; count all runs that are named\."):
        read_paper_values([run], counts=counts)


def test_names_from_outside_stay_text(tmp_path):
    hostile = "<script>|x\ny"
    made = PaperSection(title="T", source="S", lede="L", notes=[hostile], plots=[Plot("p", hostile, b"")])
    text = paper_markdown([made], runs=[hostile], pictures="p")
    assert "<script>" not in text
    assert "&lt;script>\\|x y" in text
    page = write_paper_page(tmp_path / "page", [made], runs=[hostile]).read_text()
    assert "<script>" not in page
