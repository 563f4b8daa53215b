import numpy as np
import pytest

from vissum_jax.matching import load_whitening
from vissum_jax.matching.whitening import (
    HogStatistics,
    cholesky_with_ridge,
    descriptor_covariance,
    invert_lower,
    load_statistics,
    pack,
    unpack,
)


@pytest.fixture(scope="module")
def statistics():
    return load_statistics()


def test_the_shipped_statistics_are_small_and_plausible(statistics):
    assert statistics.mean.shape == (31,)
    assert statistics.covariance.shape == (15, 15, 31, 31)
    assert 0.05 < statistics.mean.min() < statistics.mean.max() < 0.3
    variances = np.diag(statistics.covariance[7, 7])
    assert 0 < variances.min() < variances.max() < 0.1
    # Cells further apart vary less together.
    together = [np.trace(statistics.covariance[7 + d, 7]) for d in range(8)]
    assert together[0] > 2 * together[2] > 0


def test_a_covariance_with_swapped_cells_is_the_transpose(statistics):
    for dy, dx in [(0, 0), (1, 0), (-3, 5)]:
        np.testing.assert_array_equal(statistics.covariance[7 + dy, 7 + dx], statistics.covariance[7 - dy, 7 - dx].T)


def test_packing_loses_half_precision_alone(statistics):
    again = unpack(pack(HogStatistics(*statistics)))
    np.testing.assert_allclose(again.covariance, statistics.covariance, rtol=1e-3, atol=1e-7)


def test_the_descriptors_covariance_is_built_block_by_block(statistics):
    covariance = descriptor_covariance(statistics)
    np.testing.assert_array_equal(covariance, covariance.T)
    rng = np.random.default_rng(0)
    for _ in range(50):
        (y, x, a), (v, u, b) = rng.integers(0, [8, 8, 31], (2, 3))
        entry = covariance[(y * 8 + x) * 31 + a, (v * 8 + u) * 31 + b]
        assert entry == statistics.covariance[y - v + 7, x - u + 7, a, b]


def test_the_ridge_grows_until_there_is_a_factor():
    indefinite = np.diag([1.0, -0.025])
    factor, ridge = cholesky_with_ridge(indefinite, 0.01)
    assert ridge == pytest.approx(0.03)
    np.testing.assert_allclose(factor @ factor.T, indefinite + 0.03 * np.eye(2))
    assert cholesky_with_ridge(np.eye(2), 0.01)[1] == 0.01


@pytest.mark.parametrize("size", [1, 7, 64])
def test_the_inverse_of_a_triangular_matrix(size):
    factor = np.tril(np.random.default_rng(size).normal(size=(size, size))) + 3 * np.eye(size)
    inverse = invert_lower(factor, block=8)
    np.testing.assert_array_equal(inverse, np.tril(inverse))
    np.testing.assert_allclose(inverse @ factor, np.eye(size), atol=1e-10)


def test_the_factor_whitens(statistics):
    whitening = load_whitening(0.01)
    covariance = descriptor_covariance(statistics) + 0.01 * np.eye(1984)
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 0.1, (2, 1984))
    exact = first @ np.linalg.solve(covariance, second)
    ours = (whitening.factor @ first.astype(np.float32)) @ (whitening.factor @ second.astype(np.float32))
    size = np.sqrt((first @ np.linalg.solve(covariance, first)) * (second @ np.linalg.solve(covariance, second)))
    assert ours == pytest.approx(exact, abs=1e-5 * size)
    assert load_whitening(0.01) is whitening
