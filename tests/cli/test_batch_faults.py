"""Whole runs in processes that are killed or asked to stop: in the end the rows are those of an undisturbed run."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import toys

from vissum_jax.pipeline import open_run
from vissum_jax.runs.leases import this_machine

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not this_machine(), reason="needs /proc to see who is dead"),
]

SHARD = 2
PATIENCE = 900
"""Seconds for what takes half a minute: a machine may be busy with something else."""
COMMAND = "from vissum_jax.cli.main import main; main()"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Photographs and settings."""
    root = tmp_path_factory.mktemp("place")
    toys.write_photographs(root / "photos", {0: 6, 1: 6})
    (root / "toys.toml").write_text(toys.SETTINGS)
    return root


@pytest.fixture(scope="module")
def start(place):
    """Starts ``vissum ARGUMENTS..`` in a process of its own."""
    paths = [str(Path(toys.__file__).parent), str(Path(toys.__file__).parents[1])]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "JAX_PLATFORMS": "cpu",
    }
    processes = []

    def run(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, *map(str, arguments)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def run_command(place, out, *options):
    return (
        *("run", place / "photos", "--model", toys.MODEL, "--config", place / "toys.toml", "--out", out),
        *("--shard-size", SHARD, "--json", *options),
    )


def finish(process):
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    return json.loads(out)


@pytest.fixture(scope="module")
def undisturbed(place, start):
    """A run by one process to which nothing happens."""
    finish(start(*run_command(place, place / "undisturbed")))
    return place / "undisturbed"


def assert_same_rows(run, undisturbed):
    one, other = open_run(run), open_run(undisturbed)
    assert one.mask_rows().equals(other.mask_rows())
    for class_index in one.manifest.classes:
        assert one.summaries.read(class_index).equals(other.summaries.read(class_index), check_metadata=True)


def until(condition, process):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def done_parts(run):
    return len(list((run / "masks").glob("*.done")))


def test_two_workers_find_bit_for_bit_what_one_finds(place, start, undisturbed, tmp_path):
    values = finish(start(*run_command(place, tmp_path / "run", "--workers", 2)))
    assert [result["statuses"] for result in values["classes"]] == [{"ok": 6}, {"ok": 6}]
    assert_same_rows(tmp_path / "run", undisturbed)
    assert list((tmp_path / "run").rglob("*.lease-*")) == []


def test_workers_on_a_ray_cluster_find_bit_for_bit_what_one_finds(place, start, undisturbed, tmp_path):
    pytest.importorskip("ray", reason="ray is not installed: it comes with the [ray] extra")
    values = finish(start(*run_command(place, tmp_path / "run", "--engine", "ray", "--workers", 1)))
    assert [result["statuses"] for result in values["classes"]] == [{"ok": 6}, {"ok": 6}]
    assert_same_rows(tmp_path / "run", undisturbed)


def test_when_one_of_three_workers_is_killed_the_others_finish(place, start, undisturbed, tmp_path):
    run = tmp_path / "run"
    first = start(*run_command(place, run))
    until(lambda: (run / "manifest.json").exists(), first)
    others = [start("worker", run, "--json") for _ in range(2)]
    until(lambda: done_parts(run) >= 2, first)
    others[0].kill()
    finish(first)
    finish(others[1])
    assert_same_rows(run, undisturbed)


def test_when_the_first_process_is_killed_its_workers_end_and_the_same_command_goes_on(
    place, start, undisturbed, tmp_path
):
    run = tmp_path / "run"
    command = run_command(place, run, "--workers", 2)
    first = start(*command)
    until(lambda: done_parts(run) >= 1, first)
    first.kill()
    first.wait()
    finish(start(*command))
    assert_same_rows(run, undisturbed)


def test_a_shared_run_asked_to_stop_says_what_is_left(place, start, undisturbed, tmp_path):
    run = tmp_path / "run"
    command = run_command(place, run, "--workers", 2)
    first = start(*command)
    until(lambda: done_parts(run) >= 1, first)
    first.send_signal(signal.SIGTERM)
    values = finish(first)
    assert values["stopped"]
    assert values["left"] == {"masks": 6 - done_parts(run), "summaries": 2 - len(list(run.glob("summaries/*.done")))}
    assert list(run.rglob("*.lease-*")) == []
    finish(start(*command))
    assert_same_rows(run, undisturbed)


@pytest.mark.parametrize("seed", range(5))
def test_runs_killed_at_random_times_end_like_an_undisturbed_one(place, start, undisturbed, tmp_path, seed):
    chance = random.Random(seed)
    for _ in range(3):
        process = start(*run_command(place, tmp_path / "run"))
        time.sleep(chance.uniform(2.0, 15.0))
        process.kill()
        process.wait()
    finish(start(*run_command(place, tmp_path / "run")))
    assert_same_rows(tmp_path / "run", undisturbed)
