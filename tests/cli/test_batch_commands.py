"""Runs that are shared, stopped, looked at and tried again, from the command line."""

import json
import os
import shutil
import signal

import pytest
import toys
from PIL import Image

from vissum_jax.cli import run as run_module
from vissum_jax.cli import worker as worker_module
from vissum_jax.pipeline import open_run, stages
from vissum_jax.runs.local import DeviceGroup


@pytest.fixture
def small(command):
    """The run in parts of three photographs."""
    return (*command, "--shard-size", 3)


def asked_at_call(number, function):
    """A function during whose n-th call the process gets SIGTERM, twice, as schedulers send it."""
    calls = []

    def work(*arguments, **options):
        calls.append(1)
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
        return function(*arguments, **options)

    return work


def leases(run):
    return list(run.rglob("*.lease-*"))


def assert_same_rows(one, other):
    one, other = open_run(one), open_run(other)
    assert one.mask_rows().equals(other.mask_rows())
    for class_index in one.manifest.classes:
        assert one.summaries.read(class_index).equals(other.summaries.read(class_index), check_metadata=True)


# Asked to stop.


def test_a_run_asked_to_stop_finishes_its_part_says_what_is_left_and_goes_on_later(
    vissum, small, monkeypatch, tmp_path
):
    run, before = tmp_path / "run", signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr(stages, "extract", asked_at_call(2, stages.extract))
        answer = vissum(*small, "--json")
    assert answer.code == 0
    assert json.loads(answer.out) == {"run": str(run), "stopped": True, "left": {"masks": 1, "summaries": 2}}
    assert sorted(path.name for path in (run / "masks").glob("*.done")) == ["part-00000.done", "part-00001.done"]
    assert leases(run) == []
    assert signal.getsignal(signal.SIGTERM) is before

    with monkeypatch.context() as patch:
        patch.setattr(stages, "summarize_images", asked_at_call(1, stages.summarize_images))
        answer = vissum(*small)
    assert answer.code == 0
    assert answer.out.startswith("stopped as asked; left: 0 mask part(s) and the summaries of 1 class(es). The same")
    ends = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines() if '"end"' in line]
    assert [(end["mask_parts"], end["images"], end["classes"], end["left"]) for end in ends] == [
        (2, 6, 0, {"masks": 1, "summaries": 2}),
        (1, 2, 1, {"masks": 0, "summaries": 1}),
    ]

    assert json.loads(vissum(*small, "--json").out)["failed"] == []
    assert vissum(*small[:-4], "--out", tmp_path / "whole", "--shard-size", 3).code == 0
    assert_same_rows(run, tmp_path / "whole")


def test_each_stage_alone_can_be_asked_to_stop_too(vissum, small, monkeypatch, tmp_path):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(stages, "extract", asked_at_call(1, stages.extract))
        assert vissum(*small).code == 0
        patch.setattr(stages, "extract", asked_at_call(1, stages.extract))
        answer = vissum("masks", run, "--json")
        assert (answer.code, json.loads(answer.out)) == (
            0,
            {"masks": str(run / "masks"), "stopped": True, "left": 1},
        )
        assert vissum("masks", run).code == 0
        patch.setattr(stages, "summarize_images", asked_at_call(1, stages.summarize_images))
        answer = vissum("summarize", run)
    assert (answer.code, answer.out) == (
        0,
        "stopped as asked; left: 1 class(es). The same command goes on from there.\n",
    )


# Several workers.


@pytest.fixture
def without_processes(monkeypatch):
    """A shared run within this process; tests/cli/test_batch_faults.py starts the real ones."""
    monkeypatch.setattr(run_module, "apart", lambda function, *arguments: function(*arguments))
    monkeypatch.setattr(run_module, "divide", lambda workers, **machine: [DeviceGroup()] * workers)


def test_workers_share_a_run_and_its_first_process_writes_the_report(
    vissum, small, without_processes, monkeypatch, tmp_path
):
    def one_after_the_other(target, arguments, groups, *, stop, watch, on_restart):
        return [(target(*arguments), watch())[0] for _ in groups]

    monkeypatch.setattr(worker_module, "run_workers", one_after_the_other)
    answer = vissum(*small, "--workers", 2, "--json")
    assert answer.code == 0
    values = json.loads(answer.out)
    assert values["report"] == str(tmp_path / "run" / "report" / "index.html")
    assert [result["statuses"] for result in values["classes"]] == [{"ok": 4}, {"ok": 4}]
    shown = [line.split(" in ")[0] for line in answer.err.splitlines() if "about" not in line]
    assert shown == ["masks: 8/8", "summaries: 2/2", "report: 2/2"]


def test_a_worker_works_on_a_run_that_was_started(vissum, small, monkeypatch, tmp_path):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(stages, "extract", asked_at_call(1, stages.extract))
        assert vissum(*small).code == 0
        patch.setattr(stages, "extract", asked_at_call(1, stages.extract))
        answer = vissum("worker", run, "--json")
        assert json.loads(answer.out) == {"run": str(run), "stopped": True, "left": {"masks": 1, "summaries": 2}}
    assert json.loads(vissum("worker", run, "--json").out) == {
        "run": str(run),
        "stopped": False,
        "left": {"masks": 0, "summaries": 0},
    }
    assert vissum("worker", run).out == f"masks and summaries are done: {run}\n"


def test_more_workers_than_devices_are_refused_before_anything_is_written(vissum, command, tmp_path):
    for workers in (0, 10_000):
        answer = vissum(*command, "--workers", workers)
        assert answer.code == 2
        assert answer.complaint.startswith("vissum: error: `workers` must be at ")
        assert not (tmp_path / "run").exists()


def test_labels_that_do_not_fit_stop_shared_runs_too(vissum, settings, without_processes, tmp_path):
    photos = toys.write_photographs(tmp_path / "photos", {0: 4, 2: 4})
    answer = vissum(
        *("run", photos, "--model", "toys:make_swapped_classifier", "--config", settings, "--out", tmp_path / "run"),
        *("--workers", 2),
    )
    assert answer.code == 2
    assert answer.complaint.startswith("vissum: error: label check: 'toy', answers 0 of 8")


def test_when_all_workers_die_the_command_says_so(vissum, small, without_processes, monkeypatch):
    monkeypatch.setattr(worker_module, "run_workers", lambda *arguments, **options: [-9, 1])
    answer = vissum(*small, "--workers", 2)
    assert answer.code == 1
    said = [line for line in answer.err.splitlines() if line.startswith("vissum: ")]
    assert said[:2] == [
        "vissum: worker 0 of 2 was killed by signal 9",
        "vissum: worker 1 of 2 ended with exit code 1",
    ]
    assert said[2].startswith("vissum: stopped: no worker is left, but 3 mask part(s) and the summaries of 2 class(es)")


def test_a_worker_that_is_started_again_is_in_the_log(vissum, small, without_processes, monkeypatch, tmp_path):
    def dies_once(*arguments, on_restart, **options):
        on_restart(1, -9)
        return [-9, -9]

    monkeypatch.setattr(worker_module, "run_workers", dies_once)
    answer = vissum(*small, "--workers", 2)
    assert "vissum: worker 1 was killed by signal 9 and is started again" in answer.err.splitlines()
    (event,) = [event for event in open_run(tmp_path / "run").log.events() if event["event"] == "restart"]
    assert (event["worker_number"], event["signal"]) == (1, 9)


# A Ray cluster.


def test_without_ray_the_engine_says_how_to_install_it(vissum, small, monkeypatch):
    monkeypatch.setattr(worker_module.importlib.util, "find_spec", lambda name: None)
    answer = vissum(*small, "--engine", "ray")
    assert answer.code == 2
    assert answer.complaint == "vissum: error: --engine ray needs Ray: pip install 'vissum-jax[ray]'."


def test_an_address_of_a_cluster_is_of_use_with_ray_alone(vissum, small):
    answer = vissum(*small, "--ray-address", "10.0.0.1:6379")
    assert answer.code == 2
    assert "--ray-address is of use with --engine ray alone" in answer.complaint


# The size of parts.


def test_the_size_of_parts_is_the_runs_own(vissum, small, command, tmp_path):
    assert vissum(*small).code == 0
    assert open_run(tmp_path / "run").manifest.shards == ((0, 3), (3, 6), (6, 8))
    assert vissum(*command).code == 0, "it need not be said again"
    answer = vissum(*command, "--shard-size", 4)
    assert answer.code == 2
    assert "shard_size: 3 -> 4" in answer.complaint


def test_a_part_of_no_images_is_refused(vissum, command, tmp_path):
    answer = vissum(*command, "--shard-size", 0)
    assert answer.code == 2
    assert "`shard_size` must be at least 1, got 0." in answer.complaint
    assert not (tmp_path / "run").exists()


# Status and retry.


@pytest.fixture
def broken(vissum, settings, photos, tmp_path):
    """A finished run with a file that is no picture."""
    own = shutil.copytree(photos, tmp_path / "own")
    (own / "red_disc" / "broken.png").write_bytes(b"<html>")
    answer = vissum("run", own, "--model", toys.MODEL, "--config", settings, "--out", tmp_path / "run")
    assert answer.code == 1
    return tmp_path / "run"


def test_what_failed_is_shown_and_can_be_tried_again_once_it_is_put_right(vissum, broken, tmp_path):
    found = json.loads(vissum("status", broken, "--json").out)
    assert (found["finished"], found["images"], found["done"]) == (True, 9, 9)
    assert [image for image, _ in found["failed"]] == ["red_disc/broken.png"]
    shown = vissum("status", broken)
    assert shown.code == 0
    lines = [line.split() for line in shown.out.splitlines()]
    assert ["masks", "1", "1", "0", "0", "-"] in lines
    assert ["red", "disc", "5", "5", "1", "done"] in lines
    assert any(line.startswith("failed: red_disc/broken.png: ") for line in shown.out.splitlines())
    assert shown.out.splitlines()[-1] == f"Report: {broken / 'report' / 'index.html'}"

    answer = vissum("retry", broken)
    assert answer.code == 1
    assert answer.out.splitlines()[0] == "0 of 1 failed image(s) recovered"

    Image.fromarray(toys.photograph(0, 9)).save(tmp_path / "own" / "red_disc" / "broken.png")
    answer = vissum("retry", broken, "--json")
    assert answer.code == 0
    values = json.loads(answer.out)
    assert values["retried"] == {"images": 1, "recovered": 1, "classes": [0]}
    assert values["failed"] == []
    assert values["classes"][0]["statuses"] == {"ok": 5}
    assert json.loads(vissum("status", broken, "--json").out)["failed"] == []


def test_the_status_of_a_stopped_run_says_what_is_left(vissum, small, monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        patch.setattr(stages, "extract", asked_at_call(1, stages.extract))
        assert vissum(*small).code == 0
    shown = vissum("status", tmp_path / "run")
    assert ["masks", "3", "1", "0", "2", "-"] in [line.split() for line in shown.out.splitlines()]
    assert shown.out.splitlines()[-1] == "3 of 8 images done."


@pytest.mark.parametrize("name", ["status", "retry", "worker"])
def test_a_folder_that_is_no_run_is_named(vissum, tmp_path, name):
    answer = vissum(name, tmp_path / "nowhere")
    assert answer.code == 2
    assert "nowhere' is not a RUN folder" in answer.complaint


@pytest.mark.parametrize("name", ["status", "retry", "worker"])
def test_every_command_explains_itself_with_an_example(vissum, name):
    answer = vissum(name, "--help")
    assert answer.code == 0
    assert f"\n  vissum {name} " in answer.out
    assert "--json " in answer.out
