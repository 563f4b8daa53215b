import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles.attribution import classifier_of

from vissum_jax.attribution.network_trace import trace_network
from vissum_jax.types import Outputs

IMAGES = jnp.asarray(np.random.default_rng(0).random((3, 6, 6, 3)), jnp.float32)
WEIGHTS = jnp.asarray(np.random.default_rng(1).normal(size=(3, 4)), jnp.float32)


def layers(weights, images):
    first = jax.nn.relu(images @ weights)
    second = jax.nn.relu(first - 0.2) + first
    return second.mean((1, 2)), {"first": first, "again": first, "second": second, "unused": first * 1.0}


@pytest.fixture(params=[False, True], ids=["plain", "compiled"])
def classifier(request):
    def apply(params, images):
        return Outputs(*layers(params, images))

    return classifier_of(jax.jit(apply) if request.param else apply, WEIGHTS, classes=4, side=6, name="net")


def test_without_changes_the_network_answers_as_ever(classifier):
    found = trace_network(classifier, IMAGES).evaluate(classifier.params, IMAGES)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), found, classifier(IMAGES))


def test_the_network_goes_on_from_all_changed_endpoints(classifier):
    changes = {"second": lambda maps: maps * 3, "first": lambda maps: maps.at[..., 1].set(0)}
    found = trace_network(classifier, IMAGES).evaluate(classifier.params, IMAGES, changes)
    first = np.maximum(IMAGES @ WEIGHTS, 0) * [1, 0, 1, 1]
    second = 3 * (np.maximum(first - 0.2, 0) + first)
    np.testing.assert_allclose(found.endpoints["first"], first, atol=1e-6)
    np.testing.assert_allclose(found.endpoints["second"], second, atol=1e-5)
    np.testing.assert_allclose(found.logits, second.mean((1, 2)), atol=1e-5)


def test_an_endpoint_of_two_names_has_one_site(classifier):
    trace = trace_network(classifier, IMAGES)
    assert trace.site("first") == trace.site("again") != trace.site("second")
    assert set(trace.spatial_endpoints()) == {"first", "again", "second"}
    assert trace.spatial_endpoints()[-1] == "second"


def test_a_dead_end_cannot_be_changed(classifier):
    with pytest.raises(ValueError, match=r"^`endpoint` 'unused' of 'net' is a dead end"):
        trace_network(classifier, IMAGES).evaluate(classifier.params, IMAGES, {"unused": lambda maps: maps})
