"""What a network answers when some of its filters are switched off (VE section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from vissum_jax.attribution.network_trace import Change, trace_network
from vissum_jax.interpretation.responses import Columns
from vissum_jax.types import Classifier


@partial(jax.jit, static_argnames="columns")
def logits_without(
    classifier: Classifier, images: Float[Array, "b h w 3"], off: Bool[Array, "b columns"], *, columns: Columns
) -> Float[Array, "b classes"]:
    """Logits of the network with other filters switched off for each image.

    A switched-off filter's map is 0 at its endpoint, and the rest of the network goes on from there.

    Args:
        classifier: The network; compiled here.
        images: RGB in [0, 1].
        off: The filters that are switched off.
        columns: What the columns of `off` are.
    """

    def silence(layer: str) -> Change:
        silent = off[:, None, None, columns.of_layer(layer)]
        return lambda maps: jnp.where(silent, 0, maps)

    trace = trace_network(classifier, images)
    return trace.evaluate(classifier.params, images, {layer: silence(layer) for layer in columns.layers}).logits


def random_others(
    off: Bool[np.ndarray, " columns"], columns: Columns, *, seed: Sequence[int]
) -> Bool[np.ndarray, " columns"]:
    """As many filters of each layer as `off` has, drawn from the others of that layer.

    Where a layer has fewer others than that, all of them, and the rest from `off` itself.

    Args:
        off: Filters.
        columns: What the columns are.
        seed: Of the draw.
    """
    random = np.random.default_rng(seed)
    drawn = np.zeros(len(columns), bool)
    for layer in columns.layers:
        own = off[columns.of_layer(layer)]
        order = np.concatenate([random.permutation(np.flatnonzero(~own)), random.permutation(np.flatnonzero(own))])
        drawn[order[: own.sum()] + columns.of_layer(layer).start] = True
    return drawn
