import json
import re

import numpy as np
import pytest
import toys
from PIL import Image

from vissum_jax.data.an8flower import FlowerConfig, flower_classes
from vissum_jax.data.an8flower.annotated import FlowerImage, write_annotated
from vissum_jax.data.truth_masks import open_truth_masks
from vissum_jax.interpretation.responses import response_columns
from vissum_jax.interpretation.selection import FeatureSelection
from vissum_jax.models import load_classifier
from vissum_jax.pipeline.evaluate_heatmaps import HeatmapsRequest, evaluate_heatmaps, first_stride, plan_heatmaps

FLOWERNET = "flowernet-single-6c"
METHODS = ("gradient", "random")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Photographs of toys whose blobs are the truth; one without, one that is no picture, one of another class."""
    folder = tmp_path_factory.mktemp("photos")
    images = toys.write_photographs(folder / "images", {0: 4, 1: 4})
    for path in images.rglob("*.png"):
        colour = np.asarray(Image.open(path)).astype(int)
        blobs = colour.max(axis=2) - colour.min(axis=2) > 100
        (folder / "truth" / path.parent.name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(blobs).save(folder / "truth" / path.parent.name / path.name)
    Image.fromarray(np.zeros((64, 64), bool)).save(folder / "truth" / "green_square" / "3.png")
    (images / "green_square" / "2.png").write_bytes(b"none")
    Image.fromarray(toys.photograph(2, 0)).save(images / "red_disc" / "3.png")
    return folder


def plan(photos, out, **options):
    request = HeatmapsRequest(images=str(photos / "images"), model=toys.MODEL)
    options = {"methods": METHODS, "stride": 2, "batch_size": 4, **options}
    return plan_heatmaps(request, out, open_truth_masks(photos / "truth"), **options)


@pytest.fixture(scope="module")
def finished(photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "heatmaps"
    progress = toys.Recorder()
    values = evaluate_heatmaps(plan(photos, out), progress)
    progress.assert_complete()
    return out, values


def test_what_cannot_be_compared_on_is_counted(finished):
    _, values = finished
    assert values["images"] == 5
    assert values["left_out"] == {"unreadable": 1, "without truth": 1, "answered otherwise": 1}
    assert values["accuracy"] == pytest.approx(6 / 7)


def test_a_map_that_knows_the_network_beats_one_that_does_not(finished):
    _, values = finished
    found = values["methods"]
    assert found["gradient"]["auc"] > found["random"]["auc"] + 5
    assert found["gradient"]["pointing"] == 1.0
    assert values["differences"]["random"]["auc"]["low"] > 0
    assert found["random"]["curve"][0] == pytest.approx(values["truth_area"], abs=1e-6), "all pixels are hot at 0"
    assert found["random"]["grid_energy"] < 1e-6, "a smooth field has no grid"


def test_the_files_hold_what_is_returned(finished):
    out, values = finished
    kept = json.loads((out / "heatmaps.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert {**kept, "report": values["report"]} == json.loads(json.dumps(values))
    assert "| gradient | 5 |" in (out / "heatmaps.md").read_text()
    assert (out / "heatmaps.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "report" / "index.html").is_file()
    assert (out / "report" / "classes" / "2" / "1-3.jpg").is_file(), "photograph, truth and two methods of the second"


def test_done_once_maps_are_not_made_again_and_further_methods_come_beside(finished, photos, monkeypatch):
    out, values = finished
    made = []

    def maps(self, method, images, *_, **__):
        made.append(method)
        return np.full(images.shape[:3], np.nan)

    monkeypatch.setattr("vissum_jax.pipeline.heatmap_methods.HeatmapMaker.maps", maps)
    again = evaluate_heatmaps(plan(photos, out), toys.Recorder())
    assert made == []
    assert again["methods"] == values["methods"]
    more = evaluate_heatmaps(plan(photos, out, methods=(*METHODS, "smooth_grad")), toys.Recorder())
    assert set(made) == {"smooth_grad"}
    assert more["methods"]["smooth_grad"]["auc"] is None, "maps that are not finite are no maps"
    assert more["methods"]["gradient"] == values["methods"]["gradient"]


def test_other_photographs_or_another_measure_are_refused_in_the_same_folder(finished, photos):
    request = HeatmapsRequest(images=str(photos / "images"), model=toys.MODEL, limit=1)
    with pytest.raises(ValueError, match="holds a run with another configuration"):
        plan_heatmaps(request, finished[0], open_truth_masks(photos / "truth"), methods=METHODS, stride=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": ("gradinet",)}, "unknown method 'gradinet': did you mean 'gradient'?"),
        ({"methods": ("ve",)}, "method 've' needs the relevant features: give --features FOLDER"),
        ({"stride": 1}, "`stride` must be 0, for none, or at least 2, got 1."),
        ({"stride": None}, "the network's stride cannot be told ('toy' reports no feature map"),
        ({"rise_masks": 0}, "`masks` must be at least 1, got 0."),
    ],
)
def test_what_does_not_fit_is_said(photos, tmp_path, options, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        plan(photos, tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_truth_of_other_photographs_is_refused(photos, tmp_path):
    request = HeatmapsRequest(images=str(photos / "images"), model=toys.MODEL)
    with pytest.raises(ValueError, match=r"^--truth: none of the 8 photographs, as 'red_disc/0.png', has a mask of"):
        plan_heatmaps(request, tmp_path / "run", open_truth_masks(tmp_path), methods=METHODS, stride=2)


@pytest.fixture(scope="module")
def flowers(tmp_path_factory):
    """Two flowers, and a selection whose features are the two strongest filters of the last layer, by chance."""
    folder = tmp_path_factory.mktemp("flowers")
    for number, flower_class in enumerate(flower_classes("single-6c")[:2]):
        image = FlowerImage(flower_class=flower_class, class_number=number, number=0, seed=11)
        write_annotated(image, folder, FlowerConfig(size=112))
    return folder


def test_ve_shows_the_part_and_the_fix_takes_the_grid_away(flowers, tmp_path):
    classifier = load_classifier(FLOWERNET)
    assert first_stride(classifier) == 2
    columns = response_columns(classifier)
    # What the classifier itself weighs by: the head's weights of the last layer's channels.
    head = np.asarray(classifier.params["classifier"]["kernel"], np.float64)
    weights = np.zeros((len(columns), 2))
    weights[columns.of_layer(columns.layers[-1])] = head[:, :2]
    selection = FeatureSelection(
        model=FLOWERNET,
        columns=columns,
        weights=weights,
        class_index=np.arange(2),
        class_names=classifier.spec.class_names[:2],
        mu=5.0,
    )
    planned = plan_heatmaps(
        HeatmapsRequest(images=str(flowers / "images"), model=FLOWERNET),
        tmp_path / "run",
        open_truth_masks(flowers),
        methods=("ve", "ve_without_fix", "activations", "deconvnet", "deconvnet_fixed"),
        selection=selection,
        batch_size=2,
    )
    values = evaluate_heatmaps(planned, toys.Recorder())
    assert values["images"] == 2
    assert values["methods"]["ve"]["pointing"] == 1.0
    assert values["methods"]["activations"]["auc"] > 100 * values["truth_area"]
    assert set(values["stride_fix"]) == {"ve", "deconvnet_fixed"}
    for found in values["stride_fix"].values():
        assert found["ratio"] < 0.5
