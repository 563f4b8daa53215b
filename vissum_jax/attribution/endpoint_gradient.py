"""Gradient of a class score with respect to an inner activation of any network.

An offset is added where the network computes the endpoint (see `network_trace`): the gradient with respect to the
offset, at 0, is the one wanted.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vissum_jax.attribution.gradient import own_logit
from vissum_jax.attribution.network_trace import trace_network
from vissum_jax.types import Classifier


class EndpointGradient(NamedTuple):
    """A class score and its dependence on one endpoint.

    Attributes:
        score: S_c, the class's logit.
        activations: The endpoint's value A.
        gradient: dS_c / dA.
    """

    score: Float[Array, " b"]
    activations: Float[Array, "b ..."]
    gradient: Float[Array, "b ..."]


def endpoint_gradient(
    classifier: Classifier, images: Float[Array, "b h w 3"], class_index: Int[Array, " b"], endpoint: str
) -> EndpointGradient:
    """Value of an endpoint A and gradient dS_c / dA of the class's logit.

    Args:
        classifier: The network; its `apply` may be compiled.
        images: RGB in [0, 1].
        class_index: Class of each image.
        endpoint: Name of the endpoint.

    Raises:
        ValueError: If there is no such endpoint, or the logits do not depend on it.
    """
    trace = trace_network(classifier, images)
    shape = trace.shape(endpoint)

    def total(offset: Array) -> tuple[Array, tuple[Array, Array]]:
        outputs = trace.evaluate(classifier.params, images, {endpoint: lambda value: value + offset})
        score = own_logit(outputs.logits, class_index)
        return jnp.sum(score), (score, outputs.endpoints[endpoint])

    gradient, (score, activations) = jax.grad(total, has_aux=True)(jnp.zeros(shape.shape, shape.dtype))
    return EndpointGradient(score, activations, gradient)


def spatial_endpoints(classifier: Classifier, images: Float[Array, "b h w 3"]) -> tuple[str, ...]:
    """Names of the feature maps (b, h', w', c), h' w' > 1, that the logits depend on, in the order of computation.

    The endpoints' own order does not tell: a compiled `apply` returns them sorted by name.
    """
    return trace_network(classifier, images).spatial_endpoints()
