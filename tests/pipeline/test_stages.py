import dataclasses
import json
import shutil

import numpy as np
import pytest
import toys
from PIL import Image

import vissum_jax as vs
from vissum_jax.pipeline import (
    ChangedError,
    NotReadyError,
    RunConfig,
    mask_stage,
    open_run,
    outcome,
    report_stage,
    stages,
    start_run,
    summary_stage,
)
from vissum_jax.pipeline.progress import Silent
from vissum_jax.pipeline.run import default_shard_size
from vissum_jax.runs.manifest import Manifest
from vissum_jax.types import MaskStatus

COUNTS = {0: 4, 1: 4}
SHARD = 3  # three parts of 3, 3 and 2 images, the middle one of both classes


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return toys.write_photographs(tmp_path_factory.mktemp("photos"), COUNTS)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr("vissum_jax.pipeline.run.SHARD_SIZE", SHARD)


def request_for(photos, **values) -> RunConfig:
    return RunConfig(**{"images": str(photos), "model": toys.MODEL, "overrides": toys.overrides(), **values})


def finish(run, progress=None):
    progress = progress or Silent()
    mask_stage(run, progress)
    summary_stage(run, progress)
    report_stage(run, progress)
    return run


@pytest.fixture(scope="module")
def template(photos, tmp_path_factory):
    """A finished run; not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vissum_jax.pipeline.run.SHARD_SIZE", SHARD)
        return finish(start_run(request_for(photos), tmp_path_factory.mktemp("runs") / "template")).folder


@pytest.fixture
def finished(template, tmp_path):
    """A finished run of one's own."""
    return shutil.copytree(template, tmp_path / "run")


@pytest.fixture
def own_photos(photos, tmp_path):
    return shutil.copytree(photos, tmp_path / "photos")


def log(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def state(folder):
    """Every file of a run with its time: whether anything was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def searched(monkeypatch):
    """Collects how many images each call of the mask search gets."""
    calls = []
    extract = stages.extract

    def counting(classifier, images, *args, **options):
        calls.append(len(images))
        return extract(classifier, images, *args, **options)

    monkeypatch.setattr(stages, "extract", counting)
    return calls


def assert_same_results(one, other):
    """Mask and summary rows of two runs are equal."""
    for stage in ("masks", "summaries"):
        parts = sorted(path.name for path in (one / stage).glob("part-*.parquet"))
        assert parts == sorted(path.name for path in (other / stage).glob("part-*.parquet"))
        assert parts
    opened = [open_run(folder) for folder in (one, other)]
    assert opened[0].mask_rows().equals(opened[1].mask_rows())
    for class_index in COUNTS:
        tables = [run.summaries.read(class_index) for run in opened]
        assert tables[0].equals(tables[1], check_metadata=True)


# A run from start to end.


def test_a_run_leaves_what_the_contract_names(template):
    assert {path.name for path in template.iterdir()} == {
        *("manifest.json", "masks", "summaries", "report", "log.jsonl")
    }
    assert sorted(path.name for path in (template / "masks").glob("*.parquet")) == [
        f"part-{number:05d}.parquet" for number in range(3)
    ]
    assert sorted(path.name for path in (template / "summaries").glob("*.parquet")) == [
        f"part-{number:05d}.parquet" for number in (0, 1)
    ]
    assert (template / "report" / "index.html").is_file()


def test_mask_rows_are_one_for_each_photograph_in_the_manifests_order(template):
    run = open_run(template)
    rows = run.mask_rows()
    assert rows["image"].to_pylist() == [entry[0] for entry in run.manifest.entries]
    assert rows["image"].to_pylist()[0] == "red_disc/0.png"
    assert rows["class_name"].to_pylist() == ["red disc"] * 4 + ["green square"] * 4
    assert rows["status"].to_pylist() == ["ok"] * 8
    assert set(rows["crop_w"].to_pylist()) == {64.0}
    assert all(len(digest) == 64 for digest in rows["content_sha256"].to_pylist())


def test_the_manifest_says_what_is_computed_from_what_with_what(template):
    manifest = json.loads((template / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["configuration"]["masks"]["steps"] == toys.mask_config().steps
    assert manifest["model"] == {
        "name": "toy",
        "weights_sha256": "",
        "input_height": 64,
        "input_width": 64,
        "classes": 4,
    }
    assert len(manifest["fingerprint"]) == 64
    assert {"vissum-jax", "jax", "numpy"} <= set(manifest["versions"])
    assert manifest["shards"] == [[0, 3], [3, 6], [6, 8]]
    assert "cpu" in manifest["device"]


def test_the_log_has_an_event_for_each_part(template):
    events = log(template)
    assert [(event["event"], event["part"]) for event in events] == [
        *(("masks", number) for number in range(3)),
        *(("summaries", number) for number in range(2)),
    ]
    assert (events[0]["statuses"], events[0]["failures"]) == ({"ok": 3}, 0)
    assert all(event["rows_per_second"] > 0 and ":" in event["worker"] for event in events)
    assert all(event["summaries_kept"] >= 1 for event in events[3:])
    assert all(event["peak_memory_bytes"] > 0 and event["seconds"] >= 0 for event in events)


def test_the_files_hold_what_the_same_stages_find_in_memory(template):
    classifier = toys.make_classifier()
    images = np.stack([toys.photograph(index, seed) for index, count in COUNTS.items() for seed in range(count)])
    masks = vs.extract_masks(
        classifier, images, class_index=np.repeat(list(COUNTS), list(COUNTS.values())), config=toys.mask_config()
    )
    summaries = vs.summarize(classifier, images, masks, configs=toys.stage_configs())
    run = open_run(template)
    read = stages.mask_batch(run.mask_rows())
    np.testing.assert_array_equal(read.salient, masks.salient)
    assert read.status == masks.status
    for name in ("p_original", "p_soft", "p_binary", "area", "transfer_drop", "passes", "components"):
        np.testing.assert_allclose(getattr(read, name), getattr(masks, name), rtol=1e-4, atol=1e-7, err_msg=name)
    for result in summaries.classes:
        stored = run.class_result(result.class_index)
        boxes = [[(m.image, m.box, m.kept) for m in summary.members] for summary in result.summaries]
        assert [[(m.image, m.box, m.kept) for m in summary.members] for summary in stored.summaries] == boxes
        assert [summary.kept for summary in stored.summaries] == [summary.kept for summary in result.summaries]
        assert stored.diagnostics.clustered == result.diagnostics.clustered
        assert stored.reason == result.reason


def test_the_outcome_sums_up_the_rows(template):
    run = open_run(template)
    rows = run.mask_rows().to_pylist()[:4]
    red = outcome(run).classes[0]
    assert (red.class_index, red.class_name, red.statuses, red.reason) == (0, "red disc", {"ok": 4}, "")
    drops = [row["drop_binary"] for row in rows]
    np.testing.assert_allclose(red.drop_binary_mean, np.mean(drops))
    np.testing.assert_allclose(red.drop_binary_variance, np.var(drops))
    np.testing.assert_allclose(red.area_mean, np.mean([row["area"] for row in rows]))
    np.testing.assert_allclose(red.transfer_drop_mean, np.mean([row["transfer_drop"] for row in rows]))
    kept = run.class_result(0).kept
    assert red.summaries_kept == len(kept)
    assert red.images_per_summary == tuple(len(summary.kept_members) for summary in kept)
    assert red.importance == tuple(summary.importance for summary in kept)
    assert red.stability == (None,) * len(kept), "not measured unless asked for"
    assert outcome(run).failed == ()


def test_the_outcome_is_plain_json(template):
    plain = outcome(open_run(template)).plain()
    assert json.loads(json.dumps(plain, allow_nan=False))["classes"][1]["class_name"] == "green square"


# Resume.


def test_a_finished_run_is_not_computed_again(finished, photos, monkeypatch):
    calls, before = searched(monkeypatch), state(finished)
    run = start_run(request_for(photos), finished)
    mask_stage(run, Silent())
    summary_stage(run, Silent())
    assert calls == []
    assert state(finished) == before


def test_a_failure_between_mask_parts_loses_nothing(template, photos, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    extract, calls = stages.extract, []

    def fail_at_the_second(*args, **options):
        calls.append(len(args[1]))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return extract(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(stages, "extract", fail_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            mask_stage(start_run(request_for(photos), folder), Silent())
    assert [path.name for path in sorted((folder / "masks").iterdir())] == ["part-00000.done", "part-00000.parquet"]

    calls = searched(monkeypatch)
    finish(start_run(request_for(photos), folder))
    assert calls == [3, 2], "the first part's three images are not searched again"
    assert [event["part"] for event in log(folder) if event["event"] == "masks"] == [0, 1, 2]
    assert_same_results(folder, template)


def test_a_failure_between_classes_loses_nothing(template, finished, monkeypatch):
    for class_index in COUNTS:
        open_run(finished).summaries.discard(class_index)
    summarize_images, calls = stages.summarize_images, []

    def fail_at_the_second(classifier, images, masks, class_index, *rest, **options):
        calls.append(class_index)
        if len(calls) == 2:
            raise MemoryError
        return summarize_images(classifier, images, masks, class_index, *rest, **options)

    monkeypatch.setattr(stages, "summarize_images", fail_at_the_second)
    with pytest.raises(MemoryError):
        summary_stage(open_run(finished), Silent())
    summary_stage(open_run(finished), Silent())
    assert calls == [0, 1, 1]
    assert_same_results(finished, template)


def test_a_damaged_part_is_computed_again_and_only_that(template, finished, monkeypatch):
    run = open_run(finished)
    run.masks.part(2).write_bytes(run.masks.part(2).read_bytes()[:-1])
    calls = searched(monkeypatch)
    mask_stage(run, Silent())
    assert calls == [2]
    assert_same_results(finished, template)


def test_a_run_keeps_its_parts_whatever_the_next_versions_part_size(finished, photos, monkeypatch):
    monkeypatch.setattr("vissum_jax.pipeline.run.SHARD_SIZE", 64)
    run = start_run(request_for(photos), finished)
    assert run.manifest.shards == ((0, 3), (3, 6), (6, 8))


def test_a_run_goes_on_from_its_manifest_alone(finished, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = open_run("run")
    assert run.config == request_for(photos)
    assert report_stage(run, Silent()).read_bytes() == (finished / "report" / "index.html").read_bytes()


def test_the_rows_of_a_class_are_read_from_its_parts_alone(finished):
    run = open_run(finished)
    whole = run.mask_rows()
    assert run.class_rows(1).to_pylist() == whole.slice(4).to_pylist()
    run.masks.discard(0)
    assert run.class_rows(1).to_pylist() == whole.slice(4).to_pylist()
    with pytest.raises(FileNotFoundError):
        run.class_rows(0)


def test_of_two_processes_that_start_at_once_the_one_that_asks_for_something_else_is_refused(
    photos, tmp_path, monkeypatch
):
    save = Manifest.save

    def overtaken(manifest, folder):
        save(manifest, folder)
        monkeypatch.setattr(Manifest, "save", save)
        (tmp_path / "run" / "manifest.json").unlink()
        start_run(request_for(photos, limit=2), tmp_path / "run")

    monkeypatch.setattr(Manifest, "save", overtaken)
    with pytest.raises(ValueError, match=r"holds a run with another configuration; .* run\.limit: 2 -> None"):
        start_run(request_for(photos), tmp_path / "run")


def test_of_two_processes_that_start_the_same_run_at_once_both_go_on(photos, tmp_path, monkeypatch):
    save, others = Manifest.save, []

    def overtaken(manifest, folder):
        monkeypatch.setattr(Manifest, "save", save)
        others.append(start_run(request_for(photos), folder))
        others[0].log.write("preflight")
        save(manifest, folder)

    monkeypatch.setattr(Manifest, "save", overtaken)
    assert start_run(request_for(photos), tmp_path / "run").manifest == others[0].manifest


def test_one_process_at_a_time_writes_the_report(finished, monkeypatch):
    run, seen = open_run(finished), []
    write = stages._write_report

    def writing(*arguments):
        seen.append([path.name for path in finished.glob("*.lease-*")])
        return write(*arguments)

    monkeypatch.setattr(stages, "_write_report", writing)
    report_stage(run, Silent())
    assert seen == [["report.lease-0"]]
    assert list(finished.glob("*.lease-*")) == []


def test_an_empty_folder_may_become_a_run(photos, tmp_path):
    (tmp_path / "empty").mkdir()
    assert start_run(request_for(photos), tmp_path / "empty").manifest.shards


# Refusals.


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"limit": 4}, "run.limit: None -> 4"),
        ({"keep_mispredicted": True}, "run.keep_mispredicted: False -> True"),
        ({"preset": "iebb", "overrides": {}}, "run.preset: 'compact' -> 'iebb'"),
        ({"overrides": {**toys.overrides(), "summaries": {"min_members": 2}}}, "summaries.min_members: 3 -> 2"),
        ({"classes": ("red disc", "green square")}, r"run.classes: [] -> ['red disc', 'green square']"),
    ],
)
def test_another_configuration_is_refused_with_what_changed(finished, photos, changes, line):
    before = state(finished)
    with pytest.raises(ValueError, match="holds a run with another configuration; name another folder") as error:
        start_run(request_for(photos, **changes), finished)
    assert line in str(error.value)
    assert "\n" not in str(error.value)
    assert state(finished) == before


def test_another_network_under_the_same_name_is_refused(finished, photos, monkeypatch):
    wider = toys.make_classifier()
    wider = dataclasses.replace(wider, spec=dataclasses.replace(wider.spec, input_width=96))
    monkeypatch.setattr(toys, "make_classifier", lambda: wider)
    with pytest.raises(ValueError, match="input_width: 64 -> 96"):
        start_run(request_for(photos), finished)


@pytest.fixture
def own_run(own_photos, tmp_path):
    """A run over photographs of one's own, its masks done."""
    run = start_run(request_for(own_photos), tmp_path / "run")
    mask_stage(run, Silent())
    return run


def test_a_photograph_added_is_refused(own_run, own_photos):
    shutil.copy(own_photos / "red_disc" / "0.png", own_photos / "red_disc" / "9.png")
    with pytest.raises(ValueError, match=r"images: 8 -> 9 \(0 gone, 1 added\)"):
        open_run(own_run.folder)


def test_a_photograph_removed_is_refused(own_run, own_photos):
    (own_photos / "red_disc" / "0.png").unlink()
    with pytest.raises(ValueError, match=r"images: 8 -> 7 \(1 gone, 0 added\)"):
        open_run(own_run.folder)


def test_photographs_that_are_gone_are_named(own_run, own_photos):
    shutil.rmtree(own_photos)
    with pytest.raises(FileNotFoundError, match="No folder"):
        open_run(own_run.folder)


def test_a_photograph_that_is_another_now_is_no_match_for_its_mask(own_run, own_photos):
    shutil.copy(own_photos / "red_disc" / "0.png", own_photos / "red_disc" / "1.png")
    with pytest.raises(ChangedError, match=r"'red_disc/1\.png' has changed since its mask was found; put it back"):
        summary_stage(open_run(own_run.folder), Silent())


def test_a_photograph_that_cannot_be_read_any_more_is_not_taken_for_a_black_one(own_run, own_photos):
    summary_stage(own_run, Silent())
    (own_photos / "green_square" / "1.png").write_bytes(b"gone")
    with pytest.raises(
        ChangedError, match=r"'green_square/1\.png' has changed .* \(not a picture of a known kind .*\); put"
    ):
        report_stage(open_run(own_run.folder), Silent())


def test_a_folder_that_is_no_run_is_left_alone(photos, tmp_path):
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "chapter.tex").write_text("x")
    with pytest.raises(ValueError, match=r"thesis' exists and is not a RUN folder; name another one with --out\.$"):
        start_run(request_for(photos), other)
    assert [path.name for path in other.iterdir()] == ["chapter.tex"]


def test_a_run_killed_while_its_manifest_was_written_starts_again(photos, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".manifest.json.4711.partial").write_text('{"format"')
    run = start_run(request_for(photos), folder)
    assert len(run.manifest.entries) == 8
    # What was left stays: it might be what another process is writing at this moment.
    assert {path.name for path in run.folder.iterdir()} == {"manifest.json", ".manifest.json.4711.partial"}


def test_a_file_is_no_run(photos, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match=r"file' exists and is not a RUN folder"):
        start_run(request_for(photos), tmp_path / "file")


def test_nothing_is_left_of_a_run_that_cannot_start(photos, tmp_path):
    with pytest.raises(ValueError, match="names no class of toy"):
        start_run(request_for(photos, classes=("rde disc",)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_summaries_wait_for_all_masks(finished):
    run = open_run(finished)
    run.masks.discard(1)
    with pytest.raises(
        NotReadyError, match=r"1 of 3 parts of its masks are not done; finish them with `vissum masks .*run`\.$"
    ):
        summary_stage(run, Silent())


def test_the_report_waits_for_all_summaries(finished):
    run = open_run(finished)
    run.summaries.discard(1)
    with pytest.raises(NotReadyError, match=r"1 of 2 parts of its summaries .* `vissum summarize .*run`\.$"):
        report_stage(run, Silent())


def test_a_batch_of_no_images_is_refused(photos, tmp_path):
    with pytest.raises(ValueError, match=r"^`batch_size` must be at least 1, got 0\.$"):
        mask_stage(start_run(request_for(photos), tmp_path / "run"), Silent(), batch_size=0)


# Photographs that are not as they should be.


@pytest.fixture
def mixed_photos(tmp_path):
    """Four red discs of which one is called a green square, and a file that is no picture."""
    photos = toys.write_photographs(tmp_path / "photos", {0: 4})
    (photos / "green_square").mkdir()
    (photos / "red_disc" / "0.png").rename(photos / "green_square" / "red.png")
    (photos / "red_disc" / "broken.jpg").write_bytes(b"<html>")
    return photos


def test_photographs_that_fail_become_rows_and_the_rest_is_done(mixed_photos, tmp_path):
    run = finish(start_run(request_for(mixed_photos), tmp_path / "run"))
    rows = {row["image"]: row for row in run.mask_rows().to_pylist()}
    assert rows["red_disc/broken.jpg"]["status"] == "unreadable"
    assert "not a picture of a known kind" in rows["red_disc/broken.jpg"]["reason"]
    assert rows["green_square/red.png"]["status"] == "skipped_prediction"
    assert [row["status"] for row in rows.values()].count("ok") == 3
    result = outcome(run)
    assert result.failed == (("red_disc/broken.jpg", rows["red_disc/broken.jpg"]["reason"]),)
    green = result.classes[1]
    assert green.statuses == {"skipped_prediction": 1}
    assert green.drop_binary_mean is None
    assert green.reason == "no image of the class has a mask"
    assert green.summaries_kept == 0


def test_asked_to_a_run_explains_mispredicted_photographs_too(mixed_photos, tmp_path):
    run = start_run(request_for(mixed_photos, keep_mispredicted=True), tmp_path / "run")
    mask_stage(run, Silent())
    rows = {row["image"]: row for row in run.mask_rows().to_pylist()}
    wrong = rows["green_square/red.png"]
    assert wrong["status"] in (MaskStatus.OK, MaskStatus.INFEASIBLE)
    assert (wrong["class_index"], wrong["predicted_index"]) == (1, 0)
    assert wrong["rle"] is not None


# Progress.


def test_progress_adds_up_in_a_new_run_and_in_a_resumed_one(mixed_photos, tmp_path):
    for resumed in (False, True):
        progress = toys.Recorder()
        run = start_run(request_for(mixed_photos), tmp_path / "run")
        if resumed:
            run.masks.discard(0)
        finish(run, progress)
        progress.assert_complete()
        totals = {stage: total for stage, total, _ in progress.stages}
        assert (totals["masks"], totals["report"]) == (5, 2)
        if not resumed:
            assert totals["proposals"] == 3


def test_images_may_be_any_size(tmp_path):
    photos = tmp_path / "photos"
    (photos / "red_disc").mkdir(parents=True)
    Image.fromarray(toys.photograph(0, 0)).resize((200, 100)).save(photos / "red_disc" / "wide.png")
    run = start_run(request_for(photos), tmp_path / "run")
    mask_stage(run, Silent())
    (row,) = run.mask_rows().to_pylist()
    assert (row["crop_x"], row["crop_y"], row["crop_w"], row["crop_h"]) == (50.0, 0.0, 100.0, 100.0)
    assert (row["height"], row["width"]) == (64, 64)


@pytest.mark.parametrize(("backend", "size"), [("cpu", SHARD), ("gpu", 1024), ("tpu", 1024)])
def test_parts_are_larger_on_an_accelerator(monkeypatch, backend, size):
    monkeypatch.setattr("jax.default_backend", lambda: backend)
    assert default_shard_size() == size
