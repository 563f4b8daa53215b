import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles.attribution import classifier_of

from vissum_jax.attribution.endpoint_gradient import endpoint_gradient, spatial_endpoints
from vissum_jax.attribution.gradient import class_gradient
from vissum_jax.models import load_classifier
from vissum_jax.ops.conv import conv2d
from vissum_jax.ops.pooling import max_pool
from vissum_jax.types import Outputs

SIDE = 8
IMAGES = np.random.default_rng(0).random((3, SIDE, SIDE, 3)).astype(np.float32)
CLASSES = np.array([1, 0, 2])
WEIGHTS = np.random.default_rng(1).normal(size=(3, 5)).astype(np.float32)
HEAD = np.random.default_rng(2).normal(size=(5, 4)).astype(np.float32)


@jax.custom_vjp
def halved_backwards(x):
    return x * x


halved_backwards.defvjp(lambda x: (x * x, x), lambda x, upstream: (0.5 * x * upstream,))  # a quarter of the truth


def network(layers, *, compiled=True):
    """`layers(params, images)` gives logits and endpoints."""

    def apply(params, images):
        return Outputs(*layers(params, images))

    params = {"weights": jnp.asarray(WEIGHTS), "head": jnp.asarray(HEAD)}
    return classifier_of(jax.jit(apply) if compiled else apply, params, classes=4, side=SIDE, name="net")


def plain(params, images):
    hidden = jax.nn.relu(images @ params["weights"])
    again = jax.nn.relu(hidden - 0.3)  # the same compiled function as above, called twice
    return (again**2).mean((1, 2)) @ params["head"], {"hidden": hidden, "again": again}


def tail(hidden):
    return (jax.nn.relu(hidden - 0.3) ** 2).mean((1, 2)) @ HEAD


def expected_gradient(rest, activations):
    return jax.grad(lambda a: rest(a)[jnp.arange(len(a)), CLASSES].sum())(activations)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("outer", [lambda f: f, jax.jit])
def test_the_gradient_is_that_of_the_rest_of_the_network(compiled, outer):
    classifier = network(plain, compiled=compiled)
    found = outer(lambda images: endpoint_gradient(classifier, images, CLASSES, "hidden"))(IMAGES)
    hidden = np.maximum(IMAGES @ WEIGHTS, 0)
    np.testing.assert_allclose(found.activations, hidden, atol=1e-6)
    np.testing.assert_allclose(found.score, np.asarray(tail(hidden))[np.arange(3), CLASSES], rtol=1e-5)
    np.testing.assert_allclose(found.gradient, expected_gradient(tail, jnp.asarray(hidden)), atol=1e-7)
    assert np.abs(found.gradient).max() > 0.01


@pytest.mark.parametrize("endpoint", ["stem", "stage_2", "pooled"])
def test_a_real_network_split_by_hand_agrees(endpoint):
    classifier = load_classifier("flowernet")
    params = classifier.params
    images = np.random.default_rng(3).random((2, 112, 112, 3)).astype(np.float32)
    labels = np.array([4, 0])

    def rest(x):
        names = ["stem", "stage_0", "stage_1", "stage_2", "pooled"]
        for name in names[names.index(endpoint) + 1 : -1]:
            layer = params["stages"][int(name[-1])]
            x = x if name == "stage_0" else max_pool(x, window=2, stride=2)
            x = jax.nn.relu(conv2d(x, layer["kernel"]) + layer["bias"])
        x = x if endpoint == "pooled" else x.mean((1, 2))
        return x @ params["classifier"]["kernel"] + params["classifier"]["bias"]

    found = jax.jit(lambda c, x: endpoint_gradient(c, x, labels, endpoint))(classifier, images)
    outputs = classifier(images)
    np.testing.assert_allclose(found.activations, outputs.endpoints[endpoint], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(jax.jit(rest)(found.activations), outputs.logits, rtol=1e-4, atol=1e-4)
    expected = jax.jit(jax.grad(lambda a: rest(a)[jnp.arange(2), labels].sum()))(found.activations)
    assert np.linalg.norm(found.gradient - expected) <= 1e-4 * np.linalg.norm(expected)


@pytest.mark.parametrize("compiled", [False, True])
def test_custom_derivatives_after_the_endpoint_stay_in_force(compiled):
    def layers(params, images):
        hidden = images @ params["weights"]
        return halved_backwards(hidden).mean((1, 2)) @ params["head"], {"hidden": hidden}

    found = endpoint_gradient(network(layers, compiled=compiled), IMAGES, CLASSES, "hidden")
    hidden = jnp.asarray(IMAGES @ WEIGHTS)
    true = expected_gradient(lambda a: (a * a).mean((1, 2)) @ HEAD, hidden)
    np.testing.assert_allclose(found.gradient, true / 4, rtol=1e-4, atol=1e-7)


def test_an_endpoint_that_a_custom_rule_computes_is_found():
    def layers(params, images):
        hidden = halved_backwards(images @ params["weights"])
        return hidden.mean((1, 2)) @ params["head"], {"hidden": hidden}

    found = endpoint_gradient(network(layers), IMAGES, CLASSES, "hidden")
    expected = np.broadcast_to(HEAD.T[CLASSES][:, None, None] / SIDE**2, found.gradient.shape)
    np.testing.assert_allclose(found.gradient, expected, rtol=1e-5)


def test_compiled_functions_within_compiled_functions_are_entered():
    @jax.jit
    def block(params, images):
        hidden = jnp.tanh(images @ params["weights"])
        return {"hidden": hidden, "out": 2 * hidden}, images

    def layers(params, images):
        parts, same = block(params, images)
        # Used inside of the block and outside of it.
        logits = (parts["out"] + parts["hidden"] ** 2).mean((1, 2)) @ params["head"] + 0 * same.sum()
        return logits, {"hidden": parts["hidden"], "same": same}

    classifier = network(layers)
    found = endpoint_gradient(classifier, IMAGES, CLASSES, "hidden")
    expected = expected_gradient(lambda a: (2 * a + a**2).mean((1, 2)) @ HEAD, jnp.tanh(IMAGES @ WEIGHTS))
    np.testing.assert_allclose(found.gradient, expected, rtol=1e-4, atol=1e-7)
    assert spatial_endpoints(classifier, IMAGES) == ("hidden",), "the image itself is not computed by the network"


def test_an_early_endpoint_carries_the_gradient_of_the_image_on():
    def layers(params, images):
        hidden = images + 0.0
        return jnp.tanh(hidden @ params["weights"]).mean((1, 2)) @ params["head"], {"hidden": hidden}

    classifier = network(layers)
    found = endpoint_gradient(classifier, IMAGES, CLASSES, "hidden")
    np.testing.assert_allclose(found.gradient, class_gradient(classifier, IMAGES, CLASSES), rtol=1e-5, atol=1e-8)


def test_one_value_under_two_names_is_one_endpoint():
    def layers(params, images):
        hidden = jnp.tanh(images @ params["weights"])
        return hidden.mean((1, 2)) @ params["head"], {"a": hidden, "b": hidden}

    classifier = network(layers)
    a, b = (endpoint_gradient(classifier, IMAGES, CLASSES, name).gradient for name in "ab")
    np.testing.assert_array_equal(a, b)
    assert np.abs(a).max() > 0


def test_spatial_endpoints_come_in_the_order_of_computation():
    assert spatial_endpoints(network(plain), IMAGES) == ("hidden", "again")
    flowers = load_classifier("flowernet")
    images = np.zeros((1, 112, 112, 3), np.float32)
    assert spatial_endpoints(flowers, images) == ("stem", "stage_0", "stage_1", "stage_2")


@pytest.mark.parametrize("compiled", [False, True])
def test_a_dead_end_is_refused(compiled):
    def layers(params, images):
        hidden = images @ params["weights"]
        return hidden.mean((1, 2)) @ params["head"], {"copy": hidden * 1.0, "input": images, "hidden": hidden}

    classifier = network(layers, compiled=compiled)
    for name in ("copy", "input"):
        with pytest.raises(ValueError, match=f"^`endpoint` '{name}' of 'net' is a dead end: the logits do not depend"):
            endpoint_gradient(classifier, IMAGES, CLASSES, name)
    assert spatial_endpoints(classifier, IMAGES) == ("hidden",)


def test_an_unknown_endpoint_is_refused():
    with pytest.raises(ValueError, match=r"^`endpoint` 'last' is none of 'net': it has again, hidden\.$"):
        endpoint_gradient(network(plain), IMAGES, CLASSES, "last")


def test_a_batch_is_worked_on_image_by_image():
    classifier = network(plain)
    whole = endpoint_gradient(classifier, IMAGES, CLASSES, "hidden").gradient
    single = endpoint_gradient(classifier, IMAGES[1:2], CLASSES[1:2], "hidden").gradient
    np.testing.assert_allclose(whole[1:2], single, rtol=1e-6, atol=1e-9)
