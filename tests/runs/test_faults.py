"""Whatever happens to workers and files: in the end every part is there once, bit for bit."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import batch_worker
import pytest
from batch_worker import CONFIG, POINTS, VICTIM, finish, rows_of

from vissum_jax.runs.leases import LeaseConfig, this_machine
from vissum_jax.runs.log import EventLog
from vissum_jax.runs.store import LocalFolder, PartStore

PARTS = 3

pytestmark = pytest.mark.skipif(not this_machine(), reason="needs /proc to find the moment and to see who is dead")


@pytest.fixture
def start(tmp_path):
    """Starts a worker in a process of its own, and waits until it works."""
    processes = []
    paths = [str(Path(batch_worker.__file__).parent), str(Path(batch_worker.__file__).parents[1])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}

    def run(*options, folder=tmp_path):
        process = subprocess.Popen(
            [sys.executable, "-m", "batch_worker", str(folder), *map(str, options)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout.readline() == "works\n", process.stderr.read()
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A stage that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole")
    finish(folder, 12)
    return folder


def events(folder, kind="masks"):
    return [event for event in EventLog(folder / "log.jsonl").events() if event["event"] == kind]


def assert_whole(folder, whole, parts):
    """Every file of a stage is there as if nothing had happened, and no other.

    But for the lease of a worker that was killed when its part was done: it says nothing any more.
    """
    store = PartStore(folder / "masks")
    names = {path.name for path in store.folder.iterdir()}
    done = {store.name(number) for number in range(parts) if store.done(number)}
    names = {name for name in names if name.partition(".lease-")[0] not in done}
    assert names == {f"part-{number:05d}.{kind}" for number in range(parts) for kind in ("parquet", "done")}
    for name in names:
        assert (folder / "masks" / name).read_bytes() == (whole / "masks" / name).read_bytes(), name
    assert all(store.read(number).equals(rows_of(number)) for number in range(parts))


# Killed.


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_killed_at_any_commit_point_loses_and_doubles_nothing(start, tmp_path, whole, point):
    killed = start("--parts", PARTS, "--kill", point)
    assert killed.wait(30) == -signal.SIGKILL, "the moment came"
    done = {number for number in range(PARTS) if PartStore(tmp_path / "masks").done(number)}
    committed = POINTS.index(point) >= POINTS.index("after the marker's name")
    assert done == ({0, VICTIM} if committed else {0}), "a part counts from its marker's name on"
    began = time.monotonic()
    tally = finish(tmp_path, PARTS)
    assert time.monotonic() - began < CONFIG.expiry, "nobody waits for a dead process of this machine"
    assert tally == (PARTS - len(done), 40 * (PARTS - len(done)), 0)
    found = [event["found"] for event in events(tmp_path, "damaged")]
    half = POINTS.index("after the part's name") <= POINTS.index(point) < POINTS.index("after the marker's name")
    assert found == (["part without a marker"] if half else [])
    assert_whole(tmp_path, whole, PARTS)


def test_when_one_of_three_workers_is_killed_the_others_do_its_part(start, tmp_path, whole):
    workers = [start("--parts", 12, "--seconds", 0.1) for _ in range(3)]
    time.sleep(0.25)
    workers[1].send_signal(signal.SIGKILL)
    codes = [worker.wait(30) for worker in workers]
    assert codes == [0, -signal.SIGKILL, 0]
    assert {event["worker"].split(":")[1] for event in events(tmp_path)} >= {
        str(worker.pid) for worker in (workers[0], workers[2])
    }
    assert_whole(tmp_path, whole, 12)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_workers_killed_at_random_times_lose_and_double_nothing(start, tmp_path, whole, seed):
    chance = random.Random(seed)
    for _ in range(3):
        workers = [start("--parts", 12, "--seconds", 0.02) for _ in range(chance.choice([1, 2, 3]))]
        time.sleep(chance.uniform(0.0, 0.25))
        for worker in workers:
            worker.send_signal(signal.SIGKILL)
            worker.wait()
    finish(tmp_path, 12)
    assert_whole(tmp_path, whole, 12)
    # A kill between marker and event costs an event, and nothing makes one twice.
    assert max(Counter(event["part"] for event in events(tmp_path)).values()) == 1


# Several workers.


def test_three_workers_share_the_parts_and_none_is_computed_twice(start, tmp_path, whole):
    workers = [start("--parts", 12, "--seconds", 0.05) for _ in range(3)]
    assert [worker.wait(30) for worker in workers] == [0, 0, 0]
    assert sorted(event["part"] for event in events(tmp_path)) == list(range(12))
    assert len({event["worker"] for event in events(tmp_path)}) > 1
    assert_whole(tmp_path, whole, 12)


def test_of_two_workers_on_one_part_one_computes_it_and_the_other_waits(tmp_path, whole):
    busy, go_on, computed = threading.Event(), threading.Event(), []

    def slow(number):
        computed.append("first")
        busy.set()
        assert go_on.wait(30)
        return rows_of(number)

    first = threading.Thread(target=finish, args=(tmp_path, 1), kwargs={"work": slow})
    first.start()
    assert busy.wait(30)
    threading.Timer(0.2, go_on.set).start()
    noticed = []
    tally = finish(tmp_path, 1, work=computed.append, on_done=noticed.append)
    first.join()
    assert (tally, computed, noticed) == ((0, 0, 0), ["first"], [0])
    assert_whole(tmp_path, whole, 1)


def test_a_worker_that_was_taken_for_dead_throws_its_result_away(tmp_path, whole):
    quick = LeaseConfig(heartbeat=0.02, expiry=0.1, poll=0.01)
    deaf = LeaseConfig(heartbeat=60.0, expiry=180.0, poll=0.01)
    busy, go_on = threading.Event(), threading.Event()

    def suspended(number):
        busy.set()
        assert go_on.wait(30)
        return rows_of(number)

    first = threading.Thread(target=finish, args=(tmp_path, 1), kwargs={"work": suspended, "config": deaf})
    first.start()
    assert busy.wait(30)
    assert finish(tmp_path, 1, config=quick).parts == 1
    go_on.set()
    first.join()
    assert len(events(tmp_path)) == len(events(tmp_path, "lost")) == 1
    assert_whole(tmp_path, whole, 1)


# Files.


def lose_the_marker(store):
    store.marker(VICTIM).unlink()


def lose_the_part(store):
    store.part(VICTIM).unlink()


def truncate_the_part(store):
    os.truncate(store.part(VICTIM), store.part(VICTIM).stat().st_size // 2)


def truncate_the_marker(store):
    os.truncate(store.marker(VICTIM), 10)


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lose_the_marker, "part without a marker"),
        (lose_the_part, "marker without a part"),
        (truncate_the_part, "part and marker do not fit"),
        (truncate_the_marker, "marker damaged"),
    ],
)
def test_a_damaged_part_is_found_computed_again_and_reported(tmp_path, whole, damage, found):
    finish(tmp_path, PARTS)
    damage(PartStore(tmp_path / "masks"))
    assert finish(tmp_path, PARTS).parts == 1
    (event,) = events(tmp_path, "damaged")
    assert (event["stage"], event["part"], event["found"]) == ("masks", VICTIM, found)
    assert_whole(tmp_path, whole, PARTS)


def test_a_file_system_that_takes_half_a_part_stops_the_worker_and_loses_nothing(start, tmp_path, whole):
    limited = start("--parts", PARTS, "--file-limit", 2000)
    _, complaint = limited.communicate(timeout=30)
    assert limited.returncode == 1
    assert "File too large" in complaint
    left = [path.name for path in (tmp_path / "masks").iterdir()]
    assert left == [], "neither half a part nor a lease"
    (event,) = events(tmp_path, "failed")
    assert (event["part"], "File too large" in event["error"]) == (0, True)
    finish(tmp_path, PARTS)
    assert_whole(tmp_path, whole, PARTS)


def test_a_full_disk_stops_the_worker_even_if_it_cannot_say_so(tmp_path, whole, monkeypatch):
    finish(tmp_path, 1)

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device", "part-00001.parquet")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        patch.setattr(EventLog, "write", full)
        with pytest.raises(OSError, match="No space left on device: 'part-00001"):
            finish(tmp_path, PARTS)
    assert_whole(tmp_path, whole, 1)
    finish(tmp_path, PARTS)
    assert_whole(tmp_path, whole, PARTS)


def test_a_folder_that_turned_read_only_stops_the_worker_before_it_computes(tmp_path, whole, monkeypatch):
    finish(tmp_path, 1)
    computed = []
    with monkeypatch.context() as patch:

        def read_only(self, name, data):
            raise OSError(errno.EROFS, "Read-only file system", name)

        patch.setattr(LocalFolder, "create", read_only)
        with pytest.raises(OSError, match="Read-only file system"):
            finish(tmp_path, PARTS, work=computed.append)
    assert computed == []
    assert_whole(tmp_path, whole, 1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_one_may_not_write_into_stops_the_worker(tmp_path):
    finish(tmp_path, 1)
    (tmp_path / "masks").chmod(0o555)
    try:
        with pytest.raises(PermissionError):
            finish(tmp_path, PARTS)
    finally:
        (tmp_path / "masks").chmod(0o755)


def test_a_log_line_that_was_cut_off_costs_itself_alone(tmp_path):
    finish(tmp_path, 1)
    with open(tmp_path / "log.jsonl", "ab") as file:
        file.write(b'{"time": 17')
    finish(tmp_path, 2)
    assert [event["part"] for event in events(tmp_path)] == [0, 1]
    assert len([json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines() if line[-1] == "}"]) == 2


# A long run.


def test_a_worker_that_is_told_to_stop_finishes_its_part_and_says_what_is_left(tmp_path, whole):
    asked = []

    def work(number):
        asked.append(number)
        return rows_of(number)

    tally = finish(tmp_path, PARTS, work=work, stop=lambda: bool(asked))
    assert tally == (1, 40, 2)
    assert_whole(tmp_path, whole, 1)
    finish(tmp_path, PARTS)
    assert_whole(tmp_path, whole, PARTS)


def test_a_worker_that_waits_for_another_stops_when_told(tmp_path):
    folder = LocalFolder(tmp_path / "masks")
    folder.create("part-00000.lease-0", b"")
    asks = iter([False] * 10 + [True] * 10)
    assert finish(tmp_path, 1, stop=lambda: next(asks)) == (0, 0, 1)
