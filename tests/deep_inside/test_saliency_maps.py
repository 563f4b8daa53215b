import jax.numpy as jnp
import numpy as np
import pytest
from oracles.attribution import classifier_of

from vissum_jax.deep_inside.saliency import SaliencyConfig, explain
from vissum_jax.types import Outputs

SIDE, CLASSES, HIDDEN = 6, 5, 7
PLAIN = SaliencyConfig()


def curved_net():
    """Smooth and not linear, so that finite differences mean something."""
    random = np.random.default_rng(0)
    params = {
        "first": jnp.asarray(random.normal(0, 0.3, (SIDE * SIDE * 3, HIDDEN)), jnp.float32),
        "second": jnp.asarray(random.normal(0, 2.0, (HIDDEN, CLASSES)), jnp.float32),
    }

    def apply(params, images):
        hidden = jnp.tanh(images.reshape(len(images), -1) @ params["first"])
        return Outputs(hidden @ params["second"], {"pooled": hidden})

    return classifier_of(apply, params, classes=CLASSES, side=SIDE)


CLASSIFIER = curved_net()
VIEWS = np.random.default_rng(1).integers(0, 256, (3, 2, SIDE, SIDE, 3)).astype(np.uint8)
LABELS = np.array([4, 0, 2])


def score(image, index):
    """S_c in float64."""
    first, second = (np.asarray(CLASSIFIER.params[name], np.float64) for name in ("first", "second"))
    return (np.tanh(image.ravel() @ first) @ second)[index]


def probabilities(images):
    logits = np.stack([[score(image, index) for index in range(CLASSES)] for image in images])
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def test_it_is_the_largest_derivative_among_a_pixels_colours():
    """Finite differences in float64, along every pixel's colours and along 20 random directions."""
    found = explain(CLASSIFIER, VIEWS, LABELS, top=0, with_label=True, config=PLAIN)
    saliency = np.asarray(found.saliency, np.float64)
    random, step = np.random.default_rng(2), 1e-5
    for row, view in ((0, 0), (2, 1)):
        image = VIEWS[row, view] / 255.0

        def slope(direction, image=image, index=LABELS[row]):
            return (score(image + step * direction, index) - score(image - step * direction, index)) / (2 * step)

        gradient = np.zeros(image.shape)
        for place in np.ndindex(*image.shape):
            one = np.zeros(image.shape)
            one[place] = 1
            gradient[place] = slope(one)
        for _ in range(20):
            direction = random.normal(size=image.shape)
            assert abs(slope(direction) - np.sum(gradient * direction)) < 1e-6 * np.linalg.norm(gradient)
        expected = np.abs(gradient).max(-1)
        np.testing.assert_allclose(saliency[row, 0, view], expected, atol=1e-3 * expected.max())


def test_answers_come_by_probability_averaged_over_views_then_the_label():
    found = explain(CLASSIFIER, VIEWS, LABELS, top=3, with_label=True, config=PLAIN)
    expected = np.stack([probabilities(views / 255.0).mean(0) for views in VIEWS])
    np.testing.assert_allclose(found.probability, expected, atol=1e-5)
    np.testing.assert_array_equal(found.classes[:, :3], np.argsort(-expected, axis=1)[:, :3])
    np.testing.assert_array_equal(found.classes[:, 3], LABELS)
    assert found.saliency.shape == (3, 4, 2, SIDE, SIDE)


def test_each_class_is_explained_as_if_it_were_alone():
    together = explain(CLASSIFIER, VIEWS, LABELS, top=2, with_label=True, config=PLAIN)
    for number in range(3):
        own = np.asarray(together.classes)[:, number]
        alone = explain(CLASSIFIER, VIEWS, own, top=0, with_label=True, config=PLAIN)
        np.testing.assert_allclose(together.saliency[:, number], alone.saliency[:, 0], rtol=1e-5, atol=1e-7)


def test_photographs_do_not_interact():
    together = explain(CLASSIFIER, VIEWS, LABELS, top=1, with_label=True, config=PLAIN)
    alone = explain(CLASSIFIER, VIEWS[1:2], LABELS[1:2], top=1, with_label=True, config=PLAIN)
    np.testing.assert_allclose(alone.saliency[0], together.saliency[1], rtol=1e-5, atol=1e-7)


def test_smooth_grad_of_a_linear_network_is_the_gradient_and_follows_the_seed_elsewhere():
    weights = np.random.default_rng(3).normal(size=(SIDE * SIDE * 3, 2)).astype(np.float32)
    linear = classifier_of(
        lambda p, x: Outputs(x.reshape(len(x), -1) @ p, {}), jnp.asarray(weights), classes=2, side=SIDE
    )
    config = SaliencyConfig(smooth_samples=3)
    labels = np.array([0, 1, 1])
    smooth, plain = (explain(linear, VIEWS, labels, top=0, with_label=True, config=c).saliency for c in (config, PLAIN))
    np.testing.assert_allclose(smooth, plain, rtol=1e-4)
    one, other = (
        explain(
            CLASSIFIER,
            VIEWS,
            labels,
            top=0,
            with_label=True,
            config=SaliencyConfig(smooth_samples=2, seed=seed),
        ).saliency
        for seed in (0, 1)
    )
    assert np.abs(one - other).max() > 1e-3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"views": "nine"}, "`views` must be one of whole, centre, ten, got 'nine'."),
        ({"smooth_samples": -1}, "`smooth_samples` must not be negative, got -1."),
        ({"smooth_noise": 0.0}, "`smooth_noise` must be positive, got 0.0."),
    ],
)
def test_a_configuration_checks_itself(values, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole message is compared
        SaliencyConfig(**values)
    assert str(error.value) == message
