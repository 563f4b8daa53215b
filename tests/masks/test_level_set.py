import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np

from vissum_jax.masks import level_set as levels

field_of = jax.jit(lambda ranking: levels.field_of(ranking, 32, 32, 1.0))
level_set = jax.jit(levels.level_set)
soft_level_set = jax.jit(levels.soft_level_set)


def smooth_field(seed):
    return field_of(np.random.default_rng(seed).normal(size=(8, 8)).astype(np.float32))


@hypothesis.given(st.integers(0, 1000), st.floats(0.03, 0.97))
@hypothesis.settings(max_examples=30, deadline=None)
def test_level_sets_have_the_area_asked_for(seed, area):
    field = smooth_field(seed)
    mask = np.asarray(level_set(field, area, 1.0))
    np.testing.assert_allclose(mask.round(5), mask, atol=1e-6)  # 0 and 1
    # Quantiles are read on every fourth row and column, 8 x 8 samples here: of these the share is exact.
    np.testing.assert_allclose(np.mean(mask[::4, ::4] < 0.5), area, atol=1 / 64)
    np.testing.assert_allclose(np.mean(mask < 0.5), area, atol=0.2)
    soft = np.asarray(soft_level_set(field, area, 0.1))
    np.testing.assert_array_equal(soft < 0.5, mask < 0.5)
    # The salient pixels are those that rank highest.
    field = np.asarray(field)
    assert field[mask < 0.5].min() > field[mask > 0.5].max()


def test_level_sets_pass_the_gradient_of_a_sigmoid():
    field = smooth_field(0)
    threshold = levels.threshold_at(field, jnp.float32(0.3))
    gradient = jax.grad(lambda f: levels.level_set(f, jnp.float32(0.3), 0.7).sum())(field)
    s = 1 / (1 + np.exp(-(np.asarray(field) - threshold) / 0.7))
    np.testing.assert_allclose(gradient, -s * (1 - s) / 0.7, atol=1e-6)


def test_fields_have_unit_variance():
    np.testing.assert_allclose(np.std(smooth_field(3)), 1, rtol=1e-5)
    assert np.isfinite(field_of(np.zeros((8, 8), np.float32))).all()


def test_grids_read_fields_with_the_weights_that_paint_them():
    field = np.random.default_rng(0).normal(size=(24, 36)).astype(np.float32)
    grid = levels.grid_of(jnp.asarray(field), 6, 1.0)
    expected = np.zeros((6, 6))
    for i, j in np.ndindex(6, 6):
        # Weight of a cell in a pixel's row, and in its column: Gaussians in cells, over all cells sum 1.
        lines = []
        for size, k in ((24, i), (36, j)):
            places = (np.arange(size)[:, None] + 0.5) * 6 / size - (np.arange(6) + 0.5)
            weights = np.exp(-(places**2) / 2)
            weights = (weights / weights.sum(axis=1, keepdims=True))[:, k]
            lines.append(weights / weights.sum())
        expected[i, j] = lines[0] @ field @ lines[1]
    np.testing.assert_allclose(grid, expected, atol=1e-5)
