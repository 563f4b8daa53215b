import json
import shutil

import numpy as np
import pytest
import toys
from PIL import Image

from vissum_jax.deep_inside.saliency import SaliencyConfig
from vissum_jax.pipeline import ChangedError, NotReadyError
from vissum_jax.pipeline import saliency as module
from vissum_jax.pipeline.progress import Silent
from vissum_jax.pipeline.saliency import (
    SaliencyRequest,
    read_map,
    saliency_outcome,
    saliency_report,
    saliency_stage,
    start_saliency,
)

SHARD = 3


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two red discs, two green squares, a green square among the reds, and a file that is no picture."""
    root = toys.write_photographs(tmp_path_factory.mktemp("photos"), {0: 2, 1: 2})
    Image.fromarray(toys.photograph(1, 7)).resize((80, 64)).save(root / "red_disc" / "wrong.png")
    (root / "red_disc" / "broken.png").write_text("no picture")
    return root


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr("vissum_jax.pipeline.run.SHARD_SIZE", SHARD)


def request_for(photos, **values):
    return SaliencyRequest(**{"images": str(photos), "model": toys.MODEL, **values})


@pytest.fixture(scope="module")
def finished(photos, tmp_path_factory):
    """A finished run; not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vissum_jax.pipeline.run.SHARD_SIZE", SHARD)
        opened = start_saliency(request_for(photos), tmp_path_factory.mktemp("runs") / "run")
        saliency_stage(opened, Silent(), batch_size=2)
        return opened


def test_rows_say_how_each_photograph_ended(finished):
    rows = {row["image"]: row for row in finished.rows().to_pylist()}
    assert {image: row["status"] for image, row in rows.items()} == {
        "red_disc/0.png": "ok",
        "red_disc/1.png": "ok",
        "red_disc/broken.png": "unreadable",
        "red_disc/wrong.png": "skipped_prediction",
        "green_square/0.png": "ok",
        "green_square/1.png": "ok",
    }
    assert "green square" in rows["red_disc/wrong.png"]["reason"]
    assert rows["red_disc/wrong.png"]["predicted_index"] == 1
    assert rows["red_disc/broken.png"]["height"] is None
    sound = rows["green_square/0.png"]
    assert sound["explained_index"] == 1
    assert 0.5 < sound["probability"] <= 1
    assert (sound["height"], sound["width"]) == (64, 64)
    assert saliency_outcome(finished)["statuses"] == {"ok": 4, "unreadable": 1, "skipped_prediction": 1}


def test_maps_show_where_the_class_is(finished, photos):
    for image, channel in (("red_disc/0.png", 0), ("green_square/1.png", 1)):
        saliency = read_map(finished.run.folder, image)
        pixels = np.asarray(Image.open(photos / image)).astype(int)
        blob = pixels[..., channel] > 200
        assert saliency.shape == blob.shape
        assert saliency[blob].mean() > 5 * saliency[~blob].mean()
        with Image.open(finished.run.folder / "overlays" / f"{image}.png") as overlay:
            assert overlay.size == (64, 64)


def test_a_photograph_without_an_explanation_has_no_map(finished):
    maps = {path.relative_to(finished.run.folder / "maps").as_posix() for path in finished.run.folder.rglob("*.npz")}
    assert maps == {
        f"{image}.npz" for image in ("red_disc/0.png", "red_disc/1.png", "green_square/0.png", "green_square/1.png")
    }


def test_a_stopped_run_goes_on_with_the_parts_that_are_missing(finished, photos, tmp_path, monkeypatch):
    folder = shutil.copytree(finished.run.folder, tmp_path / "run")
    opened = start_saliency(request_for(photos), folder)
    opened.store.discard(1)
    with pytest.raises(NotReadyError, match="1 of 2 parts are not done"):
        opened.rows()
    explained = []
    original = module.see
    monkeypatch.setattr(
        module, "see", lambda run, entries, *a, **k: explained.extend(entries) or original(run, entries, *a, **k)
    )
    progress = toys.Recorder()
    saliency_stage(opened, progress, batch_size=4)
    progress.assert_complete()
    assert [entry.image for entry in explained] == [entry[0] for entry in opened.run.manifest.entries[3:]]
    assert (
        opened.rows()
        .drop_columns(["probability", "largest", "mean"])
        .equals(finished.rows().drop_columns(["probability", "largest", "mean"]))
    ), "whatever the batch size"


def test_another_configuration_is_refused(finished, photos):
    with pytest.raises(ValueError, match=r"another configuration.*saliency.views: 'centre' -> 'ten'"):
        start_saliency(request_for(photos, saliency=SaliencyConfig(views="ten")), finished.run.folder)


def test_the_networks_own_answer_is_explained_on_request_in_ten_views(photos, tmp_path):
    request = request_for(photos, predicted=True, saliency=SaliencyConfig(views="ten"), classes=("red_disc",))
    opened = start_saliency(request, tmp_path / "run")
    saliency_stage(opened, Silent(), batch_size=20)
    row = next(row for row in opened.rows().to_pylist() if row["image"] == "red_disc/wrong.png")
    assert (row["status"], row["explained_index"], row["width"]) == ("ok", 1, 80)
    assert read_map(tmp_path / "run", row["image"]).shape == (64, 80)


def test_what_the_network_cannot_say_is_marked(photos, tmp_path, monkeypatch):
    for changes, status in (({"breaks_above": -1.0}, "non_finite"), ({"gain": 0.0, "nothing": -9.0}, "infeasible")):
        monkeypatch.setattr(toys, "changed", lambda changes=changes: toys.make_classifier(**changes), raising=False)
        request = request_for(photos, model="toys:changed", classes=("green_square",), keep_mispredicted=True)
        opened = start_saliency(request, tmp_path / status)
        saliency_stage(opened, Silent(), batch_size=4)
        rows = opened.rows().to_pylist()
        assert [row["status"] for row in rows] == [status] * 2
        page = saliency_report(opened, Silent())
        assert rows[0]["reason"] in (page.parent / "classes" / "0" / "index.html").read_text()


def test_the_report_shows_every_photograph(finished, photos, tmp_path):
    folder = shutil.copytree(finished.run.folder, tmp_path / "run")
    opened = start_saliency(request_for(photos), folder)
    progress = toys.Recorder()
    page = saliency_report(opened, progress)
    progress.assert_complete()
    assert "red disc" in page.read_text()
    own = (page.parent / "classes" / "0" / "index.html").read_text()
    for text in ("red_disc/0.png", "broken.png", "the network answers green square"):
        assert text.replace("_", " ") in own.replace("_", " ")


def test_a_photograph_that_changed_is_not_shown_with_another_ones_saliency(finished, photos, tmp_path):
    own = shutil.copytree(photos, tmp_path / "photos")
    opened = start_saliency(request_for(own), tmp_path / "run")
    saliency_stage(opened, Silent(), batch_size=4)
    Image.fromarray(toys.photograph(0, 99)).save(own / "red_disc" / "0.png")
    with pytest.raises(ChangedError, match=r"'red_disc/0.png' has changed since it was explained"):
        saliency_report(opened, Silent())
    (tmp_path / "run" / "maps" / "red_disc" / "0.png.npz").unlink()
    Image.fromarray(toys.photograph(0, 0)).save(own / "red_disc" / "0.png")
    with pytest.raises(NotReadyError, match="is gone; start another run"):
        saliency_report(opened, Silent())


def test_the_manifest_says_what_kind_of_run_it_is(finished):
    manifest = json.loads((finished.run.folder / "manifest.json").read_text())
    assert manifest["configuration"]["kind"] == "saliency"
    assert manifest["configuration"]["saliency"]["views"] == "centre"
    assert "preset" not in manifest["configuration"]
