import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles.pooled import pooled as oracle

from vissum_jax.matching import estimate_whitening, pooled_features

HEIGHT, WIDTH = 64, 80


def feature_map(seed=0, rows=4, columns=5, channels=6):
    return np.random.default_rng(seed).normal(size=(rows, columns, channels)).astype(np.float32)


BOXES = np.array(
    [
        [0, 0, 80, 64],  # the whole image
        [16, 16, 16, 16],  # one cell
        [20, 10, 37, 29],  # parts of cells
        [30, 30, 5, 40],  # narrower than a cell
        [0, 0, 3, 3],  # smaller than a cell, in a corner
        [76, 60, 4, 4],
    ]
)


@pytest.mark.parametrize("grid", [(4, 5), (13, 13), (1, 7)])
def test_pooling_equals_the_oracle(grid):
    values = feature_map(1, *grid)
    ours = pooled_features(jnp.asarray(values), jnp.asarray(BOXES), image_size=(HEIGHT, WIDTH))
    for box, features in zip(BOXES, ours, strict=True):
        np.testing.assert_allclose(features, oracle(values, box, HEIGHT, WIDTH), atol=1e-5)


def test_the_whole_image_and_a_single_cell_are_what_they_seem():
    values = feature_map()
    ours = pooled_features(jnp.asarray(values), jnp.asarray(BOXES), image_size=(HEIGHT, WIDTH))
    np.testing.assert_allclose(ours[0], values.mean((0, 1)), atol=1e-6)
    np.testing.assert_allclose(ours[1], values[1, 1], atol=1e-6)


def test_boxes_of_padding_are_finite():
    ours = pooled_features(jnp.asarray(feature_map()), jnp.zeros((2, 4), jnp.int32), image_size=(HEIGHT, WIDTH))
    assert np.isfinite(ours).all()


def test_batches_and_compilation_change_nothing():
    maps = np.stack([feature_map(seed) for seed in range(3)])

    def single(one):
        return pooled_features(one, jnp.asarray(BOXES), image_size=(HEIGHT, WIDTH))

    batched = jax.jit(jax.vmap(single))(maps)
    for one, features in zip(maps, batched, strict=True):
        np.testing.assert_allclose(single(jnp.asarray(one)), features, atol=1e-6)


def test_whitened_features_have_no_mean_and_no_correlations():
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(4000, 5)) @ rng.normal(size=(5, 5)) + 3).astype(np.float32)
    whitening = estimate_whitening(np.array_split(features, 7), ridge=1e-6)
    white = (features - whitening.mean) @ whitening.factor.T
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(np.cov(white.T), np.eye(5), atol=0.02)


def test_the_ridge_is_relative_to_the_mean_variance():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(500, 4)).astype(np.float32) * [1, 2, 3, 4]
    covariance = np.cov(features.T, bias=True)
    expected = covariance + 0.3 * np.trace(covariance) / 4 * np.eye(4)
    factor = estimate_whitening([features], ridge=0.3).factor
    np.testing.assert_allclose(np.linalg.inv(factor.T @ factor), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("features", [np.ones((1, 3)), np.full((9, 3), 2.0), np.zeros((4, 3))])
def test_features_without_any_variance_become_zero(features):
    features = features.astype(np.float32)
    whitening = estimate_whitening([features], ridge=0.1)
    assert np.isfinite(whitening.factor).all()
    np.testing.assert_array_equal((features - whitening.mean) @ whitening.factor.T, np.zeros_like(features))
