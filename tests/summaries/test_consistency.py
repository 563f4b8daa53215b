import cv2
import numpy as np
import pytest
from skimage.metrics import structural_similarity

from vissum_jax.summaries import SummaryConfig, member_similarities, resized_overlays

CONFIG = SummaryConfig(top_members=3)


def photographs(count=7, side=64):
    rng = np.random.default_rng(0)
    base = np.kron(rng.uniform(0, 255, (8, 8, 3)), np.ones((side // 8, side // 8, 1)))
    return np.stack([np.clip(base + rng.normal(0, 15 * k, base.shape), 0, 255) for k in range(count)]).astype(np.uint8)


def grey(crop):
    return crop.astype(np.float64) @ np.array([0.299, 0.587, 0.114])


def similarities(images, boxes):
    overlays = resized_overlays(images, np.arange(len(boxes)), boxes, CONFIG)
    return member_similarities(overlays, (boxes[0, 3], boxes[0, 2]), CONFIG)


def reference(first, second):
    return structural_similarity(
        first, second, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_equals_scikit_image_on_crops_of_one_size(count):
    images = photographs()
    boxes = np.array([[5, 9, 30, 22]] * count)
    ours = similarities(images, boxes)
    crops = [grey(images[k][9:31, 5:35]) for k in range(count)]
    assert ours.shape == (count, min(count, 3))
    for row in range(count):
        for column in range(min(count, 3)):
            if row == column:
                assert np.isnan(ours[row, column])
            else:
                assert ours[row, column] == pytest.approx(reference(crops[row], crops[column]), abs=1e-3)


def test_members_are_resized_to_the_exemplars_box():
    images = photographs(2)
    boxes = np.array([[4, 4, 24, 24], [0, 0, 48, 48]])
    ours = similarities(images, boxes)
    small = cv2.resize(grey(images[1][:48, :48]), (24, 24), interpolation=cv2.INTER_AREA)
    expected = reference(grey(images[0][4:28, 4:28]), small)
    assert ours[1, 0] == pytest.approx(expected, abs=1e-3)
    assert ours[0, 1] == pytest.approx(expected, abs=1e-3)


def test_a_box_smaller_than_the_window_has_no_similarity():
    ours = similarities(photographs(2), np.array([[4, 4, 10, 30]] * 2))
    assert np.isnan(ours).all()
