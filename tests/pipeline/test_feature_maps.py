import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
import toys

import vissum_jax as vs
from vissum_jax.matching import MatchingConfig
from vissum_jax.pipeline import RunConfig, StageConfigs, start_run
from vissum_jax.pipeline.feature_maps import feature_maps, matching_endpoint
from vissum_jax.types import Outputs

NETWORK = MatchingConfig(descriptor="network")


def mean_of(images, cells):
    side = toys.SIDE // cells
    return images.reshape(len(images), cells, side, cells, side, -1).mean(axis=(2, 4))


def answer(params, images):
    """The toy's answer, by way of feature maps; `aside` leads nowhere."""
    fine = images * params["gain"] / params["gain"]
    middle = jnp.concatenate([mean_of(fine, 16)] * 2, axis=-1)
    scores = jnp.concatenate([middle[..., :3], middle[..., :1]], axis=-1)
    coarse = scores.reshape(-1, 8, 2, 8, 2, 4).mean(axis=(2, 4))
    outputs = toys.answer(params, images)
    endpoints = {"coarse": coarse, "middle": middle, "scores": scores, "fine": fine, "aside": images[:, ::2, ::2]}
    return Outputs(outputs.logits + 0.0 * coarse.mean(axis=(1, 2)), {**endpoints, **outputs.endpoints})


@pytest.fixture(scope="module")
def classifier():
    return dataclasses.replace(toys.make_classifier(), apply=answer)


def test_the_last_map_that_is_fine_enough_and_no_class_map_is_taken(classifier):
    assert matching_endpoint(classifier, NETWORK) == "middle"
    assert matching_endpoint(classifier, MatchingConfig(descriptor="both", endpoint_cells=17)) == "fine"


def test_a_map_may_be_named(classifier):
    assert matching_endpoint(classifier, MatchingConfig(descriptor="network", endpoint="coarse")) == "coarse"
    with pytest.raises(ValueError, match=r"^`endpoint` 'last' is no feature map of 'toy'; these are: aside, coarse, "):
        matching_endpoint(classifier, MatchingConfig(descriptor="network", endpoint="last"))
    with pytest.raises(ValueError, match=r"^`endpoint` 'features' is no feature map"):
        matching_endpoint(classifier, MatchingConfig(descriptor="network", endpoint="features"))


def test_a_network_without_any_map_is_refused_in_a_line():
    with pytest.raises(
        ValueError, match=r"^`descriptor` 'network' needs a feature map of at least 12 x 12 cells, and "
    ):
        matching_endpoint(toys.make_classifier(), NETWORK)


def test_such_a_network_is_refused_before_a_run_is_started(tmp_path):
    photos = toys.write_photographs(tmp_path / "photos", {0: 1})
    request = RunConfig(images=str(photos), model=toys.MODEL, overrides={"matching": {"descriptor": "both"}})
    with pytest.raises(ValueError, match=r"^`descriptor` 'both' needs a feature map"):
        start_run(request, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_maps_come_in_batches_of_one_size(classifier):
    images = np.stack([toys.photograph(0, seed) for seed in range(5)])
    maps = feature_maps(classifier, NETWORK, batch_size=2)(images)
    expected = mean_of(images.astype(np.float32) / 255, 16)
    np.testing.assert_allclose(maps, np.concatenate([expected] * 2, axis=-1), atol=1e-5)


def test_nothing_is_needed_for_hog(classifier):
    assert feature_maps(classifier, MatchingConfig(descriptor="hog"), batch_size=2) is None


def test_by_default_the_network_decides(classifier):
    assert matching_endpoint(classifier, MatchingConfig()) == "middle"
    assert matching_endpoint(toys.make_classifier(), MatchingConfig()) is None
    assert feature_maps(toys.make_classifier(), MatchingConfig(), batch_size=2) is None


@pytest.mark.parametrize(
    ("model", "overrides", "expected"),
    [
        (toys.MODEL, {}, {"descriptor": "hog", "endpoint": ""}),
        ("flowernet", {}, {"descriptor": "both", "endpoint": "stage_2"}),
        (
            "flowernet",
            {"descriptor": "network", "endpoint": "stage_1"},
            {"descriptor": "network", "endpoint": "stage_1"},
        ),
        ("flowernet", {"descriptor": "hog"}, {"descriptor": "hog", "endpoint": ""}),
    ],
)
def test_what_the_network_decides_is_on_record(tmp_path, model, overrides, expected):
    photos = toys.write_photographs(tmp_path / "photos", {0: 1})
    (photos / "labels.csv").write_text("folder,imagenet_index\nred_disc,0\n")
    started = start_run(RunConfig(images=str(photos), model=model, overrides={"matching": overrides}), tmp_path / "run")
    assert started.manifest.configuration["matching"].items() >= expected.items()
    start_run(started.config, tmp_path / "run")  # goes on


@pytest.mark.parametrize("descriptor", ["network", "both"])
def test_parts_are_found_by_a_networks_features(classifier, descriptor):
    images = np.stack([toys.photograph(0, seed) for seed in range(5)])
    masks = vs.extract_masks(classifier, images, class_index=0, config=toys.mask_config())
    configs = dataclasses.replace(toys.stage_configs(), matching=MatchingConfig(descriptor=descriptor))
    assert isinstance(configs, StageConfigs)
    (result,) = vs.summarize(classifier, images, masks, configs=configs).classes
    assert result.kept
