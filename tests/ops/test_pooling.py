"""Max pooling: every backend's kernel against a slow oracle."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import networks as oracle

from vissum_jax.ops.pooling import ceil_padding, max_pool

# name: image height and width; window; stride; padding
CASES = {
    "stride 2": ((9, 7), 3, 2, ((0, 0), (0, 0))),
    "stride 2, a rest is left": ((8, 10), 3, 2, ((0, 0), (0, 0))),
    "stride 2, rounded up": ((8, 10), 3, 2, ((0, 1), (0, 1))),
    "stride 1, padded": ((6, 5), 3, 1, ((1, 1), (1, 1))),
    "2x2": ((6, 4), 2, 2, ((0, 0), (0, 0))),
    "stride 3, window 2": ((8, 9), 2, 3, ((0, 0), (0, 0))),
}
Case = tuple[tuple[int, int], int, int, tuple[tuple[int, int], tuple[int, int]]]


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture(params=["cpu", "gpu"], autouse=True)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(jax, "default_backend", lambda: request.param)
    return request.param


def _images(size: tuple[int, int], *, ties: bool) -> jax.Array:
    rng = np.random.default_rng(0)
    shape = (2, *size, 3)
    images = rng.integers(0, 3, shape) if ties else rng.standard_normal(shape)
    return jnp.asarray(images, jnp.float32)


def test_agrees_with_the_oracle(case: Case):
    size, window, stride, pads = case
    images = _images(size, ties=False)
    result = max_pool(images, window=window, stride=stride, padding=pads)
    expected = oracle.max_pool(np.asarray(images), window=window, stride=stride, pads=pads)
    np.testing.assert_array_equal(result, expected.astype(np.float32))


@pytest.mark.parametrize("ties", [False, True])
def test_gradient_goes_to_the_first_maximum(case: Case, ties: bool):
    size, window, stride, pads = case
    images = _images(size, ties=ties)
    pooled = oracle.max_pool(np.asarray(images), window=window, stride=stride, pads=pads)
    upstream = np.random.default_rng(1).standard_normal(pooled.shape, np.float32)

    @jax.jit
    @jax.grad
    def gradient(x):
        return (upstream * max_pool(x, window=window, stride=stride, padding=pads)).sum()

    expected = oracle.max_pool_gradient(np.asarray(images), upstream, window=window, stride=stride, pads=pads)
    np.testing.assert_allclose(gradient(images), expected, rtol=1e-6, atol=1e-6)


def test_jit_and_vmap_change_nothing(case: Case):
    size, window, stride, pads = case
    images = _images(size, ties=False)

    def function(x):
        return max_pool(x, window=window, stride=stride, padding=pads)

    np.testing.assert_array_equal(jax.jit(function)(images), function(images))
    np.testing.assert_array_equal(jax.vmap(function)(jnp.stack([images, -images]))[1], function(-images))


def test_second_derivative_exists():
    images = _images((8, 8), ties=False)
    hessian_product = jax.jvp(
        jax.grad(lambda x: (max_pool(x, window=3, stride=2) ** 2).sum()), (images,), (jnp.ones_like(images),)
    )[1]
    assert float(hessian_product.sum()) == 2 * max_pool(images, window=3, stride=2).size


@pytest.mark.parametrize(
    ("length", "window", "stride", "padding", "outputs"),
    [
        (112, 3, 2, 0, 56),
        (113, 3, 2, 0, 56),
        (56, 3, 2, 0, 28),
        (7, 3, 2, 0, 3),
        (6, 2, 2, 1, 4),
        (5, 2, 3, 1, 2),
    ],
)
def test_ceil_padding_rounds_the_output_up(length: int, window: int, stride: int, padding: int, outputs: int):
    pads = ceil_padding((length, length), window=window, stride=stride, padding=padding)
    pooled = max_pool(jnp.zeros((1, length, length, 1)), window=window, stride=stride, padding=pads)
    assert pooled.shape == (1, outputs, outputs, 1)
    assert bool(jnp.isfinite(pooled).all())
