"""How strongly each filter of a network responds to an image (VE section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from vissum_jax.attribution.network_trace import Site, trace_network
from vissum_jax.types import Classifier


@dataclass(frozen=True)
class Columns:
    """What the columns of responses are: all filters of one layer, then all of the next.

    Attributes:
        layers: Names of endpoints, in the order of computation.
        widths: Number of filters of each.
    """

    layers: tuple[str, ...]
    widths: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check that there is one width a layer, and each layer is there once."""
        if len(self.layers) != len(self.widths) or not self.layers:
            raise ValueError(f"`widths` must be one per layer, got {len(self.widths)} for {len(self.layers)} layers.")
        if len(set(self.layers)) != len(self.layers):
            raise ValueError(f"`layers` must differ, got {', '.join(self.layers)}.")
        if min(self.widths) < 1:
            raise ValueError(f"`widths` must be positive, got {min(self.widths)}.")

    def __len__(self) -> int:
        return sum(self.widths)

    @cached_property
    def layer_index(self) -> Int[np.ndarray, " columns"]:
        """Position in `layers` of each column."""
        return np.repeat(np.arange(len(self.layers)), self.widths)

    @cached_property
    def channel(self) -> Int[np.ndarray, " columns"]:
        """Channel within its layer of each column."""
        return np.concatenate([np.arange(width) for width in self.widths])

    def filter(self, column: int) -> tuple[str, int]:
        """Layer and channel of a column."""
        return self.layers[self.layer_index[column]], int(self.channel[column])

    def column(self, layer: str, channel: int) -> int:
        """The column of a filter."""
        return range(len(self))[self.of_layer(layer)][channel]

    def of_layer(self, layer: str) -> slice:
        """The columns of a layer.

        Raises:
            ValueError: If there is no such layer.
        """
        if layer not in self.layers:
            raise ValueError(f"`layer` {layer!r} is none of {', '.join(self.layers)}.")
        number = self.layers.index(layer)
        start = sum(self.widths[:number])
        return slice(start, start + self.widths[number])


def response_columns(classifier: Classifier) -> Columns:
    """The filters whose responses are taken: those of every feature map of more than one place that the logits use.

    Endpoints without places (pooled features, fully connected layers) have no maps to measure or to show, and of those
    that the network does not go on with none can support an answer. What is reported under two names counts once, under
    the first that the network lists.

    Raises:
        ValueError: If the network reports no such feature map.
    """
    spec = classifier.spec
    images = jnp.zeros((1, spec.input_height, spec.input_width, 3), jnp.float32)  # is traced, not computed with
    trace = trace_network(classifier, images)
    by_site: dict[Site | None, str] = {}
    for layer in trace.spatial_endpoints():
        by_site.setdefault(trace.site(layer), layer)
    if not by_site:
        raise ValueError(f"{spec.name!r} reports no feature map (b, h, w, c) that its logits depend on.")
    layers = tuple(by_site.values())
    return Columns(layers, tuple(trace.shapes.endpoints[layer].shape[-1] for layer in layers))


@partial(jax.jit, static_argnames="layers")
def responses(
    classifier: Classifier, images: Float[Array, "b h w 3"], *, layers: tuple[str, ...]
) -> Float[Array, "b columns"]:
    """Response of every filter to each image.

        x_lk = ||A_lk||_2^2 / sum_k' ||A_lk'||_2^2,  all layers l concatenated, then x / ||x||_2

    with A_lk the activation map of channel k at endpoint l. A layer that is silent everywhere counts as 0.

    Args:
        classifier: The network; compiled here.
        images: RGB in [0, 1].
        layers: `Columns.layers` of `response_columns`.

    Returns:
        Responses in [0, 1], each image's of length 1 (of length 0 if all layers are silent); NaN where the network's
        activations are not finite. Paper: VE section 3.1.
    """
    endpoints = classifier(images).endpoints

    def shares(layer: str) -> Float[Array, "b c"]:
        energy = jnp.sum(jnp.square(endpoints[layer].astype(jnp.float32)), axis=(1, 2))
        total = jnp.sum(energy, axis=1, keepdims=True)
        return jnp.where(total == 0, 0.0, energy / jnp.where(total == 0, 1.0, total))

    x = jnp.concatenate([shares(layer) for layer in layers], axis=1)
    length = jnp.linalg.norm(x, axis=1, keepdims=True)
    return jnp.where(length == 0, 0.0, x / jnp.where(length == 0, 1.0, length))


@partial(jax.jit, static_argnames="layers")
def strongest_places(
    classifier: Classifier, images: Float[Array, "b h w 3"], *, layers: tuple[str, ...]
) -> Int[Array, "b columns 2"]:
    """Row and column, in its map, of the unit of every filter that is activated most; the first of several."""
    endpoints = classifier(images).endpoints

    def places(layer: str) -> Int[Array, "b c 2"]:
        maps = endpoints[layer]
        batch, rows, columns, channels = maps.shape
        found = jnp.argmax(maps.reshape(batch, rows * columns, channels), axis=1)
        return jnp.stack(jnp.divmod(found, columns), axis=-1)

    return jnp.concatenate([places(layer) for layer in layers], axis=1)
