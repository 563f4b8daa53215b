"""Winograd's 3x3 convolution against a slow oracle, and where `conv2d` takes it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import networks as oracle

from vissum_jax.ops.conv import conv2d
from vissum_jax.ops.winograd import conv3x3_winograd

WIDE = (13, 12, 104, 96)


def _case(height: int, width: int, inputs: int, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    kernel = random.standard_normal((3, 3, inputs, outputs), np.float32) / np.sqrt(9 * inputs)
    return random.standard_normal((2, height, width, inputs), np.float32), kernel


@pytest.mark.parametrize(("height", "width"), [(6, 4), (5, 7), (2, 2), (1, 1)])
def test_agrees_with_the_oracle(height: int, width: int):
    images, kernel = _case(height, width, 3, 4)
    expected = oracle.convolve(images, kernel, stride=1, pads=((1, 1), (1, 1)))
    np.testing.assert_allclose(jax.jit(conv3x3_winograd)(images, kernel), expected, rtol=1e-5, atol=1e-6)


def test_wide_layers_and_their_gradients_agree_with_other_backends(monkeypatch: pytest.MonkeyPatch):
    images, kernel = _case(*WIDE)
    found = []
    for backend in ("cpu", "gpu"):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        value, pullback = jax.vjp(jax.jit(lambda x, k: conv2d(x, k)), images, kernel)
        found.append((value, *pullback(value)))
    for ours, plain in zip(*found, strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-4, atol=1e-5 * np.abs(plain).max())


def test_an_image_of_nan_leaves_the_others_alone():
    images, kernel = _case(*WIDE)
    broken = images.copy()
    broken[0] = np.nan
    np.testing.assert_array_equal(conv2d(broken, kernel)[1], conv2d(images, kernel)[1])


@pytest.mark.parametrize(
    ("side", "inputs", "outputs", "share"), [(28, 96, 128, 0.5), (56, 64, 64, 1.0), (7, 512, 512, 1.0)]
)
def test_on_processors_wide_layers_take_half_the_operations(side: int, inputs: int, outputs: int, share: float):
    shapes = jnp.zeros((8, side, side, inputs)), jnp.zeros((3, 3, inputs, outputs))

    def plain(images, kernel):
        return jax.lax.conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    ours, direct = (jax.jit(function).lower(*shapes).cost_analysis()["flops"] for function in (conv2d, plain))
    assert ours / direct == pytest.approx(share, abs=0.1)
