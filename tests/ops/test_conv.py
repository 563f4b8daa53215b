"""Convolution: every backend's kernel against a slow oracle and against XLA's own convolution."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import networks as oracle

from vissum_jax.ops.conv import Padding, conv2d, explicit_padding

# name: image height, width, channels; kernel height = width, outputs, groups; stride; padding
CASES = {
    "3x3": (6, 5, 3, 3, 4, 1, 1, "SAME"),
    "stem 7x7 stride 2": (13, 12, 3, 7, 4, 1, 2, ((3, 3), (3, 3))),
    "stem 3x3 stride 2, uneven padding": (8, 8, 3, 3, 4, 1, 2, "SAME"),
    "stem 3x3 stride 2, no padding": (9, 8, 3, 3, 4, 1, 2, "VALID"),
    "stride 4": (15, 14, 3, 7, 4, 1, 4, ((2, 2), (2, 2))),
    "1x1": (5, 4, 6, 1, 3, 1, 1, "SAME"),
    "1x1 stride 2": (5, 4, 6, 1, 3, 1, 2, "VALID"),
    "1x1 with padding": (5, 4, 6, 1, 3, 1, 1, ((1, 0), (0, 1))),
    "depthwise 3x3": (6, 5, 4, 3, 4, 4, 1, "SAME"),
    "depthwise 5x5 stride 2": (8, 7, 4, 5, 4, 4, 2, "SAME"),
    "depthwise, two outputs a channel": (6, 5, 4, 3, 8, 4, 1, "SAME"),
    "two groups": (6, 5, 4, 3, 6, 2, 1, "SAME"),
    "window larger than the stride leaves a rest": (7, 10, 2, 2, 3, 1, 3, "VALID"),
}
Case = tuple[jax.Array, jax.Array, int, Padding]


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request: pytest.FixtureRequest) -> Case:
    height, width, channels, size, outputs, groups, stride, padding = request.param
    rng = np.random.default_rng(0)
    images = rng.standard_normal((2, height, width, channels), np.float32)
    kernel = rng.standard_normal((size, size, channels // groups, outputs), np.float32)
    return jnp.asarray(images), jnp.asarray(kernel), stride, padding


@pytest.fixture(params=["cpu", "gpu"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Kernels are chosen by the backend's name; those of an accelerator run on a CPU as well."""
    monkeypatch.setattr(jax, "default_backend", lambda: request.param)
    return request.param


def _slow(case: Case):
    images, kernel, stride, padding = case
    pads = explicit_padding(images.shape[1:3], kernel.shape[:2], stride, padding)
    return lambda x: oracle.convolve(x, np.asarray(kernel), stride=stride, pads=pads)


@pytest.mark.usefixtures("backend")
def test_agrees_with_the_oracle(case: Case):
    images, kernel, stride, padding = case
    result = jax.jit(lambda x: conv2d(x, kernel, stride=stride, padding=padding))(images)
    expected = _slow(case)(np.asarray(images))
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("backend")
def test_input_gradient_agrees_with_the_oracle(case: Case):
    images, kernel, stride, padding = case
    host_images = np.asarray(images)[:1]
    slow = _slow(case)
    upstream = np.random.default_rng(1).standard_normal(slow(host_images).shape, np.float32)

    @jax.jit
    @jax.grad
    def gradient(x):
        return (upstream * conv2d(x, kernel, stride=stride, padding=padding)).sum()

    expected = oracle.gradient_of(slow, host_images, upstream)
    np.testing.assert_allclose(gradient(host_images), expected, rtol=1e-4, atol=1e-4)


def test_kernel_gradient_agrees_between_backends(case: Case, monkeypatch: pytest.MonkeyPatch):
    images, kernel, stride, padding = case

    gradients = []
    for backend in ("cpu", "gpu"):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)

        @jax.jit
        @jax.grad
        def gradient(weights):
            return (conv2d(images, weights, stride=stride, padding=padding) ** 2).sum()

        gradients.append(gradient(kernel))
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-4, atol=1e-3)


def test_jit_and_vmap_change_nothing(case: Case):
    images, kernel, stride, padding = case

    def function(x):
        return conv2d(x, kernel, stride=stride, padding=padding)

    expected = function(images)
    np.testing.assert_allclose(jax.jit(function)(images), expected, rtol=1e-5, atol=1e-5)
    stacked = np.stack([images, 2 * images])
    np.testing.assert_allclose(jax.jit(jax.vmap(function))(stacked)[1], 2 * expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2])
def test_inside_a_loop_the_input_gradient_stays_a_convolution_that_xla_vectorises(stride: int):
    """XLA's CPU backend has a fast kernel for HWIO alone, and inside a loop it would fold a swap into HWOI."""

    @jax.jit
    def descend(images, kernel):
        def loss(x):
            return jax.nn.relu(conv2d(x, kernel, stride=stride)).sum()

        return jax.lax.fori_loop(0, 3, lambda _, x: x - jax.grad(loss)(x), images)

    program = descend.lower(jnp.ones((2, 12, 12, 8)), jnp.ones((3, 3, 8, 16))).compile()
    layouts = set(re.findall(r"dim_labels=(\w+->\w+)", program.as_text()))
    assert layouts == {"b01f_01io->b01f"}


def test_channels_that_do_not_fit_are_refused():
    message = (
        "`kernel` of shape (3, 3, 2, 4) does not fit images of 3 channels: these must be a multiple of the "
        "kernel's third dimension, and its fourth a multiple of the number of groups."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        conv2d(jnp.zeros((1, 5, 5, 3)), jnp.zeros((3, 3, 2, 4)))
