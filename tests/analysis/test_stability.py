import numpy as np
import pytest
from sklearn.cluster import AffinityPropagation
from sklearn.metrics import adjusted_mutual_info_score

from vissum_jax.analysis.stability import agreement, halves, nearest_exemplar


def test_halves_share_nothing_and_leave_nothing_out():
    for count in (2, 7, 30):
        first, second = halves(count, 3)
        assert len(first) - len(second) == count % 2
        assert sorted([*first, *second]) == list(range(count))
    assert [len(half) for half in halves(1, 0)] == [1, 0]
    assert [len(half) for half in halves(0, 0)] == [0, 0]


def test_the_seed_decides_the_halves():
    assert np.array_equal(halves(20, 1)[0], halves(20, 1)[0])
    assert not np.array_equal(halves(20, 1)[0], halves(20, 2)[0])


@pytest.mark.parametrize("seed", range(3))
def test_the_nearest_exemplar_is_the_cluster_that_affinity_propagation_gives(seed):
    points = np.random.default_rng(seed).normal(size=(40, 2))
    similarity = -((points[:, None] - points[None]) ** 2).sum(axis=-1)
    fitted = AffinityPropagation(affinity="precomputed", random_state=0).fit(similarity)
    assert len(fitted.cluster_centers_indices_) > 2
    found = nearest_exemplar(similarity, np.arange(40), fitted.cluster_centers_indices_)
    np.testing.assert_array_equal(found, fitted.labels_)


def test_an_exemplar_is_in_its_own_cluster_and_the_first_of_equals_counts():
    similarity = np.array([[0.0, 9.0, 1.0], [9.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    np.testing.assert_array_equal(nearest_exemplar(similarity, np.arange(3), np.array([1, 0])), [1, 0, 0])


def test_without_boxes_there_are_no_labels():
    assert nearest_exemplar(np.ones((3, 3)), np.zeros(0, int), np.array([1])).shape == (0,)


def test_the_same_groups_agree_whatever_their_numbers_are():
    assert agreement(np.array([0, 0, 1, 1, 2]), np.array([5, 5, 9, 9, 0])) == pytest.approx(1.0)


def test_groups_across_each_other_agree_no_more_than_by_chance():
    assert agreement(np.arange(16) // 8, np.arange(16) % 2) == pytest.approx(0.0, abs=0.1)


def test_the_value_is_the_adjusted_mutual_information():
    first, second = np.random.default_rng(0).integers(0, 3, (2, 30))
    assert agreement(first, second) == adjusted_mutual_info_score(first, second)


def test_fewer_than_two_boxes_have_no_agreement_and_one_cluster_agrees_with_itself():
    assert np.isnan(agreement(np.zeros(1, int), np.zeros(1, int)))
    assert np.isnan(agreement(np.zeros(0, int), np.zeros(0, int)))
    assert agreement(np.zeros(4, int), np.ones(4, int)) == 1.0
