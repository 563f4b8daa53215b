import numpy as np
import pytest
from sklearn.metrics import normalized_mutual_info_score

from vissum_jax.analysis.parts import NO_PART, PartConfig, nearest_part, own_part_share, part_of_box, score_parts

CONFIG = PartConfig()


def picture() -> np.ndarray:
    """Part 0 in the left half, part 2 in the upper right quarter, background below it."""
    labels = np.zeros((20, 20), np.uint8)
    labels[:, :10] = 1
    labels[:10, 10:] = 3
    return labels


def everything() -> np.ndarray:
    return np.ones((20, 20), bool)


def test_a_box_shows_the_part_with_the_most_pixels_in_it():
    assert part_of_box(picture(), everything(), (0, 0, 10, 10), CONFIG) == 0
    assert part_of_box(picture(), everything(), (8, 0, 10, 10), CONFIG) == 2
    assert part_of_box(picture(), everything(), (4, 0, 10, 10), CONFIG) == 0


def test_only_salient_pixels_of_the_box_count():
    salient = everything()
    salient[:, :10] = False
    assert part_of_box(picture(), salient, (4, 0, 10, 10), CONFIG) == 2


def test_x_runs_to_the_right_and_y_down():
    assert part_of_box(picture(), everything(), (12, 0, 8, 4), CONFIG) == 2
    assert part_of_box(picture(), everything(), (12, 12, 8, 4), CONFIG) == NO_PART


def test_a_part_that_fills_too_little_of_the_box_is_not_its_part():
    labels = np.zeros((10, 10), np.uint8)
    labels[0, :] = 2
    salient = np.ones((10, 10), bool)
    assert part_of_box(labels, salient, (0, 0, 10, 10), PartConfig(min_cover=0.1)) == 1
    assert part_of_box(labels, salient, (0, 0, 10, 10), PartConfig(min_cover=0.11)) == NO_PART


def test_a_box_of_background_or_without_salient_pixels_shows_no_part():
    anything = PartConfig(min_cover=0)
    assert part_of_box(np.zeros((20, 20), np.uint8), everything(), (0, 0, 20, 20), anything) == NO_PART
    assert part_of_box(picture(), ~everything(), (0, 0, 20, 20), anything) == NO_PART


def test_the_nearest_annotated_part_inside_the_box_counts():
    centres = np.array([[1.0, 1.0], [4.0, 6.0], [11.0, 5.0], [np.nan, np.nan]])
    assert nearest_part(centres, (0, 0, 10, 10)) == 1
    assert nearest_part(centres, (0, 0, 3, 3)) == 0
    assert nearest_part(centres, (20, 20, 10, 10)) == NO_PART
    assert nearest_part(centres, (8, 0, 3, 10)) == NO_PART  # its right edge, x = 11, is outside


def test_purity_counts_the_commonest_part_of_each_summary():
    scores = score_parts(np.array([5, 5, 5, 9, 9]), np.array([0, 0, 1, 2, 2]), CONFIG)
    assert scores.purity == pytest.approx(4 / 5)
    assert (scores.members, scores.summaries, scores.parts) == (5, 2, 3)
    assert scores.nmi == pytest.approx(normalized_mutual_info_score([0, 0, 0, 1, 1], [0, 0, 1, 2, 2]))


def test_summaries_of_background_are_not_pure():
    scores = score_parts(np.array([0, 0, 0, 1]), np.array([NO_PART, NO_PART, NO_PART, 3]), CONFIG)
    assert scores.purity == pytest.approx(1 / 4)
    assert scores.without_part == pytest.approx(3 / 4)
    assert scores.parts == 1


def test_shuffled_purity_is_that_of_chance():
    summary, part = np.repeat(np.arange(20), 50), np.repeat(np.arange(20) % 4, 50)
    scores = score_parts(summary, part, CONFIG)
    assert scores.purity == 1.0
    assert scores.nmi > 0.5
    assert 0.25 < scores.shuffled_purity < 0.4


def test_shuffling_two_members_equals_the_mean_over_both_orders():
    # Summaries {a, b} and {c}: parts 0, 0, 1 give purity 1 if the 1 lands alone (one in three), else 2 / 3.
    scores = score_parts(np.array([0, 0, 1]), np.array([0, 0, 1]), PartConfig(draws=3000))
    assert scores.shuffled_purity == pytest.approx(1 / 3 + 2 / 3 * 2 / 3, abs=0.02)


def test_same_seed_same_baseline():
    summary, part = np.repeat(np.arange(6), 5), np.arange(30) % 5
    first, second, other = (score_parts(summary, part, PartConfig(draws=3, seed=seed)) for seed in (1, 1, 2))
    assert first == second
    assert first.shuffled_purity != other.shuffled_purity


def test_without_members_shares_are_undefined():
    nothing = np.zeros(0, int)
    scores = score_parts(nothing, nothing, CONFIG)
    assert scores.members == scores.summaries == scores.parts == 0
    assert np.isnan([scores.purity, scores.shuffled_purity, scores.nmi, scores.without_part]).all()
    assert np.isnan(own_part_share(nothing, ()))


def test_members_on_the_part_of_their_own_class():
    assert own_part_share(np.array([0, 1, NO_PART, 4]), [{0}, {0}, {3}, {1, 4}]) == pytest.approx(1 / 2)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"^`summary` and `part` must be \(n,\) alike, got \(2,\) and \(3,\)\.$"):
        score_parts(np.zeros(2, int), np.zeros(3, int), CONFIG)
    with pytest.raises(ValueError, match=r"^`part` must not be below -1, got -2\.$"):
        score_parts(np.zeros(1, int), np.array([-2]), CONFIG)
    with pytest.raises(ValueError, match=r"^`labels` and `salient` must have one shape"):
        part_of_box(picture(), np.ones((2, 2), bool), (0, 0, 1, 1), CONFIG)
    with pytest.raises(ValueError, match=r"^`part` and `own` must be \(n,\) alike, got \(2,\) and 1\.$"):
        own_part_share(np.zeros(2, int), [(0,)])
    with pytest.raises(ValueError, match=r"^`min_cover` must be in \[0, 1\], got 2\.$"):
        PartConfig(min_cover=2)
    with pytest.raises(ValueError, match=r"^`draws` must be positive, got 0\.$"):
        PartConfig(draws=0)


def test_the_gain_is_purity_as_a_multiple_of_chance():
    scores = score_parts(np.array([5, 5, 5, 9, 9]), np.array([0, 0, 1, 2, 2]), CONFIG)
    assert scores.gain == scores.purity / scores.shuffled_purity > 1
    assert np.isnan(score_parts(np.zeros(2, int), np.full(2, NO_PART), CONFIG).gain)
