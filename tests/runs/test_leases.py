import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from vissum_jax.runs import leases as module
from vissum_jax.runs.leases import LeaseConfig, Leases, Owner, holder, this_machine
from vissum_jax.runs.store import LocalFolder

QUICK = LeaseConfig(heartbeat=0.02, expiry=0.3, poll=0.01)
HOUR = 3600

needs_proc = pytest.mark.skipif(not this_machine(), reason="needs /proc to tell a dead process")


@pytest.fixture
def folder(tmp_path):
    return LocalFolder(tmp_path / "masks")


def names(folder):
    return sorted(path.name for path in folder.path.iterdir())


def lease_of(folder, owner, generation=0):
    """A lease that somebody else left or holds."""
    folder.path.mkdir(exist_ok=True)
    path = folder.path / f"part.lease-{generation}"
    path.write_text(json.dumps(dataclasses.asdict(owner)))
    return path


ELSEWHERE = dataclasses.replace(Owner.this_process(), worker="other", host="elsewhere", machine="another boot")


def taken_within(leases, seconds):
    """The lease, if it becomes free in this time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        lease = leases.take("part")
        if lease is not None:
            return lease
        time.sleep(QUICK.poll)
    return None


# One holder.


def test_a_lease_has_one_holder_until_it_is_given_back(folder):
    with Leases(folder, QUICK) as one, Leases(folder, QUICK) as other:
        with one.take("part") as lease:
            assert lease.held()
            assert other.take("part") is None
            assert other.take("another part") is not None
        with other.take("part"):
            assert names(folder) == ["another part.lease-0", "part.lease-0"]


def test_nothing_is_left_of_a_lease_that_was_given_back(folder):
    with Leases(folder, QUICK) as leases:
        with pytest.raises(RuntimeError), leases.take("part"):
            raise RuntimeError
        assert names(folder) == []


def test_of_many_who_try_at_once_one_succeeds(folder):
    for round_number in range(20):
        start, got = threading.Barrier(8), []

        def attempt(start=start, got=got, name=f"part-{round_number}"):
            leases = Leases(folder, QUICK)
            start.wait()
            got.append(leases.take(name))

        threads = [threading.Thread(target=attempt) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(lease is not None for lease in got) == 1


def test_a_worker_waits_until_a_lease_is_given_back(folder):
    with Leases(folder, QUICK) as one, Leases(folder, QUICK) as other:
        lease = one.take("part")
        threading.Timer(0.1, lease.release).start()
        began = time.monotonic()
        with other.wait("part"):
            assert time.monotonic() - began > 0.05


# Heartbeat and expiry.


def test_a_holder_that_works_for_long_keeps_its_lease(folder):
    with Leases(folder, QUICK) as one, Leases(folder, QUICK) as other, one.take("part") as lease:
        assert taken_within(other, 4 * QUICK.expiry) is None
        assert lease.held()


def test_a_silent_holders_lease_is_taken_over_after_the_expiry_and_not_before(folder):
    lease_of(folder, ELSEWHERE)
    with Leases(folder, QUICK) as leases:
        began = time.monotonic()
        with taken_within(leases, 20 * QUICK.expiry):
            assert time.monotonic() - began > QUICK.expiry
            assert holder(folder, "part").host != "elsewhere"
        assert names(folder) == [], "its predecessor's too"


def test_a_holder_that_only_seemed_dead_finds_its_lease_lost_and_leaves_the_new_one_alone(folder):
    suspended = Leases(folder, QUICK)  # its heart does not beat
    lost = suspended.take("part")
    with Leases(folder, QUICK) as other, taken_within(other, 20 * QUICK.expiry) as lease:
        assert not lost.held()
        lost.release()
        assert lease.held()
        assert suspended.take("part") is None


def test_of_many_who_see_a_silent_holder_one_takes_over(folder):
    lease_of(folder, ELSEWHERE)
    got = []

    def attempt():
        leases = Leases(folder, QUICK)
        got.append(taken_within(leases, 2.5 * QUICK.expiry))

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(1.2 * QUICK.expiry)
    for thread in threads:
        thread.join()
    # None of them beats, so that after another expiry the next may take over: one a generation, never two.
    held = [lease.file for lease in got if lease is not None]
    assert held
    assert len(set(held)) == len(held)


def test_a_lease_whose_creator_died_at_once_expires_too(folder):
    folder.path.mkdir()
    (folder.path / "part.lease-0").touch()
    with Leases(folder, QUICK) as leases:
        assert leases.take("part") is None
        assert taken_within(leases, 20 * QUICK.expiry) is not None


def test_a_gap_among_the_generations_is_no_free_lease(folder):
    lease_of(folder, ELSEWHERE, generation=1)
    with Leases(folder, QUICK) as leases:
        assert leases.take("part") is None
    assert names(folder) == ["part.lease-1"]


def test_a_heartbeat_that_fails_is_made_up_for_by_the_next(folder, monkeypatch):
    beats = []
    touch = LocalFolder.touch

    def busy(self, name):
        beats.append(name)
        if len(beats) == 1:
            raise OSError("server does not answer")
        return touch(self, name)

    monkeypatch.setattr(LocalFolder, "touch", busy)
    with Leases(folder, QUICK) as one, Leases(folder, QUICK) as other, one.take("part"):
        assert taken_within(other, 2 * QUICK.expiry) is None
    assert len(beats) > 2


# Clocks that differ.


@pytest.mark.parametrize("skew", [-HOUR, HOUR])
def test_a_holder_whose_clock_is_an_hour_off_keeps_its_lease_while_it_lives(folder, skew):
    path = lease_of(folder, ELSEWHERE)
    alive = threading.Event()

    def beat():
        while not alive.wait(QUICK.heartbeat):
            now = time.time() + skew
            os.utime(path, (now, now))

    heart = threading.Thread(target=beat)
    heart.start()
    try:
        with Leases(folder, QUICK) as leases:
            assert taken_within(leases, 4 * QUICK.expiry) is None
    finally:
        alive.set()
        heart.join()


@pytest.mark.parametrize("skew", [-HOUR, HOUR])
def test_a_dead_holder_whose_clock_was_an_hour_off_is_succeeded_after_the_expiry(folder, skew):
    path = lease_of(folder, ELSEWHERE)
    then = time.time() + skew
    os.utime(path, (then, then))
    with Leases(folder, QUICK) as leases:
        assert leases.take("part") is None
        assert taken_within(leases, 20 * QUICK.expiry) is not None


def test_no_lease_depends_on_the_time_of_day(folder, monkeypatch):
    def no_clock():
        raise AssertionError("the time of day was asked for")

    monkeypatch.setattr(module.time, "time", no_clock)
    lease_of(folder, ELSEWHERE)
    with Leases(folder, QUICK) as leases, taken_within(leases, 20 * QUICK.expiry) as lease:
        assert lease.held()


# Dead processes of this machine.

HOLD = """
import sys, time
from pathlib import Path
from vissum_jax.runs.leases import LeaseConfig, Leases
from vissum_jax.runs.store import LocalFolder
with Leases(LocalFolder(Path(sys.argv[1])), LeaseConfig()) as leases, leases.take("part"):
    print("held", flush=True)
    time.sleep(60)
"""


@needs_proc
def test_what_a_killed_process_of_this_machine_held_is_free_at_once(folder):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder.path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        slow = LeaseConfig()
        with Leases(folder, slow) as leases:
            assert leases.take("part") is None
            process.send_signal(signal.SIGKILL)
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and nobody has asked how it ended
            began = time.monotonic()
            with leases.take("part") as lease:
                assert lease.held()
            assert time.monotonic() - began < slow.heartbeat
    finally:
        process.kill()
        process.communicate()


@needs_proc
def test_a_number_that_another_process_has_now_is_no_sign_of_life(folder):
    lease_of(folder, dataclasses.replace(Owner.this_process(), born="1"))
    with Leases(folder, LeaseConfig()) as leases, leases.take("part") as lease:
        assert lease.held()


def test_a_process_of_another_machine_is_not_judged_by_its_number(folder):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    for machine in ("another boot", ""):
        lease_of(folder, dataclasses.replace(ELSEWHERE, pid=process.pid, machine=machine))
        with Leases(folder, LeaseConfig()) as leases:
            assert leases.take("part") is None


def test_a_living_process_is_not_dead_nor_is_another_users(monkeypatch):
    assert not Owner.this_process().is_dead()

    def not_ours(pid, number):
        raise PermissionError

    monkeypatch.setattr(module.os, "kill", not_ours)
    assert not dataclasses.replace(Owner.this_process(), born="1").is_dead()


# Who holds it, and the times.


def test_the_holder_is_told(folder):
    assert holder(folder, "part") is None
    with Leases(folder, QUICK) as leases, leases.take("part"):
        assert (holder(folder, "part").pid, holder(folder, "other")) == (os.getpid(), None)


def test_the_heart_stops_when_work_ends(folder):
    before = threading.active_count()
    with Leases(folder, QUICK):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"heartbeat": 0.0}, "`heartbeat` must be positive, got 0.0."),
        ({"poll": -1.0}, "`poll` must be positive, got -1.0."),
        ({"expiry": 20.0}, "`expiry` must be at least three times `heartbeat` (10.0), got 20.0."),
    ],
)
def test_times_that_cannot_work_are_refused(values, complaint):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        LeaseConfig(**values)
    assert str(error.value) == complaint


def test_a_holder_that_died_while_it_gave_back_blocks_nobody(folder):
    """It had removed its predecessor's name, and not yet its own: a gap that looks free and is not."""
    lease_of(folder, ELSEWHERE, generation=1)
    with Leases(folder, QUICK) as leases:
        began = time.monotonic()
        with taken_within(leases, 20 * QUICK.expiry) as lease:
            assert lease.held()
            assert time.monotonic() - began > QUICK.expiry, "it might have lived"
        assert names(folder) == []


def test_a_holder_whose_name_was_left_to_another_knows_that_it_is_not_his(folder):
    suspended = Leases(folder, QUICK)
    lost = suspended.take("part")
    folder.remove(lost.file)  # taken over and given back, meanwhile
    with Leases(folder, QUICK) as other, other.take("part") as lease:
        assert lease.file == lost.file
        assert not lost.held()
        lost.release()
        assert lease.held()
