import json
import shutil
import sys

import numpy as np
import pytest
import toy_runs


@pytest.fixture
def run(photos, tmp_path):
    kept = toy_runs.summary(0, {1: (8, 8, 16, 16), 0: (8, 8, 16, 16)})
    return toy_runs.write_run(photos, tmp_path / "run", {0: [kept], 1: []}).folder


def test_json_says_what_was_written_and_where(vissum, run):
    answer = vissum("export", run, "--format", "coco", "--json")
    values = json.loads(answer.out)
    assert values.pop("seconds") >= 0
    assert (answer.code, values) == (
        0,
        {
            "export": str(run / "export" / "coco"),
            "format": "coco",
            "images": 8,
            "masks": 8,
            "summaries": 1,
            "members": 2,
            "left_out": {"unreadable": 0, "smaller_than_a_pixel": 0},
        },
    )
    assert sorted(path.name for path in (run / "export" / "coco").iterdir()) == [
        ".vissum-export",
        "masks.json",
        "summaries.json",
    ]


def test_a_folder_of_ones_own(vissum, run, tmp_path):
    answer = vissum("export", run, "--format", "npz", "--out", tmp_path / "arrays")
    assert (answer.code, answer.out) == (
        0,
        f"8 images, 8 masks, 1 summaries, 2 members.\nExport: {tmp_path / 'arrays'}\n",
    )
    with np.load(tmp_path / "arrays" / "class-00001.npz", allow_pickle=False) as arrays:
        assert arrays["class_name"].item() == "green square"


def test_unreadable_photographs_are_counted(vissum, command, photos, tmp_path):
    own = shutil.copytree(photos, tmp_path / "photos")
    (own / "red_disc" / "3.png").write_bytes(b"no picture")
    assert vissum("run", own, *command[2:]).code == 1
    answer = vissum("export", command[-1], "--format", "coco")
    assert (answer.code, "Left out: 1 unreadable." in answer.out) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--format", "csv"), "--format must be one of coco, fiftyone, npz, got 'csv'."),
        (("--format", "coco", "--out", "{run}"), "holds something else than an earlier export; name another folder"),
    ],
)
def test_mistakes_end_in_a_line(vissum, run, arguments, why):
    answer = vissum("export", run, *(argument.format(run=run) for argument in arguments))
    assert (answer.code, answer.out) == (2, "")
    assert why in answer.complaint


def test_fiftyone_is_asked_for_by_name(vissum, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "fiftyone", None)
    answer = vissum("export", run, "--format", "fiftyone")
    assert answer.code == 2
    assert "pip install 'vissum-jax[fiftyone]'" in answer.complaint
    assert not list((run / "export").iterdir())


def test_a_run_that_is_not_done_is_refused(vissum, run, tmp_path):
    sorted((run / "summaries").glob("*.done"))[0].unlink()
    answer = vissum("export", run, "--format", "coco")
    assert (answer.code, f"`vissum summarize {run}`" in answer.complaint) == (2, True)
    answer = vissum("export", tmp_path / "nowhere", "--format", "coco")
    assert (answer.code, "is not a RUN folder" in answer.complaint) == (2, True)


def test_help_has_examples(vissum):
    answer = vissum("export", "--help")
    assert (answer.code, "vissum export runs/photos --format coco" in answer.out) == (0, True)
