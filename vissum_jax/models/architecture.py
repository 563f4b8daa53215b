"""What the registry knows of a network, and how a network becomes an `apply` function."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from vissum_jax.models.keys import KeyMap, LayerKeys, LayerShapes, NativeKeys
from vissum_jax.models.layers import Convolution, Normalization, use_convolution
from vissum_jax.types import Outputs, PyTree

Activation = Callable[[Array], Array]


class Build(Protocol):
    """Makes a network; called with the input (b, h, w, 3) it returns logits and endpoints."""

    def __call__(self, *, num_classes: int, activation: Activation, rngs: nnx.Rngs) -> nnx.Module:
        """Build with random parameters."""
        ...


@dataclass(frozen=True, kw_only=True)
class Download:
    """Where official weights can be fetched from.

    Attributes:
        url: The file.
        sha256_prefix: Beginning of the file's SHA-256 in hexadecimal, as the publisher states it.
    """

    url: str
    sha256_prefix: str


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A network that can be loaded by name.

    Attributes:
        name: Registry name.
        variant_of: The network that this one is with other weights, if there is one; a file of weights belongs to that
            one unless this one is named.
        build: Makes the network.
        activation: The network's own activation function.
        head: Path of the layer that gives the logits.
        input_size: Side of the square input in pixels.
        resize_short_side: See `ClassifierSpec`.
        interpolation: See `ClassifierSpec`.
        feature_endpoint: See `ClassifierSpec`.
        normalization: From RGB in [0, 1] to the network's input.
        key_map: Where public checkpoints keep each layer, or None if only this package writes them.
        other_key_maps: Other spellings that public checkpoints have used.
        ignore: Patterns of checkpoint keys that carry nothing for this network, e.g. ``*.num_batches_tracked``.
        known_top1: Published ImageNet top-1 accuracy as a share.
        default_weights: Finds the weights that come with a package, or returns None if it is not installed.
        download: Official weights on the net, if there are any.
        source: Where the weights come from, as one clause for messages.
        licence: Licence of the weights.
    """

    name: str
    variant_of: str = ""
    build: Build
    activation: Activation = jax.nn.relu
    head: str
    input_size: int
    resize_short_side: int
    interpolation: str = "bilinear"
    feature_endpoint: str
    normalization: Normalization
    key_map: Callable[[], Mapping[str, LayerKeys]] | None = None
    other_key_maps: tuple[Callable[[], Mapping[str, LayerKeys]], ...] = ()
    ignore: tuple[str, ...] = ()
    known_top1: float | None = None
    default_weights: Callable[[], Path | None] | None = None
    download: Download | None = None
    source: str
    licence: str


class Network(NamedTuple):
    """A network without its parameters.

    Attributes:
        apply: `Classifier.apply`, compiled per input shape.
        layers: Shapes of the parameters by layer path and parameter name.
    """

    apply: Callable[[PyTree, Float[Array, "b h w 3"]], Outputs]
    layers: Mapping[str, LayerShapes]


@functools.cache
def make_network(
    architecture: Architecture,
    *,
    num_classes: int,
    activation: Activation | None = None,
    convolution: Convolution | None = None,
) -> Network:
    """Build a network once per process, so that every classifier of one kind shares compiled programs.

    Args:
        architecture: The network.
        num_classes: Number of logits.
        activation: Takes the place of the network's own activation, e.g. for guided backpropagation.
        convolution: Takes the place of the convolution, e.g. one whose gradient has no stride.

    Returns:
        The apply function and the shapes of its parameters.
    """
    network = nnx.eval_shape(
        lambda: architecture.build(
            num_classes=num_classes, activation=activation or architecture.activation, rngs=nnx.Rngs(0)
        )
    )
    if convolution is not None:
        use_convolution(network, convolution)
    graph, state = nnx.split(network)

    # The graph definition is closed over and the parameters are plain arrays: `nnx.jit` would walk the graph
    # on every call, a hundred times dearer.
    # The parameters' number type is the activations' too; what comes out is float32 in any case.
    @jax.jit
    def apply(params: PyTree, images: Float[Array, "b h w 3"]) -> Outputs:
        dtype = jax.tree.leaves(params)[0].dtype
        outputs = nnx.merge(graph, params)(architecture.normalization(images).astype(dtype))
        return Outputs(*jax.tree.map(lambda array: array.astype(jnp.float32), outputs))

    return Network(apply, _by_layer(nnx.to_pure_dict(state)))


def initial_params(architecture: Architecture, *, num_classes: int, key: Array) -> PyTree:
    """Random parameters to start a training from."""
    network = architecture.build(num_classes=num_classes, activation=architecture.activation, rngs=nnx.Rngs(params=key))
    return nnx.to_pure_dict(nnx.state(network))


def flat_params(params: PyTree) -> dict[str, Array]:
    """Parameters by their path in the network, e.g. ``conv1.kernel``."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    return {".".join(str(entry.key) for entry in path): leaf for path, leaf in leaves}


def nested_params(layers: Mapping[str, Mapping[str, Array | np.ndarray]]) -> PyTree:
    """The inverse of splitting by layer: parameters as `Network.apply` wants them."""
    nested: dict = {}
    for path, layer in layers.items():
        node = nested
        for step in path.split("."):
            node = node.setdefault(int(step) if step.isdecimal() else step, {})
        node.update(layer)
    return nested


def native_key_map(layers: Mapping[str, LayerShapes]) -> KeyMap:
    """Keys of checkpoints that this package wrote."""
    return {path: NativeKeys(path) for path in layers}


def _by_layer(params: PyTree) -> dict[str, dict]:
    layers: dict[str, dict] = {}
    for name, leaf in flat_params(params).items():
        path, _, parameter = name.rpartition(".")
        layers.setdefault(path, {})[parameter] = leaf
    return layers
