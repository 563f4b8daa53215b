import errno
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import toys
from PIL import Image

from vissum_jax.pipeline import open_run, stages
from vissum_jax.runs import store

RESUMABLE = "what was finished is kept, the same command goes on from there."


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr("vissum_jax.pipeline.run.SHARD_SIZE", 3)


def mask_rows(run):
    return {row["image"]: row for row in open_run(run).mask_rows().to_pylist()}


# What a run prints.


def test_json_is_one_object_on_standard_output_and_progress_is_on_standard_error(vissum, command, tmp_path):
    answer = vissum(*command, "--json")
    assert answer.code == 0
    values = json.loads(answer.out)
    assert values["run"] == str(tmp_path / "run")
    assert Path(values["report"]).is_file()
    assert [result["class_name"] for result in values["classes"]] == ["red disc", "green square"]
    assert [result["statuses"] for result in values["classes"]] == [{"ok": 4}, {"ok": 4}]
    assert all(result["summaries_kept"] >= 1 for result in values["classes"])
    assert values["failed"] == []
    assert values["seconds"] > 0
    assert values["peak_memory_bytes"] > 2**20
    stages_shown = [stage for stage, _ in itertools.groupby(line.split(":")[0] for line in answer.err.splitlines())]
    assert stages_shown == ["masks", *["proposals", "matches", "importance"] * 2, "report"]


def test_for_people_there_is_a_table_and_the_place_of_the_report(vissum, command, tmp_path):
    answer = vissum(*command)
    assert answer.code == 0
    assert "red disc" in answer.out
    assert answer.out.splitlines()[-1] == f"Report: {tmp_path / 'run' / 'report' / 'index.html'}"


def test_the_same_command_goes_on_and_answers_the_same(vissum, command, monkeypatch):
    first = json.loads(vissum(*command, "--json").out)
    monkeypatch.setattr(stages, "extract", None)
    monkeypatch.setattr(stages, "summarize_images", None)
    second = json.loads(vissum(*command, "--json").out)
    assert second["classes"] == first["classes"]


def test_options_win_over_the_configuration_file(vissum, photos, tmp_path):
    path = tmp_path / "all.toml"
    path.write_text(f'images = "{photos}"\nmodel = "{toys.MODEL}"\nlimit = 3\nclasses = ["red disc"]\n' + toys.SETTINGS)
    answer = vissum("run", "--config", path, "--out", tmp_path / "run", "--limit", 1, "--classes", "1, red_disc")
    assert answer.code == 0
    assert list(mask_rows(tmp_path / "run")) == ["red_disc/0.png", "green_square/0.png"]


def test_classes_of_the_configuration_file_are_taken(vissum, photos, tmp_path):
    path = tmp_path / "some.toml"
    path.write_text('limit = 1\nclasses = ["red disc"]\n' + toys.SETTINGS)
    answer = vissum("run", photos, "--model", toys.MODEL, "--config", path, "--out", tmp_path / "run")
    assert answer.code == 0
    assert list(mask_rows(tmp_path / "run")) == ["red_disc/0.png"]


# Bad usage: one line that names the value and the remedy, nothing left behind.


@pytest.fixture
def refused(vissum, photos, tmp_path):
    """Runs a command that must be refused; gives its complaint."""

    def run(*arguments, images=photos, model=toys.MODEL):
        model = ("--model", model) if model else ()
        images = (images,) if images else ()
        answer = vissum("run", *images, *model, "--out", tmp_path / "refused", *arguments)
        assert answer.code == 2
        assert answer.out == ""
        assert not (tmp_path / "refused").exists()
        return answer.complaint

    return run


def test_a_missing_folder_is_named(refused):
    assert refused(images="no/such/folder").endswith("no/such/folder'.")


def test_a_file_is_no_folder(refused, photos):
    assert "0.png' is not a folder of class folders" in refused(images=photos / "red_disc" / "0.png")


def test_a_missing_model_is_asked_for(refused):
    assert refused(model=None) == (
        "vissum: error: --model is missing; give it on the command line or in the configuration."
    )


def test_missing_images_are_asked_for(refused):
    assert "IMAGES is missing" in refused(images=None)


def test_an_unknown_model_is_named_with_the_nearest(refused):
    complaint = refused(model="googlenet-bvcl")
    assert "'googlenet-bvcl' is unknown; did you mean 'googlenet-bvlc'?" in complaint


def test_a_model_function_that_is_not_there_is_named(refused):
    assert "no module 'toyz' on the Python path" in refused(model="toyz:make_classifier")
    assert "module 'toys' has no function 'make'" in refused(model="toys:make")


def test_an_unknown_preset_is_named_with_the_nearest(refused):
    assert "unknown preset 'papre': did you mean 'paper'?" in refused("--preset", "papre")


def test_an_unknown_class_is_named_with_the_nearest(refused):
    assert "'red disk' names no class of toy; did you mean 'red_disc'?" in refused("--classes", "red disk")


def test_no_class_is_not_all_classes(refused):
    assert "names no class of toy" in refused("--classes", "")


def test_an_empty_class_is_named(refused, photos, tmp_path):
    own = shutil.copytree(photos, tmp_path / "own")
    (own / "blue_bar").mkdir()
    assert "Class folder 'blue_bar' holds no pictures." in refused(images=own)


@pytest.mark.parametrize("name", ["--limit", "--batch-size"])
def test_numbers_are_at_least_one(refused, name):
    assert "must be at least 1, got 0." in refused(name, "0")


def test_missing_weights_are_asked_for(refused):
    assert "`weights` of 'googlenet-bvlc' are not installed; name a file." in refused(model="googlenet-bvlc")


def test_a_missing_weight_file_is_named(refused):
    assert "none.npz" in refused("--weights", "none.npz", model="googlenet-bvlc")


def test_weights_of_another_network_are_refused(refused, tmp_path):
    arrays = {"features.0.weight": np.zeros((64, 3, 3, 3), np.float32), "fc.bias": np.zeros(10, np.float32)}
    np.savez(tmp_path / "other.npz", **arrays)
    complaint = refused("--weights", tmp_path / "other.npz", model="squeezenet1_1")
    assert "other.npz does not fit 'squeezenet1_1': " in complaint
    assert len(complaint) < 1000


def test_a_file_that_holds_no_weights_is_refused(refused, tmp_path):
    (tmp_path / "page.npz").write_bytes(b"<html>not found</html>")
    assert "page.npz" in refused("--weights", tmp_path / "page.npz", model="squeezenet1_1")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("preset = ", "bad.toml' is not TOML: "),
        ("[mask]\nsteps = 3", "unknown setting `mask`: did you mean 'masks'?"),
        ("[masks]\nstep = 3", "unknown setting `masks.step`: did you mean 'steps'?"),
        ("[masks]\nsteps = 0", "`steps` must be positive, got 0."),
        ("[masks]\nsteps = 'many'", "`masks.steps` must be of type int, got 'many'."),
        ("masks = 3", "`masks` must be a table, got 3."),
        ("limit = '3'", "`limit` must be a whole number, got '3'."),
        ("classes = 'red disc'", "`classes` must be a list of texts, got 'red disc'."),
    ],
)
def test_a_bad_configuration_file_is_refused(refused, tmp_path, text, complaint):
    (tmp_path / "bad.toml").write_text(text)
    assert complaint in refused("--config", tmp_path / "bad.toml")


def test_a_missing_configuration_file_is_named(refused):
    assert "No configuration file 'none.toml'." in refused("--config", "none.toml")


def test_a_run_with_another_configuration_is_refused_with_what_changed(vissum, command, tmp_path):
    assert vissum(*command, "--limit", 2).code == 0
    before = mask_rows(tmp_path / "run")
    answer = vissum(*command, "--limit", 3)
    assert answer.code == 2
    assert "name another folder with --out" in answer.complaint
    assert "run.limit: 2 -> 3" in answer.complaint
    assert mask_rows(tmp_path / "run") == before


def test_a_folder_that_is_no_run_is_refused(vissum, command, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("x")
    answer = vissum(*command)
    assert answer.code == 2
    assert "is not a RUN folder" in answer.complaint
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.tex"]


def test_a_damaged_manifest_is_named(vissum, command, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "manifest.json").write_text("{")
    answer = vissum(*command)
    assert answer.code == 2
    assert "manifest.json' is damaged" in answer.complaint


# Photographs that are not as they should be.


def test_one_photograph_of_a_class_is_a_run_with_a_reason(vissum, settings, tmp_path):
    photos = toys.write_photographs(tmp_path / "one", {0: 1})
    answer = vissum("run", photos, "--model", toys.MODEL, "--config", settings, "--out", tmp_path / "run", "--json")
    assert answer.code == 0
    (result,) = json.loads(answer.out)["classes"]
    assert result["summaries_kept"] == 0
    assert result["reason"] == "1 image(s) with salient proposals, a summary needs 3"
    assert result["reason"] in (tmp_path / "run" / "report" / "classes" / "0" / "index.html").read_text("utf-8")


HOSTILE = ("<script>alert(1)<!--.png", "new\nline.png", "größe [red].png", "\u202e\x1b[31m.png")


@pytest.fixture(scope="module")
def odd_photos(tmp_path_factory):
    """One class with every kind of file that people have."""
    root = toys.write_photographs(tmp_path_factory.mktemp("odd"), {0: 3})
    folder = root / "red_disc"
    picture = Image.fromarray(toys.photograph(0, 9))
    picture.convert("L").save(folder / "grey.png")
    picture.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    deep = np.asarray(picture.convert("L")).astype(np.uint16) * 257
    Image.fromarray(deep).save(folder / "deep.png")
    picture.save(folder / "whole.jpg", quality=95)
    data = (folder / "whole.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(data[: len(data) // 2])
    picture.resize((1, 1)).save(folder / "pixel.png")
    wide = Image.new("RGB", (40 * toys.SIDE, toys.SIDE), (120, 120, 120))
    wide.paste(picture, (20 * toys.SIDE, 0))
    wide.save(folder / "panorama.png")
    (folder / "text.jpg").write_text("this is no picture")
    (folder / "empty.jpg").write_bytes(b"")
    for name in HOSTILE:
        picture.save(folder / name)
    return root


UNREADABLE = {
    "truncated.jpg": "truncated",
    "pixel.png": "1 x 1 pixels",
    "text.jpg": "not a picture of a known kind",
    "empty.jpg": "the file is empty",
}


@pytest.fixture(scope="module")
def odd_run(odd_photos, settings, tmp_path_factory):
    """The answer of one run over all of them."""
    run = tmp_path_factory.mktemp("odd-runs") / "run"
    arguments = ["vissum", "run", str(odd_photos), "--model", toys.MODEL, "--config", str(settings), "--out", str(run)]
    return run, arguments


def test_files_that_cannot_be_read_are_rows_and_named_and_the_rest_is_done(vissum, odd_run):
    run, arguments = odd_run
    answer = vissum(*arguments[1:], "--json")
    assert answer.code == 1
    assert "Traceback" not in answer.err
    failed = dict(json.loads(answer.out)["failed"])
    assert set(failed) == {f"red_disc/{name}" for name in UNREADABLE}
    rows = mask_rows(run)
    for name, reason in UNREADABLE.items():
        row = rows[f"red_disc/{name}"]
        assert (row["status"], row["rle"], row["predicted_index"]) == ("unreadable", None, None)
        assert reason in row["reason"] == failed[f"red_disc/{name}"]
        assert "\n" not in row["reason"]
    read = {
        name.removeprefix("red_disc/"): row["status"] for name, row in rows.items() if row["status"] != "unreadable"
    }
    assert read.pop("grey.png") == read.pop("deep.png") == "skipped_prediction", "without its colour a toy is none"
    assert set(read) == {"0.png", "1.png", "2.png", "cmyk.jpg", "whole.jpg", "panorama.png", *HOSTILE}
    assert set(read.values()) == {"ok"}


def test_what_failed_is_named_for_people_too_a_line_each(vissum, odd_run):
    answer = vissum(*odd_run[1][1:])
    assert answer.code == 1
    lines = [line for line in answer.out.splitlines() if line.startswith("failed: ")]
    assert {line.split(": ")[1] for line in lines} == {f"red_disc/{name}" for name in UNREADABLE}


def test_hostile_names_reach_the_report_as_text(vissum, odd_run):
    run, arguments = odd_run
    vissum(*arguments[1:])
    pages = {path: path.read_text(encoding="utf-8") for path in (run / "report").rglob("*.html")}
    assert not any("<script>alert" in page for page in pages.values())
    shown = pages[run / "report" / "classes" / "0" / "index.html"]
    assert "&lt;script&gt;alert(1)&lt;!--.png" in shown
    assert "größe [red].png" in shown


def test_hostile_names_reach_the_terminal_as_one_line_without_control_characters(vissum, settings, tmp_path):
    photos = toys.write_photographs(tmp_path / "photos", {0: 1})
    (photos / "red_disc" / "new\nline \x1b[31m [red] größe.png").write_bytes(b"")
    answer = vissum("run", photos, "--model", toys.MODEL, "--config", settings, "--out", tmp_path / "run")
    assert answer.code == 1
    assert answer.out.splitlines()[-2] == (r"failed: red_disc/new\nline \x1b[31m [red] größe.png: the file is empty")


# Interruptions.


def fail_at_call(number, function, failure):
    calls = []

    def work(*args, **options):
        calls.append(args)
        if len(calls) == number:
            raise failure
        return function(*args, **options)

    return work


def test_a_users_break_ends_in_one_line_and_the_command_goes_on(vissum, command, monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        patch.setattr(stages, "extract", fail_at_call(2, stages.extract, KeyboardInterrupt()))
        answer = vissum(*command, "--json")
    assert (answer.code, answer.out) == (130, "")
    assert answer.complaint == f"vissum: interrupted; {RESUMABLE}"
    assert (tmp_path / "run" / "masks" / "part-00000.done").exists()
    assert vissum(*command, "--json").code == 0


def test_a_break_while_the_network_loads_ends_in_one_line_too(vissum, command, monkeypatch):
    monkeypatch.setattr("vissum_jax.pipeline.run.load_classifier", fail_at_call(1, None, KeyboardInterrupt()))
    answer = vissum(*command)
    assert answer.code == 130
    assert answer.complaint.startswith("vissum: interrupted")


def test_a_full_disk_ends_in_one_line_and_the_command_goes_on(vissum, command, monkeypatch, tmp_path):
    full = OSError(errno.ENOSPC, "No space left on device", "part-00001.parquet")
    with monkeypatch.context() as patch:
        patch.setattr(
            store.os, "fsync", fail_at_call(7, os.fsync, full)
        )  # after two for each of manifest, part and marker
        answer = vissum(*command, "--json")
    assert (answer.code, answer.out) == (1, "")
    assert answer.complaint == (
        f"vissum: stopped: [Errno 28] No space left on device: 'part-00001.parquet'; {RESUMABLE}"
    )
    assert sorted(path.name for path in (tmp_path / "run" / "masks").iterdir()) == [
        *("part-00000.done", "part-00000.parquet")
    ]
    assert vissum(*command, "--json").code == 0
    assert len(mask_rows(tmp_path / "run")) == 8


KILLED = """
import os, signal, sys
from vissum_jax.cli.main import main
from vissum_jax.pipeline import run
from vissum_jax.runs import store

run.SHARD_SIZE = 3
fsync = os.fsync

def killed_while_writing_the_second_part(handle):
    # The first name under which the second part's bytes are.
    if os.path.basename(os.readlink(f"/proc/self/fd/{handle}")).startswith(".part-00001.parquet"):
        os.kill(os.getpid(), signal.SIGKILL)
    fsync(handle)

store.os.fsync = killed_while_writing_the_second_part
main()
"""


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc to find the moment")
def test_a_killed_run_goes_on_with_the_same_command_and_ends_the_same(vissum, command, tmp_path):
    paths = [str(Path(toys.__file__).parent), str(Path(toys.__file__).parents[1])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "JAX_PLATFORMS": "cpu"}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *map(str, command)], env=environment, capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    left = sorted(path.name for path in (tmp_path / "run" / "masks").iterdir())
    assert len(left) == 4
    assert left[1:] == ["part-00000.done", "part-00000.parquet", "part-00001.lease-0"], "and a file being written"

    assert vissum(*command).code == 0
    assert vissum(*command[:-1], tmp_path / "other").code == 0
    one, other = (open_run(tmp_path / name) for name in ("run", "other"))
    assert one.mask_rows().equals(other.mask_rows())
    assert [one.class_result(c) for c in (0, 1)] == [other.class_result(c) for c in (0, 1)]
    assert {path.name for path in (tmp_path / "run" / "masks").iterdir()} == {
        path.name for path in (tmp_path / "other" / "masks").iterdir()
    }, "nothing that the kill left is left"


# Labels that do not fit.


def test_a_network_that_does_not_answer_its_labels_is_stopped_before_the_first_mask(vissum, settings, tmp_path):
    photos = toys.write_photographs(tmp_path / "photos", {0: 4, 2: 4})
    command = (
        "run",
        photos,
        "--model",
        "toys:make_swapped_classifier",
        "--config",
        settings,
        "--out",
        tmp_path / "run",
    )
    answer = vissum(*command)
    assert answer.code == 2
    assert answer.complaint.startswith(
        "vissum: error: label check: 'toy', answers 0 of 8 labelled images correctly; likely"
    )
    assert "its channels are read as blue, green, red (so read, 100% would be right)" in answer.complaint
    assert not (tmp_path / "run" / "masks").exists()
    assert vissum(*command, "--no-preflight").code == 0
    assert {row["status"] for row in mask_rows(tmp_path / "run").values()} == {"skipped_prediction"}
