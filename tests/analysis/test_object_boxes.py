import numpy as np
import pytest
from scipy.stats import norm

from vissum_jax.analysis.object_boxes import OVERLAP, Share, best_overlap, central_box, whole_box


def test_the_overlap_with_the_best_of_several_boxes_counts():
    truth = np.array([[0.0, 0, 10, 10], [100, 100, 20, 10]])
    assert best_overlap(np.array([100.0, 100, 10, 10]), truth) == pytest.approx(0.5)
    assert best_overlap(np.array([50.0, 50, 10, 10]), truth) == 0
    assert best_overlap(np.array([0.0, 0, 10, 10]), truth) == 1
    assert OVERLAP == 0.5


def test_a_box_that_is_not_there_overlaps_nothing():
    assert best_overlap(np.full(4, np.nan), np.array([[0.0, 0, 10, 10]])) == 0


def test_trivial_boxes():
    np.testing.assert_array_equal(whole_box(40, 30), [0, 0, 40, 30])
    np.testing.assert_allclose(central_box(40, 30, np.array([0.5, 0.2])), [10, 12, 20, 6])


@pytest.mark.parametrize(("count", "images"), [(0, 3), (7, 10), (361, 361)])
def test_a_share_comes_with_wilsons_interval(count, images):
    values = Share.of(np.arange(images) < count).plain()
    z, p = norm.ppf(0.975), count / images
    middle = (p + z**2 / (2 * images)) / (1 + z**2 / images)
    reach = z / (1 + z**2 / images) * np.sqrt(p * (1 - p) / images + z**2 / (4 * images**2))
    assert values["share"] == p
    assert values["low"] == pytest.approx(max(middle - reach, 0), abs=1e-9)
    assert values["high"] == pytest.approx(min(middle + reach, 1), abs=1e-9)
