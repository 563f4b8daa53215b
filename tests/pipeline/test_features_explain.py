"""Explanations of the bundled network on rendered flowers, by features chosen for it here."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import toys
from explained_flowers import FLOWERS, write_features, write_flowers
from PIL import Image

from vissum_jax.interpretation.explanation import ExplanationConfig
from vissum_jax.pipeline import NotReadyError
from vissum_jax.pipeline import features_explain as module
from vissum_jax.pipeline.explanation_pages import explain_outcome, explain_report, write_answers
from vissum_jax.pipeline.features_explain import ExplainRequest, explain_stage, read_maps, start_explain
from vissum_jax.pipeline.progress import Silent

SHARD = 3


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_flowers(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    return write_features(tmp_path_factory.mktemp("features"))


def request_for(photos, features, **values):
    return ExplainRequest(**{"images": str(photos), "model": "flowernet", "features": str(features), **values})


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr("vissum_jax.pipeline.run.SHARD_SIZE", SHARD)


@pytest.fixture(scope="module")
def finished(photos, features, tmp_path_factory):
    """A finished run; not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vissum_jax.pipeline.run.SHARD_SIZE", SHARD)
        opened = start_explain(request_for(photos, features), tmp_path_factory.mktemp("runs") / "run")
        progress = toys.Recorder()
        explain_stage(opened, progress, batch_size=2)
        progress.assert_complete()
        return opened


def test_rows_say_what_each_answer_rests_on(finished):
    rows = {row["image"]: row for row in finished.rows().to_pylist()}
    first, second = FLOWERS[0].name, FLOWERS[1].name
    assert {image: row["status"] for image, row in rows.items()} == {
        f"{first}/0.png": "ok",
        f"{first}/1.png": "ok",
        f"{second}/0.png": "ok",
        f"{second}/1.png": "infeasible",
        f"{second}/broken.png": "unreadable",
    }
    unknown = rows[f"{second}/1.png"]
    assert unknown["reason"] == f"no features were selected for {FLOWERS[3].name}"
    assert (unknown["predicted_index"], unknown["explained_index"], unknown["features"]) == (3, 3, [])
    for image, index in ((f"{first}/0.png", 0), (f"{second}/0.png", 1)):
        row = rows[image]
        assert (row["explained_index"], row["explained_name"]) == (index, FLOWERS[index].name)
        assert 0.5 < row["probability"] <= 1
        strengths = [feature["strength"] for feature in row["features"]]
        assert len(strengths) == 3
        assert strengths == sorted(strengths, reverse=True)
        assert 0 < strengths[-1] <= strengths[0] < 1
    speaking = rows[f"{second}/0.png"]["features"]
    assert all(feature["layer"] == "stage_0" or feature["channel"] % 2 == 1 for feature in speaking), "those for it"


def test_maps_and_pictures_have_the_photographs_size(finished):
    run = finished.run.folder
    image = f"{FLOWERS[0].name}/0.png"
    maps = read_maps(run, image)
    assert maps.shape == (3, 112, 112)
    assert (maps.min(), maps.max()) == (0, 1)
    for ending in (".1.png", ".2.png", ".3.png", ".png"):
        with Image.open(run / "overlays" / f"{image}{ending}") as overlay:
            assert overlay.size == (112, 112)
    with np.load(run / "maps" / f"{image}.npz") as arrays:
        rows = {row["image"]: row for row in finished.rows().to_pylist()}
        assert arrays["channel"].tolist() == [feature["channel"] for feature in rows[image]["features"]]
    assert not list((run / "maps" / FLOWERS[1].name).glob("1.png*")), "what nothing speaks for has no map"


def test_a_stopped_run_goes_on_and_finds_the_same(finished, photos, features, tmp_path, monkeypatch):
    folder = shutil.copytree(finished.run.folder, tmp_path / "run")
    opened = start_explain(request_for(photos, features), folder)
    opened.store.discard(0)
    with pytest.raises(NotReadyError, match=r"1 of 2 parts are not done; give the same `vissum features explain`"):
        opened.rows()
    explained = []
    original = module.explain
    monkeypatch.setattr(module, "explain", lambda *a, **k: explained.append(len(a[3])) or original(*a, **k))
    explain_stage(opened, Silent(), batch_size=2)
    assert explained == [3]
    assert opened.rows().equals(finished.rows()), "to the last bit"
    for path in (finished.run.folder / "maps").rglob("*.npz"):
        again = folder / path.relative_to(finished.run.folder)
        assert again.read_bytes() == path.read_bytes()


def test_another_selection_is_another_run(finished, photos, features, tmp_path):
    other = write_features(shutil.copytree(features, tmp_path / "features"), mu=5.0)
    with pytest.raises(ValueError, match=r"another configuration.*features_sha256"):
        start_explain(request_for(photos, other), finished.run.folder)
    with pytest.raises(ValueError, match=r"explanation.top: 3 -> 1"):
        start_explain(request_for(photos, features, explanation=ExplanationConfig(top=1)), finished.run.folder)


def test_features_of_another_network_are_refused(photos, tmp_path):
    other = write_features(tmp_path / "features", sha256="0" * 64)
    with pytest.raises(ValueError, match="these features were selected for 'flowernet' with other weights, not for"):
        start_explain(request_for(photos, other), tmp_path / "run")
    with pytest.raises(ValueError, match="these features were selected for 'flowernet', not for 'toy'"):
        start_explain(
            request_for(toys.write_photographs(tmp_path / "toys", {0: 1}), other, model=toys.MODEL), tmp_path / "run"
        )
    with pytest.raises(FileNotFoundError, match="holds no selected features"):
        start_explain(request_for(photos, tmp_path), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_page_shows_every_photograph_with_what_speaks_for_it(finished, photos, features, tmp_path):
    folder = shutil.copytree(finished.run.folder, tmp_path / "run")
    opened = start_explain(request_for(photos, features), folder)
    averages = shutil.copytree(features, tmp_path / "features") / "averages"
    averages.mkdir()
    Image.fromarray(np.full((40, 60, 3), 200, np.uint8)).save(averages / "0.png")
    request = dataclasses.replace(opened.request, features=str(averages.parent))
    progress = toys.Recorder()
    page = explain_report(dataclasses.replace(opened, request=request), progress)
    progress.assert_complete()
    pages = [(page.parent / "classes" / str(number) / "index.html").read_text() for number in (0, 1)]
    row = opened.rows().to_pylist()[0]
    for feature in row["features"]:
        assert f"{feature['layer']} {feature['channel']}: {feature['strength']:.0%}" in pages[0]
    assert pages[0].count("<img") == 2 * 5 + 1, "the photograph, three features, all of them combined; the averages"
    assert "What its relevant filters respond to" in pages[0]
    assert "What its relevant filters respond to" not in pages[1], "nothing was averaged for this class"
    assert "no features were selected for" in pages[1]
    answers = json.loads(write_answers(opened).read_text())
    assert [answer["image"] for answer in answers] == [entry[0] for entry in opened.run.manifest.entries]
    assert answers[0]["features"] == row["features"]
    figures = explain_outcome(opened)
    assert figures["statuses"] == {"ok": 3, "infeasible": 1, "unreadable": 1}
    assert sum(figures["features"].values()) == 9
    (folder / "maps" / f"{row['image']}.npz").unlink()
    with pytest.raises(NotReadyError, match="is gone; start another run"):
        explain_report(opened, Silent())
