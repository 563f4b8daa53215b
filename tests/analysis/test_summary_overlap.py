import itertools

import numpy as np
import pytest

from vissum_jax.analysis.summary_overlap import box_in_photograph, match_summaries, overlap
from vissum_jax.types import Crop

ALL = ("a", "b", "c", "d")


def boxes(**by_image):
    return {image: np.array(box, float) for image, box in by_image.items()}


def test_the_same_boxes_in_the_same_photographs_are_one():
    one = boxes(a=(0, 0, 10, 10), b=(5, 5, 4, 2))
    found = overlap(one, one, ALL)
    assert (found.similarity, found.mean_iou, found.photographs) == (1.0, 1.0, 2)


def test_photographs_that_only_one_summary_has_count_against_it():
    first = boxes(a=(0, 0, 10, 10), b=(0, 0, 10, 10), c=(0, 0, 1, 1))
    second = boxes(a=(0, 0, 10, 10), b=(5, 0, 10, 10), d=(0, 0, 1, 1))
    found = overlap(first, second, ALL)
    assert found.photographs == 2
    assert found.mean_iou == pytest.approx((1 + 1 / 3) / 2)
    assert found.similarity == pytest.approx((1 + 1 / 3) / 4)


def test_photographs_that_one_network_could_not_explain_do_not():
    first = boxes(a=(0, 0, 10, 10), c=(0, 0, 1, 1))
    second = boxes(a=(0, 0, 10, 10), d=(0, 0, 1, 1))
    assert overlap(first, second, ("a", "b")).similarity == 1.0


def test_nothing_shared_is_no_similarity():
    found = overlap(boxes(a=(0, 0, 1, 1)), boxes(b=(0, 0, 1, 1)), ALL)
    assert (found.similarity, found.photographs) == (0.0, 0)
    assert np.isnan(found.mean_iou)
    assert overlap(boxes(a=(0, 0, 1, 1)), boxes(a=(0, 0, 1, 1)), ()).similarity == 0.0


def test_boxes_go_back_to_the_photograph_from_networks_of_any_input():
    crop = Crop(50.0, 10.0, 100.0, 200.0)
    np.testing.assert_allclose(box_in_photograph((32, 0, 16, 64), crop, 64, 64), [100, 10, 25, 200])
    np.testing.assert_allclose(box_in_photograph((64, 0, 32, 128), crop, 128, 128), [100, 10, 25, 200])


def best_total(similarity, least):
    """The largest sum over all ways to pair, one by one."""
    rows, columns = similarity.shape
    if rows > columns:
        return best_total(similarity.T, least)
    return max(
        sum(value for value in similarity[range(rows), chosen] if value >= least)
        for chosen in map(list, itertools.permutations(range(columns), rows))
    )


@pytest.mark.parametrize("shape", [(3, 3), (2, 5), (5, 2)])
@pytest.mark.parametrize("seed", range(3))
def test_pairs_have_the_largest_total(shape, seed):
    similarity = np.random.default_rng(seed).random(shape)
    pairs = match_summaries(similarity, 0.3)
    assert sum(similarity[pair] for pair in pairs) == pytest.approx(best_total(similarity, 0.3))
    assert all(similarity[pair] >= 0.3 for pair in pairs)
    assert len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs)
    assert [similarity[pair] for pair in pairs] == sorted((similarity[pair] for pair in pairs), reverse=True)


def test_a_pair_too_weak_does_not_take_a_partner_away():
    """Alone the totals .09 + .09 would beat .15: but pairs below .1 are none."""
    assert match_summaries(np.array([[0.15, 0.09], [0.09, 0.0]]), 0.1) == [(0, 0)]


def test_without_summaries_there_are_no_pairs():
    assert match_summaries(np.zeros((0, 3)), 0.1) == []
    assert match_summaries(np.zeros((2, 3)), 0.1) == []
