import json
import re

import pytest
import toy_runs

BOX = (8, 8, 16, 16)


@pytest.fixture
def run(photos, tmp_path):
    kept = toy_runs.summary(0, {1: BOX, 0: BOX})
    return toy_runs.write_run(photos, tmp_path / "run", {0: [kept], 1: []}).folder


def answers(page, folder, **nouns):
    """Files as the page writes them."""
    text = page.read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="study">(.*?)</script>', text, re.DOTALL)[1])
    folder.mkdir()
    for participant, given in nouns.items():
        values = {
            "format": data["format"],
            "version": data["version"],
            "study": data["study"],
            "participant": participant,
            "order": [entry["id"] for entry in data["questions"]],
            "answers": {"0-0": {"nouns": given, "no_idea": not given}},
        }
        (folder / f"{participant}.json").write_text(json.dumps(values))
    return folder


def test_a_study_from_page_to_names(vissum, run, tmp_path):
    answer = vissum("study", "build", run, "--json")
    values = json.loads(answer.out)
    assert (answer.code, values["questions"]) == (0, 1)
    page = run / "study" / "pages" / "index.html"
    assert values["page"] == str(page)
    folder = answers(page, tmp_path / "answers", ann=["disc"], bob=["discs"], cem=[])

    answer = vissum("study", "score", folder, "--run", run, "--json")
    values = json.loads(answer.out)
    assert (answer.code, values["scores"]) == (0, str(run / "study"))
    assert values["summaries"][0]["tag"] == "disc"
    assert values["classes"][0]["mu_u"] == pytest.approx(2 / 3)
    assert json.loads((run / "study" / "tags.json").read_text())["tags"][0]["share"] == pytest.approx(2 / 3)


def test_people_read_a_table(vissum, run, tmp_path):
    answer = vissum("study", "build", run, "--out", tmp_path / "pages")
    page = tmp_path / "pages" / "index.html"
    assert (answer.code, answer.out) == (0, f"Questions: 1\nPage: {page}\n")
    folder = answers(page, tmp_path / "answers", ann=["disc"])
    answer = vissum("study", "score", folder)
    assert answer.code == 0
    assert "| class 0 | 0 | disc | 100 % |" in answer.out
    assert answer.out.endswith(f"Scores: {folder / 'score'}\n")
    assert (folder / "score" / "agreement.png").is_file()
    assert not (run / "study").exists()
    # Scores beside the answers are not taken for answers.
    assert vissum("study", "score", folder).code == 0


def test_a_place_that_holds_something_else_is_refused_before_anything_is_loaded(vissum, run, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").touch()
    answer = vissum("study", "build", run, "--out", tmp_path / "mine")
    assert answer.code == 2
    assert "mine' holds something else than an earlier study; name another folder with --out." in answer.complaint


def test_bad_answers_are_named(vissum, run, tmp_path):
    assert vissum("study", "build", run).code == 0
    folder = answers(run / "study" / "pages" / "index.html", tmp_path / "answers", ann=["disc"])
    (folder / "bad.json").write_text("{}")
    answer = vissum("study", "score", folder, "--run", run)
    assert (answer.code, "'bad.json' is not a file of answers" in answer.complaint) == (2, True)
    (folder / "bad.json").unlink()
    text = (folder / "ann.json").read_text()
    (folder / "ann.json").write_text(re.sub(r'"study": "\w+"', '"study": "0123456789abcdef"', text))
    answer = vissum("study", "score", folder, "--run", run)
    assert (answer.code, "'ann.json' answers study 0123456789abcdef; that of" in answer.complaint) == (2, True)
    assert not (run / "study" / "tags.json").exists()
    answer = vissum("study", "score", tmp_path / "nowhere")
    assert (answer.code, "nowhere' is not a folder of answers." in answer.complaint) == (2, True)


@pytest.mark.parametrize("name", ["build", "score"])
def test_help_has_examples(vissum, name):
    answer = vissum("study", name, "--help")
    assert (answer.code, f"vissum study {name} " in answer.out) == (0, True)
