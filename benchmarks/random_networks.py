"""Networks with random weights: for speed they do, and nothing has to be carried along.

They are put together from the architectures alone, because the registry reads weight files by packages that a bare
machine lacks.
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from vissum_jax.models.architecture import make_network, nested_params
from vissum_jax.models.catalogue import ARCHITECTURES
from vissum_jax.types import Classifier, ClassifierSpec

CLASSES = 1000
LOGITS_DEVIATION = 2.0
"""Of a network's answers to random pictures: probabilities are neither all alike nor 0 and 1, gradients not zeros."""
SCALED_BY = 4  # pictures


def random_images(count: int, side: int) -> np.ndarray:
    """Pictures with structure at several scales, (count, side, side, 3), 8 bits."""
    random = np.random.default_rng(0)
    total = np.zeros((count, side, side, 3))
    for cells in (4, 16, 64):
        coarse = random.random((count, cells, cells, 3))
        index = np.arange(side) * cells // side
        total += coarse[:, index][:, :, index] / 3
    return np.rint(total * 255).astype(np.uint8)


def random_classifier(name: str, precision: str = "float32") -> Classifier:
    """A network of the registry with random weights, the same ones in every precision.

    Args:
        name: Registry name.
        precision: Number type of weights and activations.
    """
    whole = _in_single_precision(name)
    return dataclasses.replace(whole, params=jax.tree.map(lambda array: jnp.asarray(array, precision), whole.params))


def abstract_classifier(name: str, precision: str = "float32") -> Classifier:
    """The same network without weights: their shapes and number type alone, to be traced and not to be run."""
    architecture = ARCHITECTURES[name]
    network = make_network(architecture, num_classes=CLASSES)
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, precision), nested_params(network.layers))
    spec = ClassifierSpec(
        name=name,
        input_height=architecture.input_size,
        input_width=architecture.input_size,
        resize_short_side=architecture.resize_short_side,
        class_names=tuple(f"class {number}" for number in range(CLASSES)),
        feature_endpoint=architecture.feature_endpoint,
    )
    return Classifier(params=shapes, apply=network.apply, spec=spec)


@functools.cache
def _in_single_precision(name: str) -> Classifier:
    architecture, abstract = ARCHITECTURES[name], abstract_classifier(name)
    network = make_network(architecture, num_classes=CLASSES)
    random = np.random.default_rng(0)
    # NumPy's, because JAX would compile a program for each of the many shapes.
    layers = {
        path: {kind: _drawn(random, kind, leaf.shape) for kind, leaf in layer.items()}
        for path, layer in network.layers.items()
    }
    images = jnp.asarray(random_images(SCALED_BY, architecture.input_size)) / 255.0
    # Without normalisation layers, variances double from block to block; the last layer takes it all back.
    deviation = float(jnp.std(network.apply(nested_params(layers), images).logits))
    layers[architecture.head]["kernel"] *= LOGITS_DEVIATION / deviation
    return dataclasses.replace(abstract, params=jax.tree.map(jnp.asarray, nested_params(layers)))


def _drawn(random: np.random.Generator, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """Kernels by He et al. (2015), biases of zero."""
    if kind != "kernel":
        return np.zeros(shape, np.float32)
    inputs = np.prod(shape[:-1])
    return (random.standard_normal(shape) * np.sqrt(2 / inputs)).astype(np.float32)
