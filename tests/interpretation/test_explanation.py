"""Explanations of a network whose filters are colours."""

import numpy as np
import pytest
from oracles.attribution import colour_net, colour_picture, share_inside

from vissum_jax.attribution.deconvnet import feature_heat_map, upsampled_activation
from vissum_jax.attribution.guided import guided_relu
from vissum_jax.interpretation import explanation as module
from vissum_jax.interpretation.explanation import (
    Explanation,
    ExplanationConfig,
    Feature,
    explain,
    strengths,
    supporting,
)
from vissum_jax.interpretation.responses import Columns
from vissum_jax.interpretation.selection import FeatureSelection

COLUMNS = Columns(("zero", "between"), (3, 3))
PICTURES = [colour_picture(number % 3, seed=number) for number in range(5)]
IMAGES = np.stack([picture for picture, _ in PICTURES])


def selection(weights, class_index=(0, 1, 2)):
    names = tuple(f"class {index}" for index in class_index)
    return FeatureSelection(
        model="planted",
        columns=COLUMNS,
        weights=np.asarray(weights, float),
        class_index=np.array(class_index),
        class_names=names,
        mu=10.0,
    )


# Each colour speaks for its own class at both layers, and the next colour against it.
OWN = selection(np.concatenate([2 * np.eye(3) - np.roll(np.eye(3), 1, axis=0), np.eye(3)]))


def explained(images=IMAGES, class_index=None, *, chosen=OWN, batch_size=2, **options):
    config = ExplanationConfig(**options)
    return explain(
        colour_net(), colour_net(guided_relu), chosen, images, class_index, config=config, batch_size=batch_size
    )


def test_strengths_are_shares_of_what_is_said_for_and_against():
    found = strengths(np.array([0.5, 0.25, 0.1, 0.0]), np.array([2.0, -4.0, 0.0, 3.0]))
    np.testing.assert_allclose(found, [0.5, -0.5, 0, 0])
    np.testing.assert_array_equal(strengths(np.zeros(2), np.ones(2)), [0, 0])


def test_only_what_speaks_for_a_class_supports_it_strongest_first():
    chosen = selection(np.array([[1.0, -1, 1, 0, 2, 1]] * 3).T)
    response = np.array([0.2, 0.9, 0.2, 0.5, 0.3, 0.1])
    found = supporting(chosen, response, 1, top=3)
    assert [(feature.layer, feature.channel) for feature in found] == [("between", 1), ("zero", 0), ("zero", 2)]
    total = 0.2 + 0.9 + 0.2 + 0.6 + 0.1
    np.testing.assert_allclose([feature.strength for feature in found], [0.6 / total, 0.2 / total, 0.2 / total])
    assert [feature.channel for feature in supporting(chosen, np.eye(6)[1], 1, top=3)] == []
    assert supporting(chosen, response, 3, top=3) == (), "nothing was selected for class 3"


def test_the_networks_answer_is_explained_by_its_own_colour():
    for (_, own), result, number in zip(PICTURES, explained(), range(5), strict=True):
        assert result.class_index == number % 3 == np.argmax(result.probability)
        assert [(feature.layer, feature.channel) for feature in result.features] == [
            ("zero", number % 3),
            ("between", number % 3),
        ]
        assert result.maps.shape == (2, 32, 32)
        assert (result.maps.min(), result.maps.max()) == (0, 1)
        assert share_inside(result.combined, own, 0.06) > 0.9
        np.testing.assert_array_equal(result.combined, np.maximum(*result.maps))


def test_maps_are_those_of_the_features_kernels():
    for visual, kernel in (("deconvnet", feature_heat_map), ("activation", upsampled_activation)):
        network = colour_net(guided_relu) if visual == "deconvnet" else colour_net()
        results = explained(top=1, visual=visual)
        channels = np.array([feature.channel for result in results for feature in result.features])
        alone = kernel(network, IMAGES / np.float32(255), channels, endpoint="zero")
        np.testing.assert_allclose(np.concatenate([result.maps for result in results]), alone, atol=1e-5)


def test_other_classes_can_be_explained_and_some_have_nothing_to_say():
    result, none = explained(IMAGES[:2], np.array([1, 3]))
    assert result.class_index == 1
    assert {feature.channel for feature in result.features} == {1}, "the duller square"
    assert (none.features, none.maps.shape) == ((), (0, 32, 32))
    np.testing.assert_array_equal(none.combined, np.zeros((32, 32)))


def test_an_explanation_does_not_depend_on_the_batch_nor_is_anything_compiled_for_a_channel():
    whole = explained(batch_size=4)
    before = module._heat_maps._cache_size()
    order = np.array([3, 0, 4, 2])
    for result, row in zip(explained(IMAGES[order], batch_size=4), order, strict=True):
        named = [(feature.layer, feature.channel) for feature in result.features]
        assert named == [(feature.layer, feature.channel) for feature in whole[row].features]
        np.testing.assert_allclose(result.maps, whole[row].maps, atol=1e-5)
    assert module._heat_maps._cache_size() == before
    assert explained(IMAGES[:0]) == []


def test_progress_counts_every_image_once():
    calls = []
    nothing = selection(np.zeros((6, 3)))
    for chosen in (OWN, nothing):
        config = ExplanationConfig()
        calls.clear()
        explain(
            colour_net(),
            colour_net(guided_relu),
            chosen,
            IMAGES,
            config=config,
            batch_size=4,
            progress=calls.append,
        )
        assert sum(calls) == len(IMAGES)


def test_the_combined_map_is_the_largest_at_each_pixel():
    maps = np.array([[[0.1, 0.9]], [[0.5, 0.2]]], np.float32)
    features = (Feature("a", 0, 0.5), Feature("b", 1, 0.5))
    result = Explanation(class_index=0, probability=np.ones(1), features=features, maps=maps)
    np.testing.assert_array_equal(result.combined, np.array([[0.5, 0.9]], np.float32))


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"`top` must be at least 1, got 0\."):
        ExplanationConfig(top=0)
    with pytest.raises(ValueError, match=r"`visual` must be one of deconvnet, activation, got 'gradient'\."):
        ExplanationConfig(visual="gradient")
