import numpy as np
import pytest
from oracles import measures as oracle

from vissum_jax.analysis.randomisation import chance_overlap, intersection_over_union, rank_correlation


def test_intersection_over_union_of_known_masks():
    first, second = np.zeros((2, 6), bool)
    first[:4], second[2:5] = True, True
    assert intersection_over_union(first, second) == 2 / 5
    assert intersection_over_union(first, first) == 1.0
    assert intersection_over_union(first, ~first) == 0.0
    assert np.isnan(intersection_over_union(first & ~first, first & ~first))


@pytest.mark.parametrize("area", [0.05, 0.3, 0.9])
def test_unrelated_masks_overlap_by_chance(area):
    random = np.random.default_rng(0)
    first, second = random.random((2, 500, 500)) < area
    assert intersection_over_union(first, second) == pytest.approx(chance_overlap(np.float64(area)), abs=0.01)


def test_masks_of_everything_always_agree():
    assert chance_overlap(np.float64(1.0)) == 1.0
    assert chance_overlap(np.float64(0.0)) == 0.0


def test_ranks_are_correlated_as_counted_with_ties():
    random = np.random.default_rng(1)
    first = random.integers(0, 6, (9, 7)).astype(float)
    second = first + random.integers(0, 9, (9, 7))
    assert rank_correlation(first, second) == pytest.approx(oracle.rank_correlation(first, second))


def test_only_the_order_counts():
    first, second = np.random.default_rng(2).random((2, 8, 8))
    assert rank_correlation(np.exp(first), second**3) == pytest.approx(rank_correlation(first, second))
    assert rank_correlation(first, first**2) == pytest.approx(1.0)
    assert rank_correlation(first, -first) == pytest.approx(-1.0)


def test_a_constant_map_has_no_order():
    assert np.isnan(rank_correlation(np.ones((3, 3)), np.arange(9.0).reshape(3, 3)))
    assert np.isnan(rank_correlation(np.arange(9.0).reshape(3, 3), np.zeros((3, 3))))
