import numpy as np
from oracles.regions import regions as oracle

from vissum_jax.proposals import regions


def same_partition(first, second):
    pairs = set(zip(first.ravel().tolist(), second.ravel().tolist(), strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def test_equals_a_flood_fill():
    salient = np.random.default_rng(0).uniform(size=(30, 40)) < 0.35
    labels, count = regions(salient)
    expected, expected_count = oracle(salient)
    assert count == expected_count > 5
    assert same_partition(labels, expected)


def test_diagonal_neighbours_are_connected():
    assert regions(np.eye(4, dtype=bool))[1] == 1


def test_the_empty_mask_has_no_region_and_the_full_one_has_one():
    labels, count = regions(np.zeros((5, 6), dtype=bool))
    assert count == 0
    assert not labels.any()
    labels, count = regions(np.ones((5, 6), dtype=bool))
    assert count == 1
    assert (labels == 1).all()
