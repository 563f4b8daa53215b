"""`vissum evaluate heatmaps` on photographs whose truth is known."""

import json

import numpy as np
import pytest
import toys
from PIL import Image


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    images = toys.write_photographs(folder / "images", {0: 2})
    for path in images.rglob("*.png"):
        colour = np.asarray(Image.open(path)).astype(int)
        (folder / "truth" / path.parent.name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ptp(colour, axis=2) > 100).save(folder / "truth" / path.parent.name / path.name)
    return folder


def command(photos, out):
    options = ["--truth", photos / "truth", "--out", out, "--methods", "gradient,random", "--stride", 2]
    return ["evaluate", "heatmaps", photos / "images", "--model", toys.MODEL, *options]


def test_json_is_one_object_and_people_get_the_table(vissum, photos, tmp_path):
    answer = vissum(*command(photos, tmp_path / "run"), "--json")
    assert answer.code == 0
    values = json.loads(answer.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert list(values["methods"]) == ["gradient", "random"]
    assert values["report"] == str(tmp_path / "run" / "report" / "index.html")
    assert "gradient: " in answer.err
    again = vissum(*command(photos, tmp_path / "run"))
    assert again.code == 0
    assert again.out.startswith("| method | images | AUC of IoU (%) | 95 % interval of gradient minus it |")
    assert again.out.splitlines()[-1] == f"Report: {values['report']}"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--methods", "ve"], "method 've' needs the relevant features: give --features FOLDER"),
        (["--features", "nowhere"], "'nowhere' holds no selected features"),
        (["--truth", "nowhere"], "No folder 'nowhere' of masks."),
        (["--batch-size", 0], "--batch-size must be at least 1, got 0."),
    ],
)
def test_what_the_user_got_wrong_is_said_in_one_line(vissum, photos, tmp_path, options, complaint):
    answer = vissum(*command(photos, tmp_path / "run"), *options)
    assert (answer.code, answer.out) == (2, "")
    assert complaint in answer.complaint


def test_the_command_explains_itself(vissum):
    answer = vissum("evaluate", "heatmaps", "--help")
    assert answer.code == 0
    assert "vissum evaluate heatmaps flowers/images --truth flowers" in answer.out
    assert vissum("evaluate", "heatmaps").code == 2
