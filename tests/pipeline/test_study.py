import json
import re

import pytest
import toy_runs
import toys

from vissum_jax.pipeline.finished import open_finished
from vissum_jax.pipeline.study import ScoreConfig, build_study, check_answers, default_pages, score_study
from vissum_jax.study.answers import Answers
from vissum_jax.study.tags import read_tags

BOX = (8, 8, 16, 16)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return toys.write_photographs(tmp_path_factory.mktemp("photos"), {0: 3, 1: 2})


@pytest.fixture
def run(photos, tmp_path):
    first, second = (toy_runs.summary(number, {2 - number: BOX, 0: BOX}) for number in range(2))
    dropped = toy_runs.summary(2, {0: BOX}, kept=False)
    return toy_runs.write_run(photos, tmp_path / "run", {0: [first, second, dropped], 1: []})


@pytest.fixture
def built(run):
    progress = toys.Recorder()
    out = default_pages(run.folder)
    values = build_study(run, open_finished(run.folder), out, progress)
    progress.assert_complete()
    return values, out


def answer(study, participant="Ann", **nouns):
    keyed = {tuple(map(int, key[1:].split("_"))): given for key, given in nouns.items()}
    return Answers(file=f"{participant}.json", study=study, participant=participant, nouns=keyed)


def test_the_page_asks_about_the_kept_summaries(built, run):
    values, out = built
    html = (out / "index.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="study">(.*?)</script>', html, re.DOTALL)[1])
    assert [entry["id"] for entry in data["questions"]] == ["0-0", "0-1"]
    assert values == {
        "page": str(run.folder / "study" / "pages" / "index.html"),
        "questions": 2,
        "study": data["study"],
    }
    assert len(list(out.rglob("*.jpg"))) == 4


def test_building_again_gives_the_same_study(built, run):
    values, out = built
    before = (out / "index.html").read_bytes()
    assert build_study(run, open_finished(run.folder), out, toys.Recorder()) == values
    assert (out / "index.html").read_bytes() == before


def test_a_run_without_summaries_has_no_study(photos, tmp_path):
    run = toy_runs.write_run(photos, tmp_path / "empty", {0: [], 1: []})
    with pytest.raises(ValueError, match="no class has a summary: there is nothing to ask"):
        build_study(run, open_finished(run.folder), tmp_path / "out", toys.Recorder())
    assert not (tmp_path / "out").exists()


def test_answers_become_scores_and_names(built, run):
    study = built[0]["study"]
    answers = [
        answer(study, "Ann", c0_0=("disc",), c0_1=("x",)),
        answer(study, "Bob", c0_0=("Discs", "circle"), c0_1=("y",)),
    ]
    finished = open_finished(run.folder)
    check_answers(answers, finished)
    values = score_study(answers, run.folder / "study", run=finished)
    written = json.loads((run.folder / "study" / "score.json").read_text(), parse_constant=pytest.fail)
    assert written == json.loads(json.dumps(values))
    assert (values["mu_u"], values["study"], values["agreement"]) == (0.75, study, [[None, 0.25], [0.25, None]])
    assert (values["classes"][0]["class_name"], values["config"]) == ("red disc", {"chance_pairs": 10_000, "seed": 0})
    assert "| red disc | 0 | disc | 100 % | circle 1 |" in (run.folder / "study" / "score.md").read_text()
    assert (run.folder / "study" / "agreement.png").read_bytes().startswith(b"\x89PNG")
    tags = read_tags(run.folder, fingerprint=run.manifest.fingerprint)
    # Of the second summary nobody says the same: no noun is its name.
    assert {key: (tag.tag, tag.share, tag.participants) for key, tag in tags.items()} == {(0, 0): ("disc", 1.0, 2)}
    assert (built[1] / "index.html").is_file(), "scores leave the page alone"


def test_without_a_run_classes_have_no_names_and_nothing_is_named(tmp_path):
    values = score_study([answer("0" * 16, c5_0=("ear",))], tmp_path / "out", run=None)
    assert (values["classes"][0]["class_name"], values["mu_u"]) == (None, None)
    assert "| class 5 | 0 | ear |" in (tmp_path / "out" / "score.md").read_text()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["agreement.png", "score.json", "score.md"]


def test_answers_about_other_summaries_are_refused(built, run):
    finished = open_finished(run.folder)
    with pytest.raises(ValueError, match=rf"'Ann\.json' answers study {'f' * 16}; that of .* is {built[0]['study']}\."):
        check_answers([answer("f" * 16)], finished)
    with pytest.raises(ValueError, match=r"'Ann\.json' answers 0-2, which .* does not have\."):
        check_answers([answer(built[0]["study"], c0_2=("x",))], finished)


def test_scores_need_pairs_to_draw():
    with pytest.raises(ValueError, match=r"`chance_pairs` must be positive, got 0\."):
        ScoreConfig(chance_pairs=0)
