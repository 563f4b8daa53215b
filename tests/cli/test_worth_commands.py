"""`vissum split`, `vissum evaluate coherency|specialize|paper` on runs whose summaries are told."""

import json
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
import toys
from toy_runs import summary, write_run

from vissum_jax.models import load_classifier

BOX = (8, 8, 16, 16)
MODEL = "specialize_toys:make_biased"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return toys.write_photographs(tmp_path_factory.mktemp("photos"), {0: 16, 1: 16})


@pytest.fixture(scope="module")
def parts(photos):
    """Photographs taken apart; the lists are beside them."""
    from vissum_jax.pipeline.splits import link_split, make_split, write_split

    split = make_split(photos, {"summaries": 0.5, "train": 0.25, "test": 0.25}, seed=0)
    write_split(split, photos.parent / "lists", about="a test")
    link_split(photos, split, photos.parent / "parts")
    return photos.parent / "parts"


@pytest.fixture
def run(parts, tmp_path):
    told = {index: [summary(n, {row: BOX for row in range(n, 8, 2)}) for n in range(2)] for index in range(2)}
    return write_run(parts / "summaries", tmp_path / "run", told, model=MODEL).folder


def test_split_make_and_link(vissum, photos, tmp_path):
    lists, out = tmp_path / "lists", tmp_path / "parts"
    answer = vissum("split", "make", photos, lists, "--shares", "a=0.5,b=0.5", "--seed", "7", "--json")
    assert (answer.code, json.loads(answer.out)["photographs"]) == (0, {"a": 16, "b": 16})
    assert (lists / "a.txt").read_text().startswith("# vissum split make --shares a=0.5,b=0.5 --seed 7\n")
    answer = vissum("split", "link", photos, lists, out)
    assert answer.code == 0
    assert f"{out / 'a'}: 16 photographs" in answer.out
    assert len(list((out / "b").rglob("*.png"))) == 16


def test_coherency_of_a_run(vissum, run):
    answer = vissum("evaluate", "coherency", run, "--tagger", "toys:make_classifier", "--draws", "10", "--json")
    assert answer.code == 0
    values = json.loads(answer.out)
    assert (values["tagger"], values["measured"], values["crops"]) == ("toy", 2, False)
    answer = vissum("evaluate", "coherency", run, "--tagger", "toys:make_classifier", "--crops")
    assert answer.code == 0
    assert answer.out.startswith("| class (summaries) | muS | muR | draws below | most used tags of each summary |")
    assert (run / "evaluation" / "coherency_crops.json").is_file()


@pytest.fixture
def specialized(vissum, run, photos):
    """What `vissum evaluate specialize` printed; a network came out of it."""
    lists = photos.parent / "lists"
    arguments = ("--train", lists / "train.txt", "--test", lists / "test.txt", "--images", photos)
    answer = vissum("evaluate", "specialize", run, *arguments, "--random-draws", "1", "--json")
    assert answer.code == 0
    return json.loads(answer.out)


def test_specialize_saves_a_network_that_answers_what_was_measured(vissum, specialized, parts):
    chosen = specialized["variants"]["summaries"][0]["chosen"]
    assert chosen["after"] > chosen["before"]
    model = f"specialized:{specialized['specialized']}"
    again = vissum("models", "verify", model, "--images", parts / "test", "--json")
    assert again.code == 0
    assert json.loads(again.out)["top1"] == chosen["after"]
    assert np.isfinite(load_classifier(model)(np.zeros((1, 64, 64, 3), np.float32)).logits).all()


@pytest.mark.slow
def test_the_specialised_network_runs(vissum, specialized, parts, settings, tmp_path):
    chosen = specialized["variants"]["summaries"][0]["chosen"]
    model = f"specialized:{specialized['specialized']}"
    again = vissum("run", parts / "test", "--model", model, "--config", settings, "--out", tmp_path / "again", "--json")
    assert again.code == 0
    statuses = [each["statuses"] for each in json.loads(again.out)["classes"]]
    wrong = sum(each.get("skipped_prediction", 0) for each in statuses)
    assert 1 - wrong / chosen["images"] == chosen["after"], "it answers what was measured"
    assert json.loads((tmp_path / "again" / "manifest.json").read_text())["model"]["name"] == "toy-specialized"


def test_for_people_specialize_prints_tables(vissum, run, parts):
    answer = vissum("evaluate", "specialize", run, "--train", parts / "train", "--test", parts / "test")
    assert answer.code == 0
    assert answer.out.startswith("| variant | SVMs | weight | chosen classes: before, after, gain |")
    assert "Network: specialized:" in answer.out


class Links(HTMLParser):
    """Addresses of a page."""

    def __init__(self, text):
        super().__init__()
        self.addresses = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("href", "src") and not value.startswith("#")]


def test_the_paper_page_says_what_is_missing_and_how_to_measure_it(vissum, run):
    answer = vissum("evaluate", "paper", run, "--json")
    assert answer.code == 0
    values = json.loads(answer.out)
    assert values["page"] == str(run / "report" / "paper.html")
    commands = [each["command"] for each in values["missing"]]
    for name in ("drop", "coherency", "counts", "specialize"):
        assert any(command.startswith(f"vissum evaluate {name} {run}") for command in commands)
    page = (run / "report" / "paper.html").read_text()
    assert "not measured" in page
    assert "0.99965" in page, "the paper's own figures are there in any case"
    assert vissum("report", run).code == 0, "a report may still take the folder"
    assert (run / "report" / "index.html").is_file()
    assert vissum("evaluate", "paper", run).code == 0
    assert 'href="index.html"' in (run / "report" / "paper.html").read_text()


def test_the_paper_page_shows_what_was_measured(vissum, run, parts, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(run, other)
    vissum("evaluate", "coherency", run, "--tagger", "toys:make_classifier", "--draws", "10")
    vissum("evaluate", "specialize", run, "--train", parts / "train", "--test", parts / "test")
    vissum("evaluate", "counts", run, other, "--out", tmp_path / "counts")
    arguments = ("--counts", tmp_path / "counts" / "counts.json", "--out", tmp_path / "page")
    document = tmp_path / "docs" / "results.md"
    answer = vissum("evaluate", "paper", run, other, *arguments, "--markdown", document)
    assert answer.code == 0
    assert f"Page: {tmp_path / 'page' / 'paper.html'}" in answer.out
    page = (tmp_path / "page" / "paper.html").read_text()
    text = document.read_text()
    for shown in (page, text):
        assert "2 of 2 classes" in shown or "1 of 2 classes" in shown or "0 of 2 classes" in shown
        assert "an SVM a summary" in shown
        assert f"toy ({run})" in shown
        assert f"vissum evaluate coherency {other}" in shown
        assert f"vissum evaluate coherency {run} --crops" in shown
        assert "Mean number of summaries a class: VS, AlexNet on its 18 classes 4.94" in shown
    for address in Links(page).addresses:
        assert address.startswith("data:") or (tmp_path / "page" / address).is_file(), address
    assert "](results/coherency-0.png)" in text
    assert (tmp_path / "docs" / "results" / "coherency-0.png").read_bytes().startswith(b"\x89PNG")


def test_values_of_another_configuration_are_not_shown(vissum, run):
    vissum("evaluate", "coherency", run, "--tagger", "toys:make_classifier", "--draws", "10")
    path = run / "evaluation" / "coherency.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "fingerprint": "another"}))
    answer = vissum("evaluate", "paper", run, "--json")
    assert f"vissum evaluate coherency {run}" in [each["command"] for each in json.loads(answer.out)["missing"]]


@pytest.mark.parametrize("text", ["{", "[]", '{"fingerprint": "?"}'])
def test_damaged_values_are_one_line(vissum, run, text):
    fingerprint = json.loads((run / "manifest.json").read_text())["fingerprint"]
    path = run / "evaluation" / "drop.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text.replace("?", fingerprint))
    answer = vissum("evaluate", "paper", run)
    assert (answer.code, answer.out) == (2, "")
    assert "measure it again." in answer.complaint


def test_what_the_user_got_wrong_is_said_in_one_line(vissum, run, parts, photos, tmp_path):
    lists = photos.parent / "lists"
    test = ("--test", parts / "test")
    for arguments, complaint in (
        (("evaluate", "coherency", run, "--draws", "3"), "`draws` must be at least 10, got 3."),
        (("evaluate", "coherency", run, "--tagger", "lite"), "did you mean"),
        (("evaluate", "coherency", run, "--tagger", MODEL, "--vocabulary", tmp_path / "no.txt"), "No file"),
        (("evaluate", "specialize", run, *test), "name some with --train"),
        (("evaluate", "specialize", run, *test, "--train", parts / "test"), "photographs must serve one purpose each"),
        (("evaluate", "specialize", run, *test, "--train", lists / "train.txt"), "name that folder with --images."),
        (("evaluate", "specialize", tmp_path / "nowhere", *test), "is not a RUN folder"),
        (("evaluate", "paper"), "name the folder of at least one run."),
        (("evaluate", "paper", run, run), "--out is missing"),
        (("evaluate", "paper", run, run, "--out", tmp_path / "p"), "is named twice"),
        (("evaluate", "paper", run, "--counts", tmp_path / "no.json"), "No file"),
        (("split", "make", photos, tmp_path / "l", "--shares", "a"), "`shares` must be NAME=SHARE"),
        (("split", "link", photos, tmp_path, tmp_path / "o"), "holds no list NAME.txt"),
        (("run", photos, "--model", f"specialized:{tmp_path}/no.safetensors", "--out", tmp_path / "r"), "no file"),
    ):
        answer = vissum(*arguments)
        assert (answer.code, answer.out) == (2, ""), arguments
        assert complaint in answer.complaint, arguments


@pytest.mark.parametrize("command", ["coherency", "specialize", "paper"])
def test_commands_explain_themselves(vissum, command):
    answer = vissum("evaluate", command, "--help")
    assert answer.code == 0
    assert f"\n  vissum evaluate {command} runs/" in answer.out
    assert "--json " in answer.out
