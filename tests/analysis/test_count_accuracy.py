import numpy as np
import pytest
from scipy import stats

from vissum_jax.analysis.bootstrap import BootstrapConfig
from vissum_jax.analysis.count_accuracy import count_correlation

CONFIG = BootstrapConfig(resamples=500)


def example(seed=0, runs=5, classes=12):
    random = np.random.default_rng(seed)
    trials = random.integers(5, 20, (runs, classes)).astype(float)
    hits = np.floor(trials * random.random((runs, classes)))
    return random.integers(0, 9, (runs, classes)).astype(float), hits, trials


@pytest.mark.parametrize("seed", range(4))
def test_the_value_is_scipy_s(seed):
    counts, hits, trials = example(seed)
    wanted = stats.spearmanr(counts.mean(axis=1), hits.sum(axis=1) / trials.sum(axis=1)).statistic
    assert count_correlation(counts, hits, trials, CONFIG).value == pytest.approx(wanted)


def test_equal_counts_share_their_rank():
    counts = np.array([[1.0], [2.0], [2.0], [4.0]])
    hits = np.array([[0.3], [0.5], [0.7], [0.6]])
    wanted = stats.spearmanr(counts[:, 0], hits[:, 0]).statistic
    assert count_correlation(counts, hits, np.ones((4, 1)), CONFIG).value == pytest.approx(wanted)


def test_the_interval_is_that_of_classes_drawn_one_at_a_time():
    counts, hits, trials = example(5)
    random = np.random.default_rng(9)
    values = []
    for _ in range(3000):
        draw = random.integers(counts.shape[1], size=counts.shape[1])
        accuracy = hits[:, draw].sum(axis=1) / trials[:, draw].sum(axis=1)
        values.append(stats.spearmanr(counts[:, draw].mean(axis=1), accuracy).statistic)
    found = count_correlation(counts, hits, trials, BootstrapConfig(resamples=3000))
    # Of five runs there are few different correlations: the ends are some of them.
    assert (found.low, found.high) == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=0.11)
    assert (found.runs, found.classes, found.undefined) == (5, 12, 0.0)


def test_more_summaries_with_every_gain_of_accuracy_is_a_correlation_of_one():
    counts = np.arange(4.0)[:, None] + np.zeros((4, 6))
    found = count_correlation(counts, 0.5 + 0.1 * counts, np.ones((4, 6)), CONFIG)
    assert (found.value, found.low, found.high) == pytest.approx((1.0, 1.0, 1.0))
    found = count_correlation(counts, 0.9 - 0.1 * counts, np.ones((4, 6)), CONFIG)
    assert (found.value, found.low, found.high) == pytest.approx((-1.0, -1.0, -1.0))


def test_equal_means_have_no_correlation():
    found = count_correlation(np.full((3, 4), 2.0), example(0, 3, 4)[1], np.full((3, 4), 20.0), CONFIG)
    assert np.isnan([found.value, found.low, found.high]).all()
    assert found.undefined == 1.0


def test_draws_without_a_correlation_are_counted_and_left_out():
    """The runs differ in one class of three, which about a third of the draws miss."""
    counts = np.array([[1.0, 5, 5], [2, 5, 5], [3, 5, 5]])
    found = count_correlation(counts, np.array([[0.1] * 3, [0.2] * 3, [0.3] * 3]), np.ones((3, 3)), CONFIG)
    assert (found.value, found.low, found.high) == pytest.approx((1.0, 1.0, 1.0))
    assert found.undefined == pytest.approx((2 / 3) ** 3, abs=0.06)


def test_a_run_without_a_readable_photograph_has_no_accuracy():
    counts, hits, trials = example(1, 3, 4)
    trials[0], hits[0] = 0, 0
    assert np.isnan(count_correlation(counts, hits, trials, CONFIG).value)


def test_the_seed_decides():
    arrays = example(2)
    assert count_correlation(*arrays, CONFIG) == count_correlation(*arrays, CONFIG)
    assert count_correlation(*arrays, BootstrapConfig(resamples=50, seed=1)) != count_correlation(
        *arrays, BootstrapConfig(resamples=50, seed=2)
    )


def test_too_few_runs_and_other_shapes_are_refused():
    two = np.ones((2, 4))
    with pytest.raises(ValueError, match=r"^`counts` must have at least 3 runs and a class, got 2 runs and 4 classes"):
        count_correlation(two, two, two, CONFIG)
    with pytest.raises(ValueError, match=r"^`counts`, `hits` and `trials` must be \(r, c\) alike, got \(3, 4\)"):
        count_correlation(np.ones((3, 4)), two, two, CONFIG)
