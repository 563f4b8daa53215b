"""Convolution whose gradient has no stride: the oracle, what stays as it is, and what it is for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import destrided as oracle

from vissum_jax.ops.conv import conv2d, explicit_padding
from vissum_jax.ops.destrided import destrided_conv2d

# image height, width, channels; kernel height, width, outputs, groups; stride; padding
CASES = {
    "3x3 stride 2, uneven padding": (8, 7, 3, 3, 3, 4, 1, 2, "SAME"),
    "7x7 stride 2": (13, 12, 2, 7, 7, 3, 1, 2, ((3, 3), (3, 3))),
    "3x3 stride 2, no padding, a rest": (8, 9, 3, 3, 3, 4, 1, 2, "VALID"),
    "7x5 stride 4": (15, 14, 2, 7, 5, 3, 1, 4, ((2, 2), (1, 2))),
    "1x1 stride 2": (5, 6, 4, 1, 1, 3, 1, 2, "VALID"),
    "stride as large as the window": (9, 9, 2, 3, 3, 2, 1, 3, "VALID"),
    "stride larger than the window": (8, 10, 2, 2, 2, 3, 1, 3, "VALID"),
    "depthwise 5x5 stride 2": (8, 7, 4, 5, 5, 4, 4, 2, "SAME"),
    "two groups": (7, 6, 4, 3, 3, 6, 2, 2, "SAME"),
    "a single window": (3, 4, 2, 3, 3, 2, 1, 2, "VALID"),
    "no stride": (6, 5, 3, 3, 3, 4, 1, 1, "SAME"),
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request):
    height, width, channels, kernel_h, kernel_w, outputs, groups, stride, padding = request.param
    random = np.random.default_rng(0)
    images = random.standard_normal((2, height, width, channels), np.float32)
    kernel = random.standard_normal((kernel_h, kernel_w, channels // groups, outputs), np.float32)
    return images, kernel, {"stride": stride, "padding": padding}


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_the_signal_comes_back_as_the_oracle_says(case, backend, monkeypatch):
    images, kernel, options = case
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    shape = jax.eval_shape(lambda x: destrided_conv2d(x, kernel, **options), images).shape
    upstream = np.random.default_rng(1).standard_normal(shape, np.float32)
    pads = explicit_padding(images.shape[1:3], kernel.shape[:2], options["stride"], options["padding"])
    expected = oracle.backward(images.shape, kernel, upstream, pads=pads)

    @jax.jit
    def back(x):
        return jax.vjp(lambda y: destrided_conv2d(y, kernel, **options), x)[1](upstream)[0]

    np.testing.assert_allclose(back(images), expected, rtol=1e-4, atol=1e-4)


def test_what_it_computes_stays_bit_by_bit(case):
    images, kernel, options = case
    own, true = (jax.jit(lambda x, f=f: f(x, kernel, **options))(images) for f in (destrided_conv2d, conv2d))
    np.testing.assert_array_equal(own, true)


def test_the_kernels_gradient_is_the_true_one():
    images, kernel = np.random.default_rng(0).random((2, 7, 8, 3), np.float32), jnp.ones((3, 3, 3, 4))
    own, true = (
        jax.grad(lambda k, f=f: (f(images, k, stride=2) ** 2).sum())(kernel) for f in (destrided_conv2d, conv2d)
    )
    np.testing.assert_allclose(own, true, rtol=1e-5)


def test_vmap_changes_nothing():
    images, kernel = jnp.ones((3, 2, 8, 8, 2)) * jnp.arange(3.0)[:, None, None, None, None], jnp.ones((3, 3, 2, 4))

    def slope(x):
        return jax.grad(lambda y: (destrided_conv2d(y, kernel, stride=2) ** 2).sum())(x)

    np.testing.assert_allclose(jax.vmap(slope)(images)[2], slope(images[2]), rtol=1e-5)


def test_an_even_signal_comes_back_even_and_loses_nothing():
    """What stride makes of it: a grid of its period."""
    kernel = np.random.default_rng(0).random((3, 3, 1, 1), np.float32)
    images = np.zeros((1, 32, 32, 1), np.float32)

    def back(convolution):
        outputs, pull = jax.vjp(lambda x: convolution(x, kernel, stride=2, padding=((1, 1), (1, 1))), images)
        return np.asarray(pull(jnp.ones_like(outputs))[0])[0, 4:-4, 4:-4, 0]

    plain, even = back(conv2d), back(destrided_conv2d)
    assert plain.std() > 0.3 * plain.mean()
    assert even.std() < 1e-5 * even.mean()
    np.testing.assert_allclose(even.mean(), plain.mean(), rtol=0.05)
