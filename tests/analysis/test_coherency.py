import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import coherency as oracle

from vissum_jax.analysis.bootstrap import BootstrapConfig
from vissum_jax.analysis.coherency import (
    CoherencyConfig,
    class_coherency,
    compare_classes,
    jaccard_distances,
    tag_vectors,
)

LETTERS = st.frozensets(st.sampled_from("abcd"))
CONFIG = CoherencyConfig(draws=200)


def measured(tags, summaries, config=CONFIG, stream=0):
    rows = [np.array(members, int) for members in summaries]
    return class_coherency(jaccard_distances(tag_vectors(tags)), rows, config, stream=stream)


@given(st.lists(LETTERS, min_size=1, max_size=6))
def test_distances_are_those_of_sets(tags):
    found = jaccard_distances(tag_vectors(tags))
    expected = [[oracle.distance(one, other) for other in tags] for one in tags]
    np.testing.assert_allclose(found, expected, atol=1e-12)


@given(st.lists(LETTERS, min_size=4, max_size=8))
def test_mu_s_is_the_oracle_s(tags):
    summaries = [[0, 1, 2], [2, 3], [1]]
    assert measured(tags, summaries, CoherencyConfig(draws=10)).mu_s == pytest.approx(oracle.mu(tags, summaries))


def test_mu_r_approaches_the_mean_over_all_sets():
    tags = [frozenset(letters) for letters in ("ab", "abc", "cd", "d", "be", "ce")]
    expected = np.mean([oracle.mu(tags, [rows]) for rows in itertools.combinations(range(6), 3)])
    found = measured(tags, [[0, 1, 4], [0, 1, 2]], CoherencyConfig(draws=4000))
    assert found.mu_r == pytest.approx(expected, abs=0.005)


def test_alike_members_are_closer_than_any_draw():
    tags = [frozenset("ab")] * 4 + [frozenset(letter) for letter in "cdefghijklmn"]
    found = measured(tags, [[0, 1, 2, 3]])
    assert (found.mu_s, found.distances) == (0.0, (0.0,))
    assert found.mu_r > 0.9
    assert found.below < 0.05


def test_a_summary_that_is_the_whole_class_is_no_closer_than_chance():
    tags = [frozenset("ab"), frozenset("bc"), frozenset("d")]
    found = measured(tags, [[0, 1, 2]])
    assert found.mu_s == pytest.approx(found.mu_r)
    assert (found.below, found.mu_r_deviation) == (1.0, pytest.approx(0.0, abs=1e-12))


def test_a_summary_of_one_image_has_no_distance_and_does_not_count():
    tags = [frozenset("a"), frozenset("b"), frozenset("c")]
    found = measured(tags, [[0, 1], [2]])
    assert found.mu_s == 1.0
    assert np.isnan(found.distances[1])


def test_the_same_seed_gives_the_same_draws_and_classes_have_their_own():
    tags = [frozenset(letters) for letters in ("ab", "abc", "cd", "d", "be", "ce", "f")]
    once, again, other = (measured(tags, [[0, 1, 4]], CoherencyConfig(draws=10), stream) for stream in (3, 3, 4))
    assert once == again
    assert once.mu_r != other.mu_r


def test_the_test_over_classes_counts_and_weighs():
    mu_r = np.full(8, 0.8)
    found = compare_classes(mu_r - np.linspace(0.05, 0.4, 8), mu_r, BootstrapConfig())
    assert (found.classes, found.lower) == (8, 8)
    assert found.wilcoxon == found.sign == pytest.approx(2 / 2**8)
    assert found.difference.low <= found.difference.mean <= found.difference.high < 0


def test_classes_without_any_difference_prove_nothing():
    found = compare_classes(np.full(4, 0.5), np.full(4, 0.5), BootstrapConfig())
    assert (found.lower, found.wilcoxon, found.sign) == (0, 1.0, 1.0)


def test_what_is_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"`draws` must be at least 10, got 9\."):
        CoherencyConfig(draws=9)
    with pytest.raises(ValueError, match="at least 2 classes alike, got 1"):
        compare_classes(np.zeros(1), np.ones(1), BootstrapConfig())
    with pytest.raises(ValueError, match="one with at least two members"):
        measured([frozenset("a")], [[0]])
    with pytest.raises(ValueError, match="each row at most once"):
        measured([frozenset("a"), frozenset("b")], [[0, 0]])
