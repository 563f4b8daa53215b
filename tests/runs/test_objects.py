"""Runs in object stores: the promises of `Storage`, and what happens when the store misbehaves."""

import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import batch_worker
import pytest
from batch_worker import CONFIG, finish, rows_of

from vissum_jax.runs import objects
from vissum_jax.runs.leases import LeaseConfig, Leases, Owner, holder, this_machine
from vissum_jax.runs.log import EventLog
from vissum_jax.runs.objects import ObjectLog, open_objects
from vissum_jax.runs.place import open_log, open_place
from vissum_jax.runs.store import LocalFolder, PartState, PartStore

QUICK = LeaseConfig(heartbeat=0.5, expiry=3.0, poll=0.02)
_numbers = itertools.count()


SERVERS = {"s3": "object_server", "gs": "google_server"}


@pytest.fixture(params=SERVERS)
def place(request):
    """A folder of a bucket that no other test has used."""
    request.getfixturevalue(SERVERS[request.param])
    return f"{request.param}://bucket/runs/{os.getpid()}-{next(_numbers)}"


of_amazon = pytest.mark.parametrize("place", ["s3"], indirect=True)
of_google = pytest.mark.parametrize("place", ["gs"], indirect=True)


@pytest.fixture
def storage(place):
    return open_objects(place)


def claims(storage):
    return sorted(name.rpartition("~")[0] for name in storage.within("leases").names())


# What it promises.


def test_bytes_are_read_as_they_were_written(storage):
    with pytest.raises(FileNotFoundError):
        storage.read("a")
    assert storage.version("a") is None
    assert storage.names() == set()
    storage.write("a", b"one")
    first = storage.version("a")
    storage.write("a", b"other")
    assert storage.read("a") == b"other"
    assert storage.version("a") != first
    storage.within("folder").write("b", b"")
    # pyarrow lists no folders of Google's store.
    assert storage.names() == ({"a"} if str(storage).startswith("gs://") else {"a", "folder"})
    assert storage.within("folder").read("b") == b""
    storage.remove("a")
    storage.remove("a")
    assert storage.version("a") is None


def test_large_objects_are_put_in_parts_and_read_whole(storage):
    data = os.urandom(12_000_000)  # more than the smallest part of a multipart upload
    storage.write("large", data)
    assert storage.read("large") == data


def test_a_name_is_created_once_and_can_be_read_touched_and_removed(place):
    one, other = open_objects(place), open_objects(place)
    assert one.create("name", b"one")
    assert not one.create("name", b"one")
    assert not other.create("name", b"other")
    assert one.read("name") == other.read("name") == b"one"
    seen = other.version("name")
    assert seen == one.version("name")
    time.sleep(1.1)  # versions tell seconds apart: hearts beat every ten
    assert one.touch("name")
    assert other.version("name") not in (None, seen)
    one.remove("name")
    assert one.version("name") is None
    assert not one.touch("name")
    assert other.create("name", b"other")


def test_a_name_that_another_left_behind_can_be_removed(place):
    assert open_objects(place).create("name", b"dead")
    other = open_objects(place)
    other.remove("name")
    assert other.create("name", b"alive")


def test_of_many_who_try_at_once_at_most_one_succeeds_and_sooner_or_later_one_does(place):
    for number in range(3):
        start, got = threading.Barrier(6), []

        def attempt(start=start, got=got, name=f"name-{number}"):
            storage = open_objects(place)
            start.wait()
            for _ in range(100):
                if storage.create(name, b"mine"):
                    got.append(storage)
                    return
                if got:
                    return
                time.sleep(0.02 * (1 + threading.get_ident() % 7))

        threads = [threading.Thread(target=attempt) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 1


def test_while_several_claim_a_name_nobody_is_said_to_hold_it(place):
    """The moment between a claim that will be taken back and its end: nobody may take its author for the holder."""
    one, other, third = (open_objects(place) for _ in range(3))
    assert one.create("name", b"one")
    other._put(f"{other._path}/leases/name~0000", b"will be taken back")
    assert third.read("name") == b""
    assert one.read("name") == b"one"
    assert not third.create("name", b"third")


def test_a_claim_whose_look_around_failed_is_taken_back(storage, monkeypatch):
    look, looks = storage._claims, []

    def fail_at_the_second(name):
        looks.append(name)
        if len(looks) == 2:
            raise OSError("no answer")
        return look(name)

    monkeypatch.setattr(storage, "_claims", fail_at_the_second)
    with pytest.raises(OSError, match="no answer"):
        storage.create("name", b"")
    assert claims(storage) == []


# Leases in it.


def test_a_lease_has_one_holder_until_it_is_given_back(place):
    with Leases(open_objects(place), QUICK) as one, Leases(open_objects(place), QUICK) as other:
        with one.take("part") as lease:
            assert lease.held()
            assert other.take("part") is None
        with other.take("part") as lease:
            assert lease.held()
        assert claims(open_objects(place)) == []


def test_a_beating_heart_keeps_a_lease_and_a_silent_one_loses_it(place):
    elsewhere = dataclasses.replace(Owner.this_process(), worker="other", host="elsewhere", machine="another boot")
    silent = open_objects(place)
    assert silent.create("silent.lease-0", json.dumps(dataclasses.asdict(elsewhere)).encode())
    with Leases(open_objects(place), QUICK) as one, Leases(open_objects(place), QUICK) as other:
        lease = one.take("beating")
        began = time.monotonic()
        taken = None
        while taken is None and time.monotonic() - began < 10 * QUICK.expiry:
            taken = other.take("silent")
            assert other.take("beating") is None
            time.sleep(0.1)
        assert time.monotonic() - began > QUICK.expiry
        assert holder(open_objects(place), "silent").host != "elsewhere"
        assert lease.held()
        taken.release()
        assert claims(silent) == ["beating.lease-0"], "its predecessor's claim too"


def test_a_holder_whose_name_was_left_to_another_knows_that_it_is_not_his(place):
    suspended = Leases(open_objects(place), QUICK)
    lost = suspended.take("part")
    thief = open_objects(place)
    thief.remove(lost.file)  # taken over and given back, meanwhile
    with Leases(open_objects(place), QUICK) as other, other.take("part") as lease:
        assert lease.file == lost.file
        assert not lost.held()
        lost.release()
        assert lease.held()


# Parts and events.


def whole(place, parts):
    store = PartStore(open_objects(place).within("masks"))
    return all(store.done(number) and store.read(number).equals(rows_of(number)) for number in range(parts))


def test_parts_and_events_in_a_bucket(place):
    assert finish(place, 3) == (3, 120, 0)
    assert finish(place, 3) == (0, 0, 0)
    assert whole(place, 3)
    log = open_log(open_objects(place))
    assert isinstance(log, ObjectLog)
    assert [event["part"] for event in log.events()] == [0, 1, 2]
    open_objects(place).within("log").write("0.json", b"{half an ev")
    assert len(list(log.events())) == 3


def test_workers_share_a_stage_in_a_bucket_and_each_part_is_computed_once(place):
    threads = [threading.Thread(target=finish, args=(place, 6, 0.1)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert whole(place, 6)
    events = [event["part"] for event in open_log(open_objects(place)).events()]
    assert sorted(events) == list(range(6))
    assert claims(open_objects(place).within("masks")) == []


@pytest.mark.skipif(not this_machine(), reason="needs /proc to see who is dead")
def test_when_a_worker_is_killed_the_next_one_does_its_part(place):
    paths = [str(Path(batch_worker.__file__).parent), str(Path(batch_worker.__file__).parents[1])]
    process = subprocess.Popen(
        [sys.executable, "-m", "batch_worker", place, "--parts", "4", "--seconds", "1"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    end = time.monotonic() + 60
    while not claims(open_objects(place).within("masks")) and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    began = time.monotonic()
    finish(place, 4)
    assert time.monotonic() - began < CONFIG.expiry, "nobody waits for a dead process of this machine"
    assert whole(place, 4)


# A store that misbehaves.


@of_amazon
@pytest.mark.parametrize("method", ["PUT", "GET", "HEAD", "DELETE"])
def test_a_store_that_answers_500_now_and_then_is_asked_again(place, object_server, method):
    from object_server import refuse

    with object_server.fault(method, "", refuse, times=4) as fault:
        assert finish(place, 2) == (2, 80, 0)
    assert fault.met == 4
    assert whole(place, 2)


@of_amazon
def test_an_object_that_goes_while_it_is_read_is_one_that_is_not_there(storage, object_server):
    """Its size was known already: the answer that it is gone does not fit."""
    from object_server import gone

    storage.write("vanishing", b"x")
    with object_server.fault("GET", "vanishing", gone) as fault, pytest.raises(FileNotFoundError, match="vanishing"):
        storage.read("vanishing")
    assert fault.met == 1


@of_amazon
def test_a_put_that_was_obeyed_but_answered_500_is_harmless(place, object_server):
    from object_server import obey_but_complain

    with object_server.fault("PUT", "", obey_but_complain, times=5):
        assert finish(place, 2) == (2, 80, 0)
    assert whole(place, 2)
    assert claims(open_objects(place).within("masks")) == []


@of_amazon
def test_slow_answers_only_take_time(place, object_server):
    from object_server import slowly

    with object_server.fault("PUT", "", slowly(1.0), times=4), object_server.fault("GET", "", slowly(0.5), times=4):
        assert finish(place, 2) == (2, 80, 0)
    assert whole(place, 2)


@of_amazon
@pytest.mark.parametrize(
    ("file", "state"),
    [("part-00001.parquet", PartState.MISFIT), ("part-00001.done", PartState.BAD_MARKER)],
)
def test_an_object_of_which_half_arrived_is_found_and_computed_again(place, object_server, file, state):
    from object_server import half

    with object_server.fault("PUT", file, half) as fault:
        finish(place, 2)
    assert fault.met == 1
    assert PartStore(open_objects(place).within("masks")).state(1) is state
    assert finish(place, 2).parts == 1
    damaged = [event for event in open_log(open_objects(place)).events() if event["event"] == "damaged"]
    assert [(event["part"], event["found"]) for event in damaged] == [(1, str(state))]
    assert whole(place, 2)


def assert_nothing_half_done_counts(place):
    """The first of two parts is there, of the second nothing, and the next worker does that one alone."""
    store = PartStore(open_objects(place).within("masks"))
    assert [store.state(number) for number in range(2)] == [PartState.DONE, PartState.MISSING]
    assert claims(store.storage) == []
    assert finish(place, 2) == (1, 40, 0)
    assert whole(place, 2)


@of_amazon
def test_a_store_that_refuses_for_long_stops_the_worker_and_nothing_half_done_counts(place, object_server, monkeypatch):
    from object_server import refuse

    monkeypatch.setattr(objects, "_ATTEMPTS", 2)
    with object_server.fault("PUT", "part-00001.parquet", refuse), pytest.raises(OSError, match=r"part-00001\.parquet"):
        finish(place, 2)
    assert_nothing_half_done_counts(place)


@of_amazon
def test_an_upload_in_parts_that_breaks_off_leaves_nothing(storage, object_server, monkeypatch):
    from object_server import refuse

    monkeypatch.setattr(objects, "_ATTEMPTS", 2)
    impatient = open_objects(str(storage))
    with object_server.fault("PUT", "large", refuse), pytest.raises(OSError, match="large"):
        impatient.write("large", os.urandom(12_000_000))
    del impatient
    with pytest.raises(FileNotFoundError):
        storage.read("large")


@of_google
@pytest.mark.parametrize("method", ["POST", "PUT", "GET", "DELETE"])
def test_googles_store_that_answers_500_now_and_then_is_asked_again(place, google_server, method):
    with google_server.refusing(method, "", times=2) as refusal:
        assert finish(place, 1) == (1, 40, 0)
    assert refusal.met == 2
    assert whole(place, 1)
    assert claims(open_objects(place).within("masks")) == []


@of_google
def test_googles_store_that_refuses_for_long_stops_the_worker_and_nothing_half_done_counts(
    place, google_server, monkeypatch
):
    monkeypatch.setattr(objects, "_SECONDS", 1)
    with google_server.refusing("POST", "part-00001.parquet"), pytest.raises(OSError, match=r"part-00001\.parquet"):
        finish(place, 2)
    assert_nothing_half_done_counts(place)


@of_google
def test_an_upload_to_googles_store_that_breaks_off_leaves_nothing(place, google_server, monkeypatch):
    monkeypatch.setattr(objects, "_SECONDS", 1)
    impatient = open_objects(place)
    with google_server.refusing("PUT", "large"), pytest.raises(OSError, match="large"):
        impatient.write("large", os.urandom(12_000_000))
    del impatient
    with pytest.raises(FileNotFoundError):
        open_objects(place).read("large")


# Places.


def test_places_are_folders_or_buckets(tmp_path, place):
    assert open_place(tmp_path) == LocalFolder(tmp_path)
    assert open_place(str(tmp_path)) == LocalFolder(tmp_path)
    assert str(open_place(place)) == place
    assert open_place(open_place(place)) is not None
    assert isinstance(open_log(open_place(tmp_path)), EventLog)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("s3://", "must name a bucket and a folder in it: s3://bucket/run"),
        ("s3://bucket", "must name a bucket and a folder in it"),
        ("gs://bucket/", "must name a bucket and a folder in it: gs://bucket/run"),
        ("s3://bucket/run?acces_key=x", "unknown option 'acces_key'; known are endpoint_override, region, scheme"),
        (Path("s3://bucket/run"), "is in an object store; this command works on folders"),
    ],
)
def test_a_place_that_is_none_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        open_place(wrong)


@pytest.mark.parametrize("scheme", SERVERS)
def test_a_bucket_that_is_not_there_is_named(request, scheme):
    request.getfixturevalue(SERVERS[scheme])
    with pytest.raises(OSError, match="nobucket"):
        open_objects(f"{scheme}://nobucket/run").write("a", b"")


def test_an_endpoint_may_be_part_of_the_place(object_server, monkeypatch):
    address = object_server.environment["AWS_ENDPOINT_URL"]
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    storage = open_objects(f"s3://bucket/elsewhere?endpoint_override={address}&region=us-east-1")
    storage.write("a", b"here")
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    assert open_objects("s3://bucket/elsewhere").read("a") == b"here"


def test_googles_endpoint_may_be_part_of_the_place(google_server, monkeypatch):
    address = google_server.environment["STORAGE_EMULATOR_HOST"]
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    storage = open_objects(f"gs://bucket/elsewhere?endpoint_override={address}")
    storage.write("a", b"here")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
    assert open_objects("gs://bucket/elsewhere").read("a") == b"here"
