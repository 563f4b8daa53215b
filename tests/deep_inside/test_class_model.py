import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles.attribution import classifier_of

from vissum_jax.deep_inside.class_model import ClassModelConfig, class_models
from vissum_jax.types import Outputs

SIDE = 8
MEAN = np.full(3, 0.5, np.float32)


def linear_net():
    """S_c = <w_c, image>: the optimum of S_c - lambda |I|^2 is w_c / (2 lambda)."""
    weights = np.random.default_rng(0).normal(0, 0.05, (SIDE, SIDE, 3, 4)).astype(np.float32)
    return weights, classifier_of(
        lambda p, x: Outputs(jnp.einsum("bhwc,hwck->bk", x, p, precision="highest"), {}), weights, classes=4, side=SIDE
    )


def found(classifier, classes=(0, 2), **config):
    result = class_models(classifier, np.array(classes), MEAN, ClassModelConfig(**config))
    return jax.device_get(result)


@pytest.mark.parametrize("parametrisation", ["pixel", "frequency"])
def test_the_optimum_of_a_linear_network_is_known(parametrisation):
    weights, classifier = linear_net()
    result = found(classifier, l2=0.1, steps=600, rate=2e-4, momentum=0.9, parametrisation=parametrisation)
    for row, index in enumerate((0, 2)):
        expected = weights[..., index] / (2 * 0.1)
        error = np.linalg.norm(result.offset[row] - expected) / np.linalg.norm(expected)
        assert error < 0.05


def test_the_first_step_goes_along_the_gradient_from_the_mean_image_with_the_given_length():
    weights, classifier = linear_net()
    result = found(classifier, steps=1, rate=0.02)
    for row, index in enumerate((0, 2)):
        own = weights[..., index]
        np.testing.assert_allclose(result.offset[row], 0.02 * own / np.sqrt(np.mean(own**2)), rtol=1e-5)


def test_what_is_saved_is_clipped_and_judged_as_it_is_saved():
    weights, classifier = linear_net()
    result = found(classifier, steps=4, rate=0.1, l2=0.0)
    assert np.abs(result.offset).max() > 0.5, "it leaves the range of colours"
    shown = result.picture.astype(np.float64) / 255
    np.testing.assert_array_equal(result.picture, np.rint(np.clip(MEAN + result.offset, 0, 1) * 255))
    for images, scores, probabilities in (
        (MEAN + result.offset, result.score, result.probability),
        (shown, result.picture_score, result.picture_probability),
    ):
        logits = np.einsum("bhwc,hwck->bk", images, weights)
        powers = np.exp(logits - logits.max(1, keepdims=True))
        softmax = powers / powers.sum(1, keepdims=True)
        np.testing.assert_allclose(scores, logits[[0, 1], [0, 2]], rtol=1e-4)
        np.testing.assert_allclose(probabilities, softmax[[0, 1], [0, 2]], rtol=1e-4)
    assert np.all(result.picture_score < result.score)


def test_classes_of_a_batch_do_not_interact():
    _, classifier = linear_net()
    both = found(classifier, steps=7, jitter=2, blur=0.5)
    alone = found(classifier, classes=(2,), steps=7, jitter=2, blur=0.5)
    np.testing.assert_allclose(alone.offset[0], both.offset[1], atol=1e-6)


def test_a_stronger_penalty_gives_a_weaker_image():
    _, classifier = linear_net()
    sizes = [np.square(found(classifier, l2=l2, steps=60, rate=0.002).offset).sum() for l2 in (0.1, 1.0)]
    assert sizes[1] < sizes[0]


def test_jitter_moves_the_image_and_follows_the_seed():
    _, classifier = linear_net()
    one, same, other = (found(classifier, steps=5, jitter=3, seed=seed).offset for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-3


def test_blur_smooths_and_frequencies_favour_large_shapes():
    _, classifier = linear_net()

    def roughness(offset):
        return np.square(np.diff(offset, axis=1)).sum() / np.square(offset).sum()

    plain = roughness(found(classifier, steps=10).offset)
    assert roughness(found(classifier, steps=10, blur=1.0).offset) < 0.6 * plain
    assert roughness(found(classifier, steps=10, parametrisation="frequency").offset) < 0.8 * plain


def test_a_network_without_a_gradient_leaves_the_mean_image():
    flat = classifier_of(lambda p, x: Outputs(jnp.zeros((len(x), 3)) + p, {}), jnp.zeros(3), classes=3, side=SIDE)
    result = found(flat, steps=3)
    np.testing.assert_array_equal(result.offset, 0)
    np.testing.assert_array_equal(result.picture, 128)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, "`steps` must be at least 1, got 0."),
        ({"rate": 0.0}, "`rate` must be positive, got 0.0."),
        ({"momentum": 1.0}, "`momentum` must be in [0, 1), got 1.0."),
        ({"l2": -1.0}, "`l2` must be finite and not negative, got -1.0."),
        ({"jitter": -1}, "`jitter` must be finite and not negative, got -1."),
        ({"blur": float("nan")}, "`blur` must be finite and not negative, got nan."),
        ({"parametrisation": "wavelet"}, "`parametrisation` must be pixel or frequency, got 'wavelet'."),
    ],
)
def test_a_configuration_checks_itself(values, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole message is compared
        ClassModelConfig(**values)
    assert str(error.value) == message
