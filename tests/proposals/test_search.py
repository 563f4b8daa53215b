from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from vissum_jax.proposals import ProposalConfig, propose, propose_batch, salient_share
from vissum_jax.proposals.search import grown

FAST = ProposalConfig(mode="fast", mask_growth=0)


def scene(seed, side=96):
    """Coloured rectangles on a noisy ground."""
    rng = np.random.default_rng(seed)
    image = rng.integers(90, 110, (side, side, 3))
    for _ in range(8):
        x, y = rng.integers(2, side - 34, 2)
        w, h = rng.integers(20, 32, 2)
        image[y : y + h, x : x + w] = rng.integers(0, 256, 3)
    return image.astype(np.uint8)


def test_the_same_image_gives_the_same_boxes_in_the_same_order():
    first, second = propose(scene(0), FAST), propose(scene(0), FAST)
    assert len(first) > 3
    np.testing.assert_array_equal(first, second)


def test_the_seed_changes_the_order_alone():
    first = propose(scene(1), FAST)
    second = propose(scene(1), ProposalConfig(mode="fast", seed=1))
    assert not np.array_equal(first, second)
    assert set(map(tuple, first)) == set(map(tuple, second))


def test_boxes_keep_the_rules():
    boxes = np.concatenate([propose(scene(seed), FAST) for seed in range(4)])
    assert boxes[:, 2:].min() >= 20
    whole = (boxes == [0, 0, 96, 96]).all(axis=1)
    assert whole.any()
    parts = boxes[~whole]
    assert parts[:, :2].min() >= 1
    assert (parts[:, :2] + parts[:, 2:]).max() <= 95
    first = propose(scene(0), FAST)
    assert len(np.unique(first, axis=0)) == len(first)


def test_a_tighter_limit_keeps_a_prefix():
    boxes = propose(scene(2), FAST)
    assert len(boxes) > 4
    np.testing.assert_array_equal(propose(scene(2), ProposalConfig(mode="fast", max_proposals=4)), boxes[:4])


def test_quality_finds_more_boxes_than_fast():
    assert len(propose(scene(3), ProposalConfig())) > len(propose(scene(3), FAST))


@pytest.mark.parametrize("side", [1, 19])
def test_an_image_smaller_than_a_box_has_none(side):
    assert propose(np.zeros((side, 50, 3), dtype=np.uint8), FAST).shape == (0, 4)


def test_salient_share_counts_pixels():
    rng = np.random.default_rng(0)
    salient = rng.uniform(size=(40, 50)) < 0.5
    boxes = np.array([[0, 0, 50, 40], [3, 5, 20, 30], [49, 39, 1, 1]])
    expected = [salient[y : y + h, x : x + w].mean() for x, y, w, h in boxes]
    np.testing.assert_allclose(salient_share(boxes, salient), expected)


def test_a_batch_holds_what_single_images_give_whatever_the_workers():
    images = np.stack([scene(seed) for seed in range(3)])
    salient = np.zeros(images.shape[:3], dtype=bool)
    salient[:2, :, :70] = True
    steps = []
    batch = propose_batch(images, salient, FAST, workers=1, progress=steps.append)
    parallel = propose_batch(images, salient, FAST, workers=3)
    assert steps == [1, 1, 1]
    for name in ("boxes", "valid", "salient"):
        np.testing.assert_array_equal(getattr(batch, name), getattr(parallel, name))
    assert batch.boxes.shape == (3, 500, 4)
    for row in range(3):
        found = propose(images[row], FAST)
        np.testing.assert_array_equal(batch.boxes[row, batch.valid[row]], found)
        assert not batch.boxes[row, ~batch.valid[row]].any()
        share = salient_share(found, salient[row])
        np.testing.assert_array_equal(batch.salient[row, : len(found)], share > 0.75)
    assert batch.salient[:2].any()
    assert not batch.salient[2].any()


def test_masks_are_grown_by_a_disc_before_boxes_are_compared_with_them():
    images = scene(1)[None]
    salient = np.zeros((1, 96, 96), dtype=bool)
    salient[0, 20:70, 20:70] = True
    y, x = np.mgrid[-6:7, -6:7]
    reference = ndimage.binary_dilation(salient[0], np.hypot(y, x) <= 6)
    mask = grown(salient[0], 6)
    assert mask[salient[0]].all()
    assert mask[45, 14:76].all()
    assert not mask[45, :14].any()
    assert np.mean(mask != reference) < 0.005  # OpenCV rounds its disc in its own way
    batch = propose_batch(images, salient, replace(FAST, mask_growth=6))
    found = batch.boxes[0, batch.valid[0]]
    np.testing.assert_array_equal(batch.salient[0, batch.valid[0]], salient_share(found, mask) > 0.75)


def test_no_images_give_no_proposals():
    batch = propose_batch(np.zeros((0, 32, 32, 3), np.uint8), np.zeros((0, 32, 32), bool), FAST)
    assert batch.boxes.shape == (0, 500, 4)


def test_masks_of_another_size_are_refused():
    with pytest.raises(
        ValueError,
        match=r"^`salient_masks` must be one mask of the images' size per image, "
        r"got \(1, 4, 5\) for images \(1, 5, 5, 3\)\.$",
    ):
        propose_batch(np.zeros((1, 5, 5, 3), np.uint8), np.zeros((1, 4, 5), bool), FAST)
