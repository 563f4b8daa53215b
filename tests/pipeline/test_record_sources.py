"""One and the same photographs from a folder, a prepared data set and tar files: the same rows, whatever the names."""

import json

import pytest
import toys
from records import Sample, png, write_tar, write_tfds

from vissum_jax.pipeline import RunConfig, mask_stage, open_run, outcome, report_stage, start_run, summary_stage
from vissum_jax.pipeline.progress import Silent
from vissum_jax.pipeline.saliency import SaliencyRequest, saliency_stage, start_saliency

COUNTS = {0: 4, 1: 3}
NAMES = [name.replace(" ", "_") for name in toys.CLASSES]


def config(images, **options):
    return RunConfig(images=str(images), model=toys.MODEL, overrides=toys.overrides(), **options)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """The photographs of `toys.write_photographs`, kept in three ways."""
    root = tmp_path_factory.mktemp("places")
    toys.write_photographs(root / "photos", COUNTS)
    photos = [(index, seed, png(toys.photograph(index, seed))) for index, n in COUNTS.items() for seed in range(n)]
    samples = [Sample(f"{NAMES[index]}-{seed}.png", data, index) for index, seed, data in photos]
    prepared = write_tfds(root / "tfds", NAMES, samples, file_name=True)
    files = {}
    for index, seed, data in photos:
        files |= {f"{index}-{seed}.png": data, f"{index}-{seed}.cls": str(index).encode()}
    write_tar(root / "all.tar", files)
    return {
        "folder": root / "photos",
        "tfds": f"tfds:{prepared}/validation",
        "webdataset": f"webdataset:{root}/all.tar",
    }


def finish(run):
    mask_stage(run, Silent(), batch_size=1)  # alone, so that their order does not count
    summary_stage(run, Silent())
    report_stage(run, Silent())
    return run


@pytest.fixture(scope="module")
def runs(places, tmp_path_factory):
    """A finished run of each."""
    root = tmp_path_factory.mktemp("runs")
    return {kind: finish(start_run(config(place), root / kind)) for kind, place in places.items()}


@pytest.mark.parametrize("kind", ["tfds", "webdataset"])
def test_masks_are_those_of_the_folder(runs, kind):
    def by_content(run):
        rows = run.mask_rows().drop_columns(["image"]).to_pylist()
        return {row["content_sha256"]: row for row in rows}

    assert by_content(runs[kind]) == by_content(runs["folder"])
    assert [result.statuses for result in outcome(runs[kind]).classes] == [{"ok": 4}, {"ok": 3}]
    assert (runs[kind].folder / "report" / "index.html").is_file()


@pytest.mark.parametrize("kind", ["tfds", "webdataset"])
def test_the_manifest_freezes_the_list_and_the_run_opens_from_it(runs, kind, monkeypatch):
    monkeypatch.setattr("vissum_jax.data.tfds_source._listed", None)  # no second pass through the data
    again = open_run(runs[kind].folder)
    assert again.source.entries == runs[kind].source.entries
    entries = json.loads((again.folder / "manifest.json").read_text())["entries"]
    assert [tuple(entry) for entry in entries] == [(e.image, e.class_index, e.class_name) for e in again.source.entries]


@pytest.mark.parametrize("kind", ["tfds", "webdataset"])
def test_another_choice_of_photographs_is_refused_with_what_differs(places, runs, kind):
    with pytest.raises(ValueError, match=r"run\.limit: None -> 2; images: 7 -> 4"):
        start_run(config(places[kind], limit=2), runs[kind].folder)
    with pytest.raises(ValueError, match="images: 7 -> 3"):
        start_run(config(places[kind], classes=("green square",)), runs[kind].folder)


def test_tar_files_that_gained_a_photograph_are_refused(places, tmp_path):
    files = {"a.png": png(toys.photograph(0, 0)), "a.cls": b"0"}
    write_tar(tmp_path / "x.tar", files)
    start_run(config(f"webdataset:{tmp_path}/x.tar"), tmp_path / "run")
    write_tar(tmp_path / "x.tar", {**files, "b.png": png(toys.photograph(0, 1)), "b.cls": b"0"})
    with pytest.raises(ValueError, match=r"images: 1 -> 2 \(0 gone, 1 added\)"):
        open_run(tmp_path / "run")


def test_relative_patterns_are_opened_from_anywhere(places, tmp_path, monkeypatch):
    write_tar(tmp_path / "x-0.tar", {"a.png": png(toys.photograph(0, 0)), "a.cls": b"0"})
    monkeypatch.chdir(tmp_path)
    start_run(config("webdataset:x-{0..0}.tar"), tmp_path / "run")
    monkeypatch.chdir("/")
    assert len(open_run(tmp_path / "run").source.entries) == 1


@pytest.mark.parametrize("kind", ["tfds", "webdataset"])
def test_saliency_is_found_on_records_too(places, tmp_path, kind):
    run = start_saliency(SaliencyRequest(images=places[kind], model=toys.MODEL, limit=1), tmp_path / "run")
    saliency_stage(run, Silent())
    assert {row["status"] for row in run.rows().to_pylist()} == {"ok"}
