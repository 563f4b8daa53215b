import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles.attribution import colour_net, colour_picture, share_inside

from vissum_jax.attribution.grad_cam import GradCamConfig, grad_cam
from vissum_jax.attribution.gradient import class_gradient, gradient
from vissum_jax.attribution.guided import guided, guided_backprop, guided_grad_cam, guided_relu, guided_relu6
from vissum_jax.models import load_classifier

PICTURES = [colour_picture(class_index, seed=20 + class_index) for class_index in range(3)]
IMAGES = np.stack([picture for picture, _ in PICTURES]).astype(np.float32) / 255
CLASSES = np.arange(3)
X = jnp.array([-2.0, -0.5, 0.5, 3.0, 5.9, 6.5])


@pytest.mark.parametrize(
    ("activation", "own", "passes"),
    [(guided_relu, jax.nn.relu, [0, 0, 1, 1, 1, 1]), (guided_relu6, jax.nn.relu6, [0, 0, 1, 1, 1, 0])],
)
def test_only_active_units_pass_only_positive_gradients(activation, own, passes):
    values, back = jax.vjp(activation, X)
    np.testing.assert_array_equal(values, own(X))
    np.testing.assert_array_equal(back(jnp.full(6, 2.0))[0], 2.0 * np.array(passes))
    np.testing.assert_array_equal(back(jnp.full(6, -2.0))[0], np.zeros(6))


def test_one_activation_has_one_guided_version():
    assert guided(jax.nn.relu) is guided_relu, "networks are compiled once for each activation function"
    assert guided(jax.nn.relu6) is guided_relu6


def test_a_guided_network_answers_the_same_and_explains_otherwise():
    images = np.random.default_rng(0).random((2, 112, 112, 3)).astype(np.float32)
    classes = np.array([1, 3])
    own, other = load_classifier("flowernet"), load_classifier("flowernet", activation=guided_relu)
    np.testing.assert_allclose(other(images).logits, own(images).logits, rtol=1e-5, atol=1e-5)
    guided_slope, slope = (class_gradient(c, images, classes) for c in (other, own))
    assert np.linalg.norm(guided_slope - slope) > 0.1 * np.linalg.norm(slope)
    np.testing.assert_array_equal(guided_backprop(other, images, classes), np.abs(guided_slope).max(-1))


def test_where_no_gradient_is_negative_guiding_changes_nothing():
    plain = gradient(colour_net(), IMAGES, CLASSES)
    np.testing.assert_allclose(guided_backprop(colour_net(guided_relu), IMAGES, CLASSES), plain, rtol=1e-6)


def test_guided_grad_cam_is_the_product():
    classifier, other = colour_net(), colour_net(guided_relu)
    found = guided_grad_cam(classifier, other, IMAGES, CLASSES, GradCamConfig())
    coarse = np.asarray(grad_cam(classifier, IMAGES, CLASSES, GradCamConfig()))
    fine = np.asarray(class_gradient(other, IMAGES, CLASSES))
    np.testing.assert_allclose(found, np.abs(fine * coarse[..., None]).max(-1), rtol=1e-5, atol=1e-8)
    for row, (_, own) in enumerate(PICTURES):
        assert share_inside(np.asarray(found[row]), own, 0.08) > 0.95
