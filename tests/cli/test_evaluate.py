"""`vissum evaluate drop` on rendered flowers."""

import json

import pytest

from vissum_jax.data.an8flower import FlowerConfig
from vissum_jax.data.an8flower.dataset import IMAGES_FOLDER, write_dataset
from vissum_jax.pipeline import RunConfig, mask_stage, report_stage, start_run, summary_stage
from vissum_jax.pipeline.progress import Silent

FAST = "random,grad_cam,guided_backprop"
ROWS = ["compact (this run), continuous", "compact (this run), binary", "IEBB", "IEBB, binary at 1/2", "IEBB thresh"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of two flowers; only its evaluation and its report change."""
    folder = tmp_path_factory.mktemp("flowers")
    write_dataset(folder, variant="demo", images_per_class=1, seed=1, config=FlowerConfig())
    names = sorted(path.name for path in (folder / IMAGES_FOLDER).iterdir())[:2]
    config = RunConfig(
        images=str(folder / IMAGES_FOLDER),
        model="flowernet",
        classes=tuple(names),
        keep_mispredicted=True,
        overrides={"masks": {"steps": 8, "grid": 14}, "proposals": {"min_side": 10}},
    )
    run = start_run(config, folder / "run")
    mask_stage(run, Silent(), batch_size=2)
    summary_stage(run, Silent())
    report_stage(run, Silent())
    return run.folder


def test_json_is_one_object_and_progress_is_on_standard_error(vissum, run):
    answer = vissum("evaluate", "drop", run, "--methods", FAST, "--batch-size", 2, "--json")
    assert answer.code == 0
    values = json.loads(answer.out)
    assert [row["label"] for row in values["rows"]] == ROWS + [f"{name}, equal area" for name in FAST.split(",")]
    assert (values["model"], values["preset"], values["images"]) == ("flowernet", "compact", 2)
    assert values["evaluation"] == str(run / "evaluation")
    assert values["seconds"] > 0
    assert all(row["measures"]["drop"]["count"] == 2 for row in values["rows"])
    assert [line.split(":")[0] for line in answer.err.splitlines() if " in " in line] == [
        "run",
        "iebb",
        *FAST.split(","),
    ]


def test_for_people_there_is_a_table_and_the_report_shows_it(vissum, run):
    answer = vissum("evaluate", "drop", run, "--methods", FAST, "--batch-size", 2)
    assert answer.code == 0
    assert answer.out.startswith("| masks | images | drop | variance | area |")
    assert (run / "evaluation" / "drop.md").read_text() in answer.out
    assert answer.out.splitlines()[-1] == f"Evaluation: {run / 'evaluation'}"
    assert vissum("report", run).code == 0
    page = (run / "report" / "run.html").read_text()
    assert all(label in page for label in ROWS)
    assert (run / "report" / "drop.png").read_bytes() == (run / "evaluation" / "drop.png").read_bytes()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--methods", "grad_cma"], "unknown method 'grad_cma': did you mean 'grad_cam'?"),
        (["--limit", 0], "`limit` must be at least 1, got 0."),
        (["--batch-size", 0], "--batch-size must be at least 1, got 0."),
        (["--boxes", "nowhere.csv"], "No annotations 'nowhere.csv'."),
    ],
)
def test_what_the_user_got_wrong_is_said_in_one_line(vissum, run, options, complaint):
    answer = vissum("evaluate", "drop", run, *options)
    assert (answer.code, answer.out) == (2, "")
    assert complaint in answer.complaint


def test_a_folder_that_is_no_run_is_named(vissum, tmp_path):
    answer = vissum("evaluate", "drop", tmp_path / "nowhere")
    assert answer.code == 2
    assert "nowhere' is not a RUN folder: it holds no manifest.json." in answer.complaint


def test_the_group_and_the_command_explain_themselves(vissum):
    answer = vissum("evaluate", "--help")
    assert answer.code == 0
    assert "drop" in answer.out
    answer = vissum("evaluate", "drop", "--help")
    assert answer.code == 0
    assert "\n  vissum evaluate drop runs/photos\n" in answer.out
    assert "--json " in answer.out
    assert vissum("evaluate").code == 2
