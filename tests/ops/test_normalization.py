"""Local response normalisation against a slow oracle."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import networks as oracle

from vissum_jax.ops.normalization import local_response_normalization

OPTIONS = {
    "Caffe": {"window": 5, "alpha": 1e-4, "beta": 0.75, "bias": 1.0},
    "strong": {"window": 3, "alpha": 0.5, "beta": 0.75, "bias": 2.0},
    "another exponent": {"window": 5, "alpha": 0.5, "beta": 0.6, "bias": 1.0},
    "window wider than the channels": {"window": 21, "alpha": 0.5, "beta": 0.75, "bias": 1.0},
}


@pytest.fixture(params=OPTIONS.values(), ids=OPTIONS.keys())
def options(request: pytest.FixtureRequest) -> dict:
    return request.param


@pytest.fixture(params=["cpu", "gpu"], autouse=True)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(jax, "default_backend", lambda: request.param)
    return request.param


@pytest.fixture
def images() -> jax.Array:
    return 3 * jax.random.normal(jax.random.key(0), (1, 2, 2, 8))


def test_agrees_with_the_oracle(images: jax.Array, options: dict):
    expected = oracle.normalize(np.asarray(images), **options)
    np.testing.assert_allclose(local_response_normalization(images, **options), expected, rtol=1e-5, atol=1e-6)


def test_gradient_agrees_with_the_oracle(images: jax.Array, options: dict):
    result, pullback = jax.vjp(functools.partial(local_response_normalization, **options), images)
    upstream = jax.random.normal(jax.random.key(1), result.shape)
    expected = oracle.gradient_of(
        functools.partial(oracle.normalize, **options), np.asarray(images), np.asarray(upstream)
    )
    np.testing.assert_allclose(pullback(upstream)[0], expected, rtol=1e-4, atol=1e-5)


def test_jit_and_vmap_change_nothing(images: jax.Array, options: dict):
    function = functools.partial(local_response_normalization, **options)
    expected = function(images)
    np.testing.assert_allclose(jax.jit(function)(images), expected, rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(function)(jnp.stack([images, images]))[1], expected, rtol=1e-6)


def test_an_even_window_is_refused(images: jax.Array):
    with pytest.raises(ValueError, match=f"^{re.escape('`window` must be odd, got 4.')}$"):
        local_response_normalization(images, window=4, alpha=1.0, beta=1.0, bias=1.0)
