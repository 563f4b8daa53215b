import numpy as np
import pytest
from sklearn.metrics import adjusted_mutual_info_score
from toy_runs import summary

from vissum_jax.analysis.stability import agreement, halves

A, B, C = (0, 0, 10, 10), (20, 0, 10, 10), (0, 20, 10, 10)
ALL = range(8)


def told(*groups, **options):
    return [summary(number, group, **options) for number, group in enumerate(groups)]


def everywhere(box):
    return dict.fromkeys(ALL, box)


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


def test_the_same_clusters_agree_whatever_their_numbers_are():
    whole, half = told(everywhere(A), everywhere(B)), told(everywhere(B), everywhere(A))
    found = agreement(whole, half, ALL)
    assert (found.value, found.members, found.compared) == (pytest.approx(1.0), 16, 16)


def test_clusters_across_each_other_agree_as_chance_does():
    whole = told(everywhere(A), everywhere(B))
    across = told({image: A if image % 2 else B for image in ALL}, {image: B if image % 2 else A for image in ALL})
    assert agreement(whole, across, ALL).value == pytest.approx(0.0, abs=0.1)


def test_the_value_is_that_of_the_labels_of_the_boxes_that_both_have():
    whole = told({0: A, 1: A, 2: A, 3: A}, {0: B, 1: B, 2: B}, {2: C, 3: C})
    half = told({0: A, 1: A, 2: B, 3: C}, {0: B, 1: B, 2: A, 5: A})
    found = agreement(whole, half, ALL)
    # Boxes of the whole, in the order (image, box): 0A 0B 1A 1B 2A 2B 3C; 3A and 2C are not in the half.
    assert (found.members, found.compared) == (9, 7)
    assert found.value == pytest.approx(adjusted_mutual_info_score([0, 1, 0, 1, 0, 1, 2], [0, 1, 0, 1, 1, 0, 0]))


def test_of_the_whole_only_kept_members_count_and_of_the_half_all():
    whole = [
        summary(0, everywhere(A), left_out=(0, 1)),
        summary(1, everywhere(B)),
        summary(2, everywhere(C), kept=False),
    ]
    half = told(everywhere(A), everywhere(B), everywhere(C), kept=False)
    found = agreement(whole, half, ALL)
    assert (found.members, found.compared, found.value) == (14, 14, pytest.approx(1.0))


def test_images_outside_of_the_half_do_not_count():
    whole = told(everywhere(A), everywhere(B))
    assert agreement(whole, whole, (0, 3)).members == 4


def test_nothing_in_common_has_no_value():
    found = agreement(told(everywhere(A)), told(everywhere(B)), ALL)
    assert (found.members, found.compared) == (8, 0)
    assert np.isnan(found.value)
    assert np.isnan(agreement(told({0: A}), told({0: A}), ALL).value)
    assert agreement([], [], ALL).members == 0
