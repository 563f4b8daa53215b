import re

import numpy as np
import pytest
from sklearn.linear_model import lars_path

from vissum_jax.interpretation.mu_lasso import Moments, MuLassoConfig, mu_lasso


def collinear(images, columns, classes, seed):
    """Responses that few factors explain, and labels that depend on these."""
    random = np.random.default_rng(seed)
    labels = np.arange(images) % classes
    factors = random.gamma(1.0, 1.0, (images, 8)) + 3 * random.random((classes, 8))[labels]
    x = factors @ random.random((8, columns)) ** 4 * (1 + 0.02 * random.random((images, columns)))
    return x / np.linalg.norm(x, axis=1, keepdims=True), labels


def moments_of(x, labels, *, batch=64):
    moments = Moments(x.shape[1], labels.max() + 1)
    for start in range(0, len(x), batch):
        moments.add(x[start : start + batch], labels[start : start + batch])
    return moments


def objectives(x, labels, weights):
    return ((x @ weights - np.eye(labels.max() + 1)[labels]) ** 2).sum(0)


def reference(x, target, mu):
    """Least squares in an l1 ball, exactly: the point of the lasso's path whose norm is mu."""
    _, _, path = lars_path(x, target, method="lasso")
    norms = np.abs(path).sum(0)
    if mu >= norms[-1]:
        return path[:, -1]
    knot = int(np.searchsorted(norms, mu))
    share = (mu - norms[knot - 1]) / (norms[knot] - norms[knot - 1])
    return (1 - share) * path[:, knot - 1] + share * path[:, knot]  # between knots the path is straight, signs stay


@pytest.mark.parametrize("mu", [0.5, 5.0, 10.0, 1e3])
@pytest.mark.parametrize(("images", "columns"), [(120, 30), (40, 90)])
def test_the_objective_is_that_of_the_exact_path(mu, images, columns):
    x, labels = collinear(images, columns, 3, seed=columns)
    result = mu_lasso(moments_of(x, labels), MuLassoConfig(mu=mu))
    assert result.converged.all()
    found = objectives(x, labels, result.weights)
    np.testing.assert_allclose(result.objective, found, atol=1e-9)
    for number, target in enumerate(np.eye(3)[labels].T):
        best = ((x @ reference(x, target, mu) - target) ** 2).sum()
        assert abs(found[number] - best) <= 1e-6 * max(best, 1e-3), (number, found[number], best)
        assert found[number] - best <= result.gap[number] + 1e-9
    assert np.abs(result.weights).sum(0).max() <= mu * (1 + 1e-8)
    assert (result.weights == 0).any()


def test_the_bound_binds_and_less_of_it_selects_fewer():
    x, labels = collinear(200, 60, 4, seed=1)
    moments = moments_of(x, labels)
    small, large = (mu_lasso(moments, MuLassoConfig(mu=mu)) for mu in (1.0, 30.0))
    np.testing.assert_allclose(np.abs(small.weights).sum(0), 1.0, rtol=1e-9)
    assert np.count_nonzero(small.weights) < np.count_nonzero(large.weights)
    assert (large.objective < small.objective).all()


def test_filters_that_respond_exactly_alike_change_nothing():
    x, labels = collinear(80, 25, 3, seed=2)
    alone = mu_lasso(moments_of(x, labels), MuLassoConfig(mu=10))
    dead = np.zeros((80, 5))
    doubled = mu_lasso(moments_of(np.concatenate([x, dead, x, x[:, :7]], 1), labels), MuLassoConfig(mu=10))
    assert doubled.converged.all()
    np.testing.assert_allclose(doubled.objective, alone.objective, rtol=1e-7)
    assert not doubled.weights[25:30].any()


@pytest.mark.parametrize("seed", range(4))
def test_many_nonzeros_among_collinear_filters_converge(seed):
    x, labels = collinear(300, 400, 2, seed=10 + seed)
    x[:, 200:260] = x[:, :60]
    result = mu_lasso(moments_of(x.astype(np.float32), labels), MuLassoConfig(mu=100))
    assert result.converged.all()
    assert (np.count_nonzero(result.weights, axis=0) >= 5).all()


def test_each_class_is_solved_on_its_own():
    x, labels = collinear(90, 40, 3, seed=3)
    whole = mu_lasso(moments_of(x, labels), MuLassoConfig())
    moments = Moments(40, 1)
    moments.gram, moments.counts = x.T @ x, np.array([30])
    moments.correlation = x[labels == 1].sum(0)[:, None]
    single = mu_lasso(moments, MuLassoConfig())
    np.testing.assert_allclose(single.objective, whole.objective[1], rtol=1e-7)


def test_moments_do_not_depend_on_the_batches():
    x, labels = collinear(20, 1030, 3, seed=4)  # more columns than a block of rows
    moments = moments_of(x.astype(np.float32), labels, batch=7)
    exact = x.astype(np.float32).astype(np.float64)
    np.testing.assert_allclose(moments.gram, exact.T @ exact, rtol=1e-12)
    np.testing.assert_allclose(moments.correlation, exact.T @ np.eye(3)[labels], rtol=1e-12)
    assert moments.counts.tolist() == [7, 7, 6]


def test_a_class_without_images_has_no_relevant_filter():
    x, labels = collinear(20, 10, 2, seed=5)
    moments = Moments(10, 3)
    moments.add(x, labels)
    result = mu_lasso(moments, MuLassoConfig())
    assert not result.weights[:, 2].any()
    assert result.converged[2]


def test_progress_is_told_of_every_class():
    x, labels = collinear(20, 10, 4, seed=6)
    told = []
    mu_lasso(moments_of(x, labels), MuLassoConfig(), progress=told.append)
    assert told == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mu": 0.0}, "`mu` must be positive, got 0.0."),
        ({"tolerance": 1.0}, "`tolerance` must be in (0, 1), got 1.0."),
        ({"ridge": 0.0}, "`ridge` must be in (0, 1), got 0.0."),
        ({"candidates": 0}, "`candidates` must be at least 1, got 0."),
        ({"max_rounds": 0}, "`max_rounds` must be at least 1, got 0."),
    ],
)
def test_configurations_check_themselves(changes, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        MuLassoConfig(**changes)


def test_what_is_not_finite_or_out_of_range_is_refused():
    moments = Moments(3, 2)
    with pytest.raises(ValueError, match=r"^`responses` must be finite\.$"):
        moments.add(np.array([[1.0, np.nan, 0.0]]), np.array([0]))
    with pytest.raises(ValueError, match=r"^`labels` must be in \[0, 2\), got 1 to 2\.$"):
        moments.add(np.ones((2, 3)), np.array([1, 2]))
    assert not moments.gram.any()
