"""The layers that networks are made of, against slow versions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from oracles import networks as oracle

from vissum_jax.models.layers import (
    Conv,
    LayerNorm,
    Linear,
    average_around,
    convolve_together,
    flatten_by_channel,
    use_convolution,
)
from vissum_jax.models.vit import SelfAttention
from vissum_jax.ops.conv import conv2d

RANDOM = np.random.default_rng(0)


def _random(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("size", [(1, 7), (7, 1), (3, 3)])
def test_convolutions_may_be_oblong(size: tuple[int, int]):
    layer = Conv(4, 5, size, rngs=nnx.Rngs(0))
    images = _random(2, 9, 8, 4)
    pads = ((size[0] // 2, size[0] // 2), (size[1] // 2, size[1] // 2))
    expected = oracle.convolve(images, np.asarray(layer.kernel[...]), stride=1, pads=pads)
    np.testing.assert_allclose(layer(images), expected, atol=1e-5)


def test_every_convolution_of_a_network_can_be_computed_by_another_function():
    def twice(images, kernel, *, stride, padding):
        return 2 * conv2d(images, kernel, stride=stride, padding=padding)

    network = nnx.Sequential(Conv(4, 5, 3, rngs=nnx.Rngs(0)), Conv(5, 2, 3, stride=2, rngs=nnx.Rngs(1)))
    images = _random(1, 6, 6, 4)
    plain, together = network(images), convolve_together([network.layers[0]], images)
    use_convolution(network, twice)
    np.testing.assert_allclose(network(images), 4 * plain, rtol=1e-5)
    np.testing.assert_allclose(convolve_together([network.layers[0]], images), 2 * together, rtol=1e-5)


def test_fully_connected_layers_take_tokens():
    layer = Linear(6, 4, rngs=nnx.Rngs(0))
    tokens = _random(2, 3, 6)
    one_by_one = [[layer(token[None])[0] for token in image] for image in tokens]
    np.testing.assert_allclose(layer(tokens), one_by_one, atol=1e-6)


def test_layer_norm_normalises_every_position():
    layer = LayerNorm(16, epsilon=1e-2)
    layer.scale[...], layer.bias[...] = _random(16), _random(16)
    features = _random(2, 3, 16) * 0.2 + 5  # a mean much larger than the deviation, and that near epsilon
    expected = [
        [
            oracle.normalize_position(
                row, scale=np.asarray(layer.scale[...]), bias=np.asarray(layer.bias[...]), epsilon=1e-2
            )
            for row in image
        ]
        for image in features
    ]
    np.testing.assert_allclose(layer(features), expected, atol=1e-4)


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_the_mean_around_a_pixel_counts_the_border_as_zeros(backend: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    images = _random(2, 5, 6, 3)
    np.testing.assert_allclose(
        average_around(jnp.asarray(images), window=3), oracle.average_around(images, window=3), atol=1e-6
    )
    np.testing.assert_allclose(average_around(jnp.ones((1, 4, 4, 1)), window=3)[0, 0, 0, 0], 4 / 9, rtol=1e-6)


def test_attention_mixes_tokens_within_heads():
    attention = SelfAttention(rngs=nnx.Rngs(0))
    width = attention.output.kernel.shape[0]
    attention.output.kernel[...] = jnp.eye(width)
    attention.query_key_value.bias[...] = _random(3 * width)
    tokens = _random(2, 5, width)
    projection = attention.query_key_value
    kernel, bias = np.asarray(projection.kernel[...]), np.asarray(projection.bias[...])
    expected = [oracle.attend(image, kernel=kernel, bias=bias, heads=12) for image in tokens]
    np.testing.assert_allclose(attention(jnp.asarray(tokens)), expected, atol=1e-4)


def test_images_are_flattened_channel_by_channel():
    images = np.arange(2 * 2 * 3 * 4).reshape(2, 2, 3, 4)
    expected = [
        [image[row, column, channel] for channel in range(4) for row in range(2) for column in range(3)]
        for image in images
    ]
    np.testing.assert_array_equal(flatten_by_channel(jnp.asarray(images)), expected)
