import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles.attribution import classifier_of, colour_net, colour_picture, share_inside
from oracles.blur import blur

from vissum_jax.attribution.gradient import (
    SmoothedGradientConfig,
    SmoothGradConfig,
    class_gradient,
    gradient,
    smooth_grad,
    smoothed_gradient,
)
from vissum_jax.types import Outputs

PICTURES = [colour_picture(class_index, seed=class_index) for class_index in range(3)]
IMAGES = np.stack([picture for picture, _ in PICTURES]).astype(np.float32) / 255
CLASSES = np.arange(3)
SMOOTH = SmoothedGradientConfig(sigma=2.0)
NOISY = SmoothGradConfig(samples=8, noise=0.1)
KEY = jax.random.key(0)

METHODS = {
    "gradient": jax.jit(gradient),
    "smoothed_gradient": jax.jit(lambda *args: smoothed_gradient(*args, SMOOTH)),
    "smooth_grad": jax.jit(lambda *args: smooth_grad(*args, NOISY, key=KEY)),
}


def curved_net():
    """Smooth and not linear, so that finite differences mean something."""
    weights = jnp.asarray(np.random.default_rng(0).normal(size=(8 * 8 * 3, 5)), jnp.float32)

    def apply(params, images):
        hidden = jnp.tanh(0.2 * images.reshape(len(images), -1) @ params)
        return Outputs(hidden @ jnp.arange(15.0).reshape(5, 3), {"pooled": hidden})

    return classifier_of(apply, weights, classes=3, side=8)


def test_the_gradient_is_that_of_the_logit():
    classifier = curved_net()
    images = np.random.default_rng(1).random((2, 8, 8, 3)).astype(np.float32)
    classes = np.array([2, 1])
    found = np.asarray(class_gradient(classifier, images, classes), np.float64)
    weights = np.asarray(classifier.params, np.float64)

    def score(image, class_index):
        return (np.tanh(0.2 * image.ravel() @ weights) @ np.arange(15.0).reshape(5, 3))[class_index]

    random = np.random.default_rng(2)
    for row, class_index in enumerate(classes):
        for _ in range(20):
            direction = random.normal(size=images[row].shape)
            ends = [score(images[row] + sign * 1e-5 * direction, class_index) for sign in (1, -1)]
            slope = (ends[0] - ends[1]) / 2e-5
            assert abs(np.sum(found[row] * direction) - slope) <= 1e-3 * max(abs(slope), 0.1)
    np.testing.assert_allclose(gradient(classifier, images, classes), np.abs(found).max(-1), rtol=1e-6)


def test_smoothing_is_a_gaussian_over_the_saliency_of_the_log_odds():
    classifier = curved_net()
    images = np.random.default_rng(6).random((2, 8, 8, 3)).astype(np.float32)
    classes = np.array([1, 2])

    def odds(x):
        p = jax.nn.softmax(classifier(x).logits)[jnp.arange(2), classes]
        return jnp.sum(jnp.log(p / (1 - p)))

    found = METHODS["smoothed_gradient"](classifier, images, classes)
    saliency = np.abs(jax.grad(odds)(images)).max(-1)
    for row in range(2):
        np.testing.assert_allclose(found[row], blur(saliency[row], 2.0), rtol=1e-3)


def test_smooth_grad_averages_signed_gradients_of_noisy_copies():
    classifier = curved_net()
    images = np.random.default_rng(3).uniform(0.2, 0.6, (2, 8, 8, 3)).astype(np.float32)
    classes = np.array([0, 2])
    found = METHODS["smooth_grad"](classifier, images, classes)
    slope = jax.jit(class_gradient)
    total = np.zeros(images.shape)
    for number in range(NOISY.samples):
        noise = jax.random.normal(jax.random.fold_in(KEY, number), images.shape[1:])
        spread = NOISY.noise * np.array([np.ptp(image) for image in images])[:, None, None, None]
        total += slope(classifier, images + spread * noise, classes)
    np.testing.assert_allclose(found, np.abs(total / NOISY.samples).max(-1), rtol=1e-4, atol=1e-6)


def test_smooth_grad_of_a_linear_network_is_its_gradient():
    weights = np.random.default_rng(4).normal(size=(8 * 8 * 3, 2)).astype(np.float32)
    linear = classifier_of(lambda p, x: Outputs(x.reshape(len(x), -1) @ p, {}), jnp.asarray(weights), classes=2, side=8)
    images = np.random.default_rng(5).random((2, 8, 8, 3)).astype(np.float32)
    expected = np.abs(weights.T.reshape(2, 8, 8, 3)).max(-1)
    np.testing.assert_allclose(smooth_grad(linear, images, np.array([0, 1]), NOISY, key=KEY), expected, rtol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_it_finds_the_evidence(method):
    maps = METHODS[method](colour_net(), IMAGES, CLASSES)
    for row, (_, own) in enumerate(PICTURES):
        assert share_inside(np.asarray(maps[row]), own, 0.08) > 0.95
        assert own.mean() < 0.15, "by chance it would be this"


@pytest.mark.parametrize("method", METHODS)
def test_images_do_not_interact(method):
    classifier = colour_net()
    whole = METHODS[method](classifier, IMAGES, CLASSES)
    order = np.array([2, 0, 1])
    np.testing.assert_allclose(METHODS[method](classifier, IMAGES[order], CLASSES[order]), whole[order], atol=1e-7)
    np.testing.assert_allclose(METHODS[method](classifier, IMAGES[1:2], CLASSES[1:2]), whole[1:2], atol=1e-7)


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_image_gives_a_finite_map(method):
    dull = np.full((1, 32, 32, 3), 0.2, np.float32)  # no detector is active: the gradient is 0
    maps = METHODS[method](colour_net(), dull, np.array([1]))
    np.testing.assert_array_equal(maps, np.zeros((1, 32, 32)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SmoothedGradientConfig(sigma=0.0), "`sigma` must be positive, got 0.0."),
        (lambda: SmoothGradConfig(samples=0), "`samples` must be at least 1, got 0."),
        (lambda: SmoothGradConfig(noise=-0.1), "`noise` must be positive, got -0.1."),
    ],
)
def test_configurations_check_themselves(make, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole message is compared
        make()
    assert str(error.value) == message
