"""Signals sent back by hand, layer by layer, and what heat maps make of them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import destrided as unstrided
from oracles import networks as oracle
from oracles.attribution import classifier_of

from vissum_jax.attribution.deconvnet import (
    class_heat_map,
    feature_heat_map,
    feature_signal,
    heat_map,
    upsampled_activation,
)
from vissum_jax.attribution.gradient import class_gradient
from vissum_jax.attribution.guided import guided_relu
from vissum_jax.ops.conv import conv2d
from vissum_jax.ops.destrided import destrided_conv2d
from vissum_jax.ops.pooling import max_pool
from vissum_jax.types import Outputs

SIDE, NONE = 16, ((0, 0), (0, 0))
RANDOM = np.random.default_rng(3)
STEM = RANDOM.standard_normal((3, 3, 3, 4)).astype(np.float32)
TOP = RANDOM.standard_normal((3, 3, 4, 5)).astype(np.float32)
IMAGES = RANDOM.standard_normal((3, SIDE, SIDE, 3)).astype(np.float32)
CHANNELS = jnp.array([0, 3, 4])


@functools.cache
def network(activation=guided_relu, convolution=conv2d):
    """Convolution with stride 2, ReLU, pooling, convolution, ReLU, mean."""

    def apply(params, images):
        del params
        stem = activation(convolution(images, STEM, stride=2, padding="VALID"))
        top = activation(conv2d(max_pool(stem, window=2, stride=1), TOP, padding="VALID"))
        return Outputs(logits=top.mean(axis=(1, 2)), endpoints={"stem": stem, "top": top, "linear": top - 0.5})

    return classifier_of(jax.jit(apply), {}, classes=5, side=SIDE)


def signal_by_hand(image, channel, *, stride_fix):
    """The same way forwards and back, one image, in NumPy."""
    stem = np.maximum(oracle.convolve(image[None], STEM, stride=2, pads=NONE), 0)
    pooled = oracle.max_pool(stem, window=2, stride=1, pads=NONE)
    top = np.maximum(oracle.convolve(pooled, TOP, stride=1, pads=NONE), 0)
    seed = np.zeros_like(top)
    seed[..., channel] = top[..., channel]

    def back(signal, shape, kernel, stride):
        if stride_fix or stride == 1:
            return unstrided.backward(shape, kernel, signal, pads=NONE)
        result = np.zeros(shape)
        for _, row, column, output in np.ndindex(signal.shape):
            window = np.s_[0, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
            result[window] += signal[0, row, column, output] * kernel[..., output]
        return result

    at_pool = back(seed * (top > 0), pooled.shape, TOP, 1)
    at_stem = oracle.max_pool_gradient(stem, at_pool, window=2, stride=1, pads=NONE)
    return back(np.maximum(at_stem, 0) * (stem > 0), (1, *image.shape), STEM, 2)[0]


@pytest.mark.parametrize("convolution", [conv2d, destrided_conv2d])
def test_a_feature_is_sent_back_through_units_that_were_active(convolution):
    classifier = network(convolution=convolution)
    found = jax.jit(functools.partial(feature_signal, classifier, endpoint="top"))(IMAGES, CHANNELS)
    for image, channel, signal in zip(IMAGES, CHANNELS, found, strict=True):
        expected = signal_by_hand(image, channel, stride_fix=convolution is destrided_conv2d)
        assert np.abs(expected).max() > 0.1
        np.testing.assert_allclose(signal, expected, rtol=1e-4, atol=1e-4)


def test_unguided_it_is_the_gradient_of_half_the_response():
    classifier = network(jax.nn.relu)

    def response(images):
        maps = classifier(images).endpoints["linear"]
        return sum(jnp.sum(one[..., channel] ** 2) for one, channel in zip(maps, CHANNELS, strict=True))

    found = feature_signal(classifier, IMAGES, CHANNELS, endpoint="linear")
    np.testing.assert_allclose(found, jax.grad(response)(jnp.asarray(IMAGES)) / 2, rtol=1e-4, atol=1e-5)


def test_a_heat_map_is_the_norm_of_positives_from_0_to_1():
    signal = jnp.zeros((2, 2, 3)).at[0, 0].set(jnp.array([3.0, -9.0, 4.0])).at[1, 1].set(1.0)
    np.testing.assert_allclose(heat_map(signal), [[1.0, 0.0], [0.0, np.sqrt(3) / 5]], rtol=1e-6)
    np.testing.assert_array_equal(heat_map(-jnp.ones((2, 2, 3))), np.zeros((2, 2)))
    np.testing.assert_array_equal(heat_map(jnp.ones((2, 2, 3))), np.zeros((2, 2)))


def test_heat_maps_of_features_and_classes_are_those_of_their_signals():
    classifier = network()
    found = feature_heat_map(classifier, IMAGES, CHANNELS, endpoint="top")
    signal = feature_signal(classifier, IMAGES, CHANNELS, endpoint="top")
    for own, one in zip(found, signal, strict=True):
        np.testing.assert_allclose(own, heat_map(one), atol=1e-6)
    found = class_heat_map(classifier, IMAGES, CHANNELS)
    for own, one in zip(found, class_gradient(classifier, IMAGES, CHANNELS), strict=True):
        np.testing.assert_allclose(own, heat_map(one), atol=1e-6)


def test_an_enlarged_activation_is_where_the_feature_is():
    image = np.zeros((1, SIDE, SIDE, 3), np.float32)
    maps = jnp.zeros((1, 4, 4, 2)).at[0, 1, 2, 1].set(7.0)
    classifier = classifier_of(lambda _, x: Outputs(x.mean((1, 2)), {"maps": maps - 2.0}), {}, classes=3, side=SIDE)
    found = np.asarray(upsampled_activation(classifier, image, jnp.array([1]), endpoint="maps"))[0]
    assert (found.min(), found.max()) == (0, 1)
    assert found[4:8, 8:12].min() > 0.3
    np.testing.assert_allclose(np.argwhere(found > 0.99).mean(axis=0), (5.5, 9.5))
    assert not upsampled_activation(classifier, image, jnp.array([0]), endpoint="maps").any(), "a silent channel"
