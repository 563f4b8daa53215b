import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from feature_toys import LAYERS, make_classifier, photograph
from oracles.attribution import classifier_of

from vissum_jax.interpretation.responses import Columns, response_columns, responses, strongest_places
from vissum_jax.types import Outputs

IMAGES = np.stack([photograph(number % 3, number) for number in range(4)]).astype(np.float32) / 255


def expected(classifier, images, layers):
    """By the definition, map by map."""
    endpoints = classifier(images).endpoints
    vectors = []
    for row in range(len(images)):
        parts = []
        for layer in layers:
            energy = [
                float((np.asarray(endpoints[layer][row, :, :, k], np.float64) ** 2).sum())
                for k in range(endpoints[layer].shape[-1])
            ]
            parts += [value / sum(energy) if sum(energy) else 0.0 for value in energy]
        length = np.sqrt(np.sum(np.square(parts)))
        vectors.append(np.asarray(parts) / length if length else np.zeros(len(parts)))
    return np.stack(vectors)


def test_responses_are_shares_of_a_layers_energy_of_length_1():
    classifier = make_classifier()
    found = responses(classifier, jnp.asarray(IMAGES), layers=LAYERS)
    np.testing.assert_allclose(found, expected(classifier, IMAGES, LAYERS), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)


def test_images_do_not_depend_on_their_batch():
    classifier = make_classifier()
    whole = responses(classifier, jnp.asarray(IMAGES), layers=LAYERS)
    np.testing.assert_allclose(responses(classifier, jnp.asarray(IMAGES[2:3]), layers=LAYERS), whole[2:3], rtol=1e-6)


def test_silent_layers_count_as_0():
    classifier = make_classifier()
    black = jnp.zeros_like(IMAGES[:1])
    assert not responses(classifier, black, layers=("colours",)).any()
    both = responses(classifier, black, layers=LAYERS)
    assert np.isfinite(both).all()


def test_what_is_not_finite_stays_so():
    classifier = make_classifier()
    assert np.isnan(responses(classifier, jnp.asarray(IMAGES[:1] * np.nan), layers=LAYERS)).any()


def test_columns_are_the_filters_of_maps_that_the_logits_use():
    def apply(params, images):
        maps = jax.nn.relu(images @ params)
        late = jnp.tanh(maps[:, ::2, ::2])
        endpoints = {"a": late, "b": maps, "same": maps, "unused": maps * 2, "pooled": late.mean((1, 2))}
        return Outputs(endpoints["pooled"], endpoints)

    classifier = classifier_of(jax.jit(apply), jnp.ones((3, 5)), classes=5, side=8)
    columns = response_columns(classifier)
    assert columns == Columns(("b", "a"), (5, 5)), "in the order of computation, each map once"
    assert len(columns) == 10
    assert columns.filter(7) == ("a", 2)
    assert columns.column("a", 2) == 7
    assert columns.of_layer("a") == slice(5, 10)
    with pytest.raises(ValueError, match=r"^`layer` 'c' is none of b, a\.$"):
        columns.of_layer("c")
    with pytest.raises(IndexError):
        columns.column("b", 5)


def test_a_network_without_maps_is_refused():
    classifier = classifier_of(
        lambda params, images: Outputs(images.mean((1, 2)), {"pooled": images.mean((1, 2))}), {}, classes=3, side=8
    )
    named = dataclasses.replace(classifier, spec=dataclasses.replace(classifier.spec, name="flat"))
    with pytest.raises(ValueError, match=r"^'flat' reports no feature map"):
        response_columns(named)


@pytest.mark.parametrize(
    ("layers", "widths", "message"),
    [
        ((), (), "`widths` must be one per layer, got 0 for 0 layers."),
        (("a",), (1, 2), "`widths` must be one per layer, got 2 for 1 layers."),
        (("a", "a"), (1, 2), "`layers` must differ, got a, a."),
        (("a", "b"), (1, 0), "`widths` must be positive, got 0."),
    ],
)
def test_columns_check_themselves(layers, widths, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Columns(layers, widths)


def test_the_strongest_place_of_every_filter():
    classifier = make_classifier()
    found = np.asarray(strongest_places(classifier, jnp.asarray(IMAGES), layers=LAYERS))
    endpoints = classifier(IMAGES).endpoints
    column = 0
    for layer in LAYERS:
        maps = np.asarray(endpoints[layer])
        for channel in range(maps.shape[-1]):
            for row in range(len(IMAGES)):
                own = maps[row, :, :, channel]
                assert own[tuple(found[row, column])] == own.max()
            column += 1
