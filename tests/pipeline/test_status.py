import dataclasses
import json
import os
import shutil

import pytest
import toy_runs
import toys

from vissum_jax.pipeline import RunConfig, start_run
from vissum_jax.pipeline.status import run_status
from vissum_jax.runs.leases import Owner
from vissum_jax.runs.log import EventLog
from vissum_jax.runs.store import PartStore

COUNTS = {0: 4, 1: 4}
BOXES = {0: (4, 4, 12, 12), 1: (4, 4, 12, 12), 2: (4, 4, 12, 12)}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = toys.write_photographs(tmp_path_factory.mktemp("photos"), COUNTS)
    (root / "red_disc" / "broken.jpg").write_bytes(b"<html>")
    return root


@pytest.fixture(scope="module")
def template(photos, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vissum_jax.pipeline.run.SHARD_SIZE", 3)  # three parts: red, red and green, green
        folder = tmp_path_factory.mktemp("runs") / "run"
        return toy_runs.write_run(photos, folder, {0: [toy_runs.summary(0, BOXES)]}).folder


@pytest.fixture
def run(template, tmp_path):
    """A run whose masks and summaries are done, of one's own."""
    return shutil.copytree(template, tmp_path / "run")


def parts(run, stage):
    return (PartStore(run / "masks"), PartStore(run / "summaries"))[stage == "summaries"]


def hold(run, stage, number, **changes):
    owner = dataclasses.replace(Owner.this_process(), **changes)
    store = parts(run, stage)
    (store.folder / f"{store.name(number)}.lease-0").write_text(json.dumps(dataclasses.asdict(owner)))


def stage_of(status, name):
    return next(stage for stage in status.stages if stage.stage == name)


def test_a_run_that_was_just_started_has_everything_left(photos, tmp_path):
    run = start_run(RunConfig(images=str(photos), model=toys.MODEL), tmp_path / "run", shard_size=3)
    status = run_status(run.folder)
    assert (status.finished, status.images, status.done, status.failed, status.running) == (False, 9, 0, (), ())
    assert [(s.stage, s.parts, s.done, s.running, s.left, s.seconds_left) for s in status.stages] == [
        ("masks", 3, 0, 0, 3, None),
        ("summaries", 2, 0, 0, 2, None),
    ]
    assert [(c.class_name, c.images, c.done, c.summaries) for c in status.classes] == [
        ("red disc", 5, 0, "left"),
        ("green square", 4, 0, "left"),
    ]


def test_a_run_is_finished_with_its_report(run):
    status = run_status(run)
    assert [stage.left for stage in status.stages] == [0, 0]
    assert (status.finished, status.report) == (False, "")
    (run / "report").mkdir()
    (run / "report" / "index.html").touch()
    status = run_status(run)
    assert (status.finished, status.report) == (True, str(run / "report" / "index.html"))


def test_what_failed_is_named_and_counted_by_class(run):
    status = run_status(run)
    assert [image for image, _ in status.failed] == ["red_disc/broken.jpg"]
    red, green = status.classes
    assert (red.done, red.failed, red.statuses) == (5, 1, {"ok": 4, "unreadable": 1})
    assert (green.done, green.failed, green.statuses, green.summaries) == (4, 0, {"ok": 4}, "done")


def test_what_somebody_works_on_is_running(run):
    parts(run, "masks").discard(1)
    parts(run, "summaries").discard(0)
    hold(run, "masks", 1)
    hold(run, "summaries", 0, host="far away", machine="another boot", pid=7)
    status = run_status(run)
    assert (stage_of(status, "masks").running, stage_of(status, "masks").left) == (1, 0)
    assert [(held.stage, held.part, held.pid, held.abandoned) for held in status.running] == [
        ("masks", 1, os.getpid(), False),
        ("summaries", 0, 7, False),
    ]
    assert [result.summaries for result in status.classes] == ["running", "done"]
    assert [result.done for result in status.classes] == [3, 3], "the part has two rows of the one, one of the other"


@pytest.mark.skipif(not Owner.this_process().machine, reason="needs /proc to tell a dead process")
def test_what_a_dead_process_held_is_abandoned_and_left(run):
    parts(run, "masks").discard(1)
    hold(run, "masks", 1, born="1")
    status = run_status(run)
    assert (stage_of(status, "masks").running, stage_of(status, "masks").left) == (0, 1)
    assert [held.abandoned for held in status.running] == [True]


def test_a_lease_of_a_part_that_is_done_says_nothing(run):
    hold(run, "masks", 1)
    assert run_status(run).running == ()


def test_the_time_left_follows_from_the_speed_so_far_and_the_number_of_workers(run):
    log = EventLog(run / "log.jsonl")
    for seconds in (900.0, 30.0, 33.0):  # the first part's images waited for a compiler
        log.write("masks", part=0, seconds=seconds)
    for number in (1, 2):
        parts(run, "masks").discard(number)
        hold(run, "masks", number)
    assert stage_of(run_status(run), "masks").seconds_left == pytest.approx(6 * 11.0 / 2)
    (parts(run, "masks").folder / "part-00002.lease-0").unlink()
    assert stage_of(run_status(run), "masks").seconds_left == pytest.approx(6 * 11.0)


def test_damaged_parts_are_told_unless_somebody_is_at_them(run):
    masks = parts(run, "masks")
    masks.marker(0).unlink()
    masks.part(2).write_bytes(b"PAR1")
    assert run_status(run).damaged == (
        ("masks", 0, "part without a marker"),
        ("masks", 2, "part and marker do not fit"),
    )
    hold(run, "masks", 0)
    assert [part for _, part, _ in run_status(run).damaged] == [2]


def test_errors_are_told_until_their_part_is_done(run):
    log = EventLog(run / "log.jsonl")
    parts(run, "masks").discard(1)
    for part in (0, 1):
        log.write("failed", stage="masks", part=part, error="MemoryError()")
    log.write("failed", stage="compare_masks", part=0, error="of another command")
    assert run_status(run).errors == (("masks", 1, "MemoryError()"),)


def test_it_is_plain_json(run):
    plain = run_status(run).plain()
    assert json.loads(json.dumps(plain, allow_nan=False))["stages"][0]["parts"] == 3


def test_it_needs_neither_photographs_nor_network(run, monkeypatch):
    monkeypatch.setattr(toys, "make_classifier", None)
    monkeypatch.setattr("vissum_jax.pipeline.run.open_images", None)
    assert run_status(run).done == 9


def test_what_is_no_such_run_is_refused(run, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"is not a RUN folder: it holds no manifest\.json"):
        run_status(tmp_path / "nowhere")
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["configuration"]["kind"] = "localize"
    (run / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match=r"is a run of `vissum localize`; give that command again"):
        run_status(run)
