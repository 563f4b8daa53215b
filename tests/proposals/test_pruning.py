import hypothesis
import hypothesis.strategies as st
import numpy as np
from oracles.boxes import pixels

from vissum_jax.proposals import ProposalConfig, prune_redundant, redundant_pairs

CONFIG = ProposalConfig()


def random_boxes(rng, count):
    sides = rng.integers(5, 30, (count, 2))
    return np.concatenate([rng.integers(0, 65 - sides), sides], axis=1)


def test_redundancy_counts_pixels():
    boxes = random_boxes(np.random.default_rng(0), 25)
    masks = [pixels(box) for box in boxes]
    expected = [
        [
            (a & b).sum() / min(a.sum(), b.sum()) >= 0.5 and max(a.sum(), b.sum()) / min(a.sum(), b.sum()) < 2
            for b in masks
        ]
        for a in masks
    ]
    assert 25 < np.sum(expected) < 600
    np.testing.assert_array_equal(redundant_pairs(boxes, CONFIG), expected)


def test_half_an_overlap_is_redundant_and_twice_the_area_is_not():
    boxes = np.array([[0, 0, 20, 20], [10, 0, 20, 20], [0, 0, 40, 20], [0, 0, 39, 20]])
    np.testing.assert_array_equal(redundant_pairs(boxes, CONFIG)[0], [True, True, False, True])


@hypothesis.given(st.integers(0, 2**16), st.integers(0, 40))
@hypothesis.settings(max_examples=30, deadline=None)
def test_no_two_kept_boxes_are_redundant_and_each_removed_one_has_a_better_keeper(seed, count):
    rng = np.random.default_rng(seed)
    boxes, image_ids = random_boxes(rng, count), rng.integers(0, 3, count)
    best_mean = rng.normal(size=count)
    keep = prune_redundant(boxes, image_ids, best_mean, CONFIG)
    redundant = redundant_pairs(boxes, CONFIG) & (image_ids[:, None] == image_ids[None])
    np.fill_diagonal(redundant, False)
    assert not redundant[np.ix_(keep, keep)].any()
    for box in np.flatnonzero(~keep):
        assert best_mean[redundant[box] & keep].max() >= best_mean[box]
    order = rng.permutation(count)
    np.testing.assert_array_equal(
        prune_redundant(boxes[order], image_ids[order], best_mean[order], CONFIG), keep[order]
    )


def test_boxes_of_different_images_never_compete():
    boxes = np.array([[0, 0, 20, 20]] * 2)
    assert prune_redundant(boxes, np.array([0, 1]), np.array([1.0, 2.0]), CONFIG).all()
    np.testing.assert_array_equal(prune_redundant(boxes, np.array([4, 4]), np.array([1.0, 2.0]), CONFIG), [False, True])
