"""The explained network as matching sees it: a feature map of every image."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from vissum_jax.attribution.endpoint_gradient import spatial_endpoints
from vissum_jax.masks.extract import batches
from vissum_jax.masks.solve import to_unit
from vissum_jax.matching import FeatureMaps, MatchingConfig
from vissum_jax.types import Classifier


@functools.partial(jax.jit, static_argnames="endpoint")
def _feature_map(
    classifier: Classifier, images: UInt8[Array, "b h w 3"], *, endpoint: str
) -> Float[Array, "b rows columns channels"]:
    return classifier(to_unit(images)).endpoints[endpoint].astype(jnp.float32)


def matching_endpoint(classifier: Classifier, config: MatchingConfig) -> str | None:
    """The endpoint by whose features boxes are compared; None if they are compared by HOG alone.

    The one that `config.endpoint` names, or else the last, in the order of computation, that has at least
    `config.endpoint_cells` cells along each side. Maps with one channel a class are passed over: they say what a
    place is taken for, which all parts of one class's objects have in common.

    Raises:
        ValueError: If there is no such feature map, and `config.descriptor` does not leave that open.
    """
    if config.descriptor == "hog":
        return None
    spec = classifier.spec
    images = jnp.zeros((1, spec.input_height, spec.input_width, 3), jnp.float32)  # is traced, not computed with
    answer = jax.eval_shape(classifier.apply, classifier.params, images)
    shapes = {name: value.shape[1:] for name, value in answer.endpoints.items() if len(value.shape) == 4}
    if config.endpoint:
        if config.endpoint not in shapes:
            known = ", ".join(shapes) or "none"
            raise ValueError(f"`endpoint` {config.endpoint!r} is no feature map of {spec.name!r}; these are: {known}.")
        return config.endpoint
    fine = [
        name
        for name in spatial_endpoints(classifier, images)
        if min(shapes[name][:2]) >= config.endpoint_cells and shapes[name][2] != answer.logits.shape[1]
    ]
    if not fine and config.descriptor != "auto":
        raise ValueError(
            f"`descriptor` {config.descriptor!r} needs a feature map of at least {config.endpoint_cells} x "
            f"{config.endpoint_cells} cells, and {spec.name!r} reports none; report one, name a coarser one as "
            "`endpoint`, or use 'hog'."
        )
    return fine[-1] if fine else None


def feature_maps(classifier: Classifier, config: MatchingConfig, *, batch_size: int) -> FeatureMaps | None:
    """What `vissum_jax.matching.match_class` needs of a network; None where it needs nothing.

    Raises:
        ValueError: If it needs a feature map and the network has none; see `matching_endpoint`.
    """
    endpoint = matching_endpoint(classifier, config)
    if endpoint is None:
        return None

    def compute(images: UInt8[np.ndarray, "b h w 3"]) -> Float[np.ndarray, "b rows columns channels"]:
        maps = [
            np.asarray(_feature_map(classifier, jnp.asarray(images[filled]), endpoint=endpoint))[: len(rows)]
            for filled, rows in batches(np.arange(len(images)), batch_size)
        ]
        return np.concatenate(maps)

    return compute
