import json
import shutil

import pytest
import toys
from PIL import Image

from vissum_jax.pipeline import RunConfig, mask_stage, open_run, outcome, stages, start_run, summary_stage
from vissum_jax.pipeline.progress import Silent
from vissum_jax.pipeline.retry import retry_stage
from vissum_jax.runs.store import PartStore

BROKEN = ("red_disc/broken.png", "green_square/broken.png")


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A finished run over four red discs and three green squares, and a broken file of each; not to be changed."""
    root = tmp_path_factory.mktemp("retry")
    photos = toys.write_photographs(root / "photos", {0: 4, 1: 3})
    for name in BROKEN:
        (photos / name).write_bytes(b"<html>")
    run = start_run(
        RunConfig(images=str(photos), model=toys.MODEL, overrides=toys.overrides()), root / "run", shard_size=3
    )
    mask_stage(run, Silent())
    summary_stage(run, Silent())
    return root


@pytest.fixture
def run(template, tmp_path):
    """The same, of one's own."""
    root = shutil.copytree(template, tmp_path / "own")
    manifest = (root / "run" / "manifest.json").read_text().replace(str(template), str(root))
    (root / "run" / "manifest.json").write_text(manifest)
    return open_run(root / "run")


def mend(run, name):
    Image.fromarray(toys.photograph(1 if "green" in name else 0, 9)).save(run.source.root / name)


def files(run):
    return {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file() and path.name != "log.jsonl"}


def searched(monkeypatch):
    calls = []
    extract = stages.extract

    def counting(classifier, images, *args, **options):
        calls.append(len(images))
        return extract(classifier, images, *args, **options)

    monkeypatch.setattr(stages, "extract", counting)
    return calls


def test_a_photograph_that_was_put_right_gets_its_row_and_no_other_row_changes(run, monkeypatch):
    before, calls, progress = run.mask_rows().to_pylist(), searched(monkeypatch), toys.Recorder()
    mend(run, BROKEN[0])
    retried = retry_stage(run, progress)
    assert (retried.images, retried.recovered, retried.classes) == (2, 1, (0,))
    assert calls == [1, 1], "failed rows alone"
    progress.assert_complete()
    after = run.mask_rows().to_pylist()
    assert [row["image"] for row in after] == [entry[0] for entry in run.manifest.entries]
    changed = [new["image"] for old, new in zip(before, after, strict=True) if old != new]
    assert changed == [BROKEN[0]]
    (new,) = [row for row in after if row["image"] == BROKEN[0]]
    assert (new["status"], new["reason"]) == ("ok", "")
    assert new["rle"]
    assert outcome_after_summaries(run).failed == ((BROKEN[1], before[-1]["reason"]),)


def outcome_after_summaries(run):
    summary_stage(run, Silent())
    return outcome(run)


def test_summaries_of_the_classes_that_gained_are_found_again_and_no_others(run, monkeypatch):
    mend(run, BROKEN[0])
    retry_stage(run, Silent())
    assert (run.summaries.done(0), run.summaries.done(1)) == (False, True)
    summary_stage(run, Silent())
    result = run.class_result(0)
    assert result.diagnostics.images == 5


def test_what_fails_again_the_same_way_leaves_everything_as_it_was(run):
    before = files(run)
    retried = retry_stage(run, Silent())
    assert (retried.images, retried.recovered, retried.classes) == (2, 0, ())
    assert files(run) == before
    events = [json.loads(line) for line in (run.folder / "log.jsonl").read_text().splitlines()]
    tried = [(event["rows"], event["failures"]) for event in events if event["event"] == "retry"]
    assert tried == [(1, 1), (1, 1)]


def test_another_reason_is_written_down(run):
    (run.source.root / BROKEN[0]).write_bytes(b"")
    assert retry_stage(run, Silent()).recovered == 0
    rows = {row["image"]: row["reason"] for row in run.mask_rows().to_pylist()}
    assert rows[BROKEN[0]] == "the file is empty"
    assert run.summaries.done(0)


def test_a_kill_before_the_new_rows_leaves_no_summary_without_its_masks(run, monkeypatch):
    mend(run, BROKEN[0])

    def killed(self, number, table):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(PartStore, "commit", killed)
        with pytest.raises(KeyboardInterrupt):
            retry_stage(run, Silent())
    assert not run.summaries.done(0)
    assert [path for path in run.folder.rglob("*.lease-*")] == []
    assert retry_stage(run, Silent()).recovered == 1
    summary_stage(run, Silent())
    assert run.class_result(0).diagnostics.images == 5


def test_parts_that_are_not_done_are_passed_over(run):
    for name in BROKEN:
        mend(run, name)
    run.masks.discard(0)
    run.masks.discard(1)
    assert retry_stage(run, Silent()).images == 1


def test_it_stops_between_parts_when_told(run, monkeypatch):
    for name in BROKEN:
        mend(run, name)
    calls = searched(monkeypatch)
    retried = retry_stage(run, Silent(), stop=lambda: bool(calls))
    assert (retried.images, retried.recovered) == (1, 1)
    assert retry_stage(run, Silent()).images == 1


def test_a_run_without_failures_has_nothing_to_retry(run, monkeypatch):
    for name in BROKEN:
        mend(run, name)
    retry_stage(run, Silent())
    calls = searched(monkeypatch)
    assert retry_stage(run, Silent()).images == 0
    assert calls == []
