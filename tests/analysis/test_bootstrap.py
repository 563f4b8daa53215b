import re

import numpy as np
import pytest
from scipy import stats

from vissum_jax.analysis.bootstrap import BootstrapConfig, paired_difference

CONFIG = BootstrapConfig()


def test_the_interval_is_that_of_scipy():
    random = np.random.default_rng(0)
    first, second = random.normal(0.3, 1, 40), random.normal(0, 1, 40)
    found = paired_difference(first, second, CONFIG)
    wanted = stats.bootstrap(
        (first, second),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        paired=True,
        method="percentile",
        n_resamples=10_000,
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert found.mean == pytest.approx(np.mean(first) - np.mean(second))
    assert (found.low, found.high) == pytest.approx(wanted, abs=0.02)
    assert found.images == 40


def test_pairs_stay_together():
    """Images differ a lot, the methods by a constant: unpaired draws would be unsure of it."""
    second = np.random.default_rng(0).normal(0, 100, 30)
    found = paired_difference(second + 0.5, second, CONFIG)
    assert (found.mean, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))


def test_exchanging_the_methods_mirrors_the_interval():
    random = np.random.default_rng(2)
    first, second = random.random(25), random.random(25)
    there, back = paired_difference(first, second, CONFIG), paired_difference(second, first, CONFIG)
    assert (back.mean, back.low, back.high) == pytest.approx((-there.mean, -there.high, -there.low))


def test_one_image_has_an_interval_without_width():
    found = paired_difference(np.array([0.75]), np.array([0.5]), CONFIG)
    assert (found.mean, found.low, found.high, found.images) == (0.25, 0.25, 0.25, 1)


def test_images_without_a_value_are_left_out():
    first, second = np.array([1.0, np.nan, 3.0, 4.0]), np.array([0.0, 1.0, np.nan, 2.0])
    found = paired_difference(first, second, CONFIG)
    assert (found.mean, found.images) == (1.5, 2)


def test_no_image_in_common_gives_no_number():
    found = paired_difference(np.array([np.nan, 1.0]), np.array([1.0, np.nan]), CONFIG)
    assert found.images == 0
    assert np.isnan([found.mean, found.low, found.high]).all()


def test_the_seed_decides():
    random = np.random.default_rng(3)
    first, second = random.random(10), random.random(10)
    assert paired_difference(first, second, CONFIG) == paired_difference(first, second, CONFIG)
    assert paired_difference(first, second, CONFIG) != paired_difference(first, second, BootstrapConfig(seed=1))


def test_more_confidence_is_a_wider_interval():
    random = np.random.default_rng(4)
    first, second = random.random(20), random.random(20)
    narrow = paired_difference(first, second, BootstrapConfig(confidence=0.5))
    wide = paired_difference(first, second, BootstrapConfig(confidence=0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"resamples": 0}, "`resamples` must be positive, got 0."),
        ({"confidence": 1.0}, "`confidence` must be in (0, 1), got 1.0."),
    ],
)
def test_constants_out_of_range_are_refused(values, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        BootstrapConfig(**values)


def test_values_of_other_images_are_refused():
    with pytest.raises(ValueError, match=r"`first` and `second` must be \(n,\) alike, got \(3,\) and \(2,\)\."):
        paired_difference(np.zeros(3), np.zeros(2), CONFIG)
