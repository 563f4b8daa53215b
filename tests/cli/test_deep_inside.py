"""``vissum class-model | saliency | localize`` and ``vissum evaluate localization``."""

import json
from pathlib import Path

import numpy as np
import pytest
import toys
from PIL import Image


@pytest.fixture
def classes(tmp_path):
    """Runs ``vissum class-model`` on the toy network."""
    return ("class-model", "--model", toys.MODEL, "--out", tmp_path / "models")


def saliency_of(photos, folder):
    return ("saliency", photos, "--model", toys.MODEL, "--out", folder, "--classes", "red disc", "--limit", 2)


def localize_of(photos, folder):
    return ("localize", photos, "--model", toys.MODEL, "--out", folder, "--classes", "red disc", "--limit", 2)


def test_class_models_are_pictures_a_sheet_figures_and_a_page(vissum, classes, tmp_path):
    answer = vissum(*classes, "--classes", "2, red disc,red_disc", "--steps", 20, "--rate", 0.1, "--l2", 0, "--json")
    assert answer.code == 0
    values = json.loads(answer.out)
    assert [entry["class_name"] for entry in values["classes"]] == ["blue bar", "red disc"]
    assert values["configuration"]["steps"] == 20
    folder = tmp_path / "models"
    for entry, channel in zip(values["classes"], (2, 0), strict=True):
        with Image.open(folder / entry["file"]) as file:
            picture = np.asarray(file).astype(int)
        others = np.delete(picture, channel, axis=-1).max(-1)
        assert np.mean(picture[..., channel] > others) > 0.9, "the toy network wants its colour"
        assert entry["picture_probability"] > 0.9
    with Image.open(folder / "contact_sheet.png") as sheet:
        assert sheet.size == (2 * 64 + 3 * 4, 64 + 2 * 4)
    assert json.loads((folder / "class_models.json").read_text())["classes"] == values["classes"]
    assert "blue bar" in (folder / "report" / "index.html").read_text()
    again = vissum(*classes, "--classes", "0", "--steps", 1)
    assert again.code == 0, "earlier class models may be replaced"
    assert "red disc" in again.out


def test_class_models_do_not_overwrite_a_users_folder(vissum, classes, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "thesis.tex").write_text("years of work")
    answer = vissum(*classes, "--classes", "0")
    assert answer.code == 2
    assert "holds something else than class models" in answer.complaint


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--classes", "red disk"), "'red disk' names no class of toy; did you mean 'red disc'?"),
        (("--classes", "9"), "toy has no class 9: its indices are 0 to 3."),
        (("--classes", ","), "`classes` names no class."),
        (("--classes", "0", "--steps", "0"), "`steps` must be at least 1, got 0."),
        (("--classes", "0", "--parametrisation", "wavelet"), "`parametrisation` must be pixel or frequency"),
    ],
)
def test_class_models_name_a_mistake_in_one_line(vissum, classes, tmp_path, arguments, complaint):
    answer = vissum(*classes, *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert complaint in answer.complaint
    assert not (tmp_path / "models").exists()


def test_a_class_model_that_is_no_number_is_a_failure_and_null_in_json(vissum, tmp_path, monkeypatch):
    monkeypatch.setattr(toys, "broken", lambda: toys.make_classifier(breaks_above=-1.0), raising=False)
    answer = vissum(
        "class-model", "--model", "toys:broken", "--classes", "0", "--out", tmp_path / "m", "--steps", 1, "--json"
    )
    assert answer.code == 1
    assert json.loads(answer.out)["classes"][0]["score"] is None


def test_saliency_says_how_photographs_ended_and_goes_on(vissum, photos, tmp_path, monkeypatch):
    command = saliency_of(photos, tmp_path / "run")
    answer = vissum(*command, "--json")
    assert answer.code == 0
    values = json.loads(answer.out)
    assert values["statuses"] == {"ok": 2}
    assert Path(values["report"]).is_file()
    monkeypatch.setattr("vissum_jax.pipeline.saliency.explain", None)
    again = vissum(*command)
    assert again.code == 0
    assert again.out.startswith("Photographs: 2 ok.\n")


def test_localize_writes_coco_and_is_measured(vissum, photos, tmp_path):
    answer = vissum(*localize_of(photos, tmp_path / "run"), "--top", 1, "--json")
    assert answer.code == 0
    values = json.loads(answer.out)
    assert (values["photographs"], values["statuses"]) == (2, {"ok": 2})
    assert len(json.loads(Path(values["coco"]).read_text())["annotations"]) == 2
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("file,x,y,w,h\nred_disc/0.png,0,0,64,64\nred_disc/1.png,0,0,64,64\n")
    measured = vissum("evaluate", "localization", tmp_path / "run", "--boxes", boxes, "--json")
    assert measured.code == 0
    result = json.loads(measured.out)
    assert result["given_label"]["whole"]["share"] == 1
    assert result["top_error"]["count"] == result["images"] - result["given_label"]["graph cut"]["count"]
    table = vissum("evaluate", "localization", tmp_path / "run", "--boxes", boxes)
    assert "Top-1 localisation error" in table.out


def test_evaluating_names_a_mistake_in_one_line(vissum, photos, tmp_path):
    vissum(*saliency_of(photos, tmp_path / "saliency"))
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("file,x,y,w,h\n")
    for arguments, complaint in (
        ((tmp_path / "none", "--boxes", boxes), "is not a RUN folder"),
        ((tmp_path / "saliency", "--boxes", boxes), "is not a run of `vissum localize`"),
        ((tmp_path / "saliency", "--boxes", tmp_path / "none.csv"), "No annotations"),
        ((tmp_path / "saliency", "--boxes", boxes, "--exclude", tmp_path / "none.txt"), "No file"),
    ):
        answer = vissum("evaluate", "localization", *arguments)
        assert (answer.code, answer.out) == (2, "")
        assert complaint in answer.complaint


@pytest.mark.parametrize(
    ("command", "arguments", "complaint"),
    [
        ("saliency", ("--crops", "3"), "--crops must be 1 or 10, got 3."),
        ("saliency", ("--crops", "10", "--whole"), "--whole and --crops 10 exclude each other"),
        ("saliency", ("--smooth-samples", "-1"), "`smooth_samples` must not be negative"),
        ("saliency", ("--classes", "tench"), "'tench' names no class of toy"),
        ("saliency", ("--batch-size", "0"), "--batch-size must be at least 1, got 0."),
        ("localize", ("--top", "5"), "`top` must be at most 4, the classes of 'toy', got 5."),
        ("localize", ("--top", "0"), "`top` must be at least 1, got 0."),
        ("localize", ("--views", "nine"), "`views` must be one of whole, centre, ten, got 'nine'."),
    ],
)
def test_runs_name_a_mistake_in_one_line_and_leave_nothing_behind(
    vissum, photos, tmp_path, command, arguments, complaint
):
    answer = vissum(command, photos, "--model", toys.MODEL, "--out", tmp_path / "run", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert complaint in answer.complaint
    assert not (tmp_path / "run").exists()


def test_a_missing_folder_is_named(vissum, tmp_path):
    for command in (("saliency",), ("localize", "--top", 1)):
        answer = vissum(*command, tmp_path / "none", "--model", toys.MODEL, "--out", tmp_path / "run")
        assert answer.code == 2
        assert "No folder" in answer.complaint
