import numpy as np
import pytest
from oracles import flow as oracle

from vissum_jax.summaries import SummaryConfig, flow_overlays, paint_flow, smooth_flow, warp

CONFIG = SummaryConfig(warp="flow")


def random_boxes(rng, count, side=40):
    sides = rng.integers(6, 25, (count, 2))
    return np.concatenate([rng.integers(0, side - sides), sides], axis=1)


def picture(seed, height, width):
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (height // 4 + 1, width // 4 + 1, 3))
    return np.kron(coarse, np.ones((4, 4, 1)))[:height, :width].astype(np.uint8)


@pytest.mark.parametrize("window", [(0, 0, 40, 40), (8, 11, 17, 23)])
def test_painting_equals_the_oracle(window):
    rng = np.random.default_rng(0)
    boxes, matched, confidence = random_boxes(rng, 9), random_boxes(rng, 9), rng.permutation(9) + 1.0
    expected = oracle.paint_flow(boxes, matched, confidence, window)
    ours = paint_flow(boxes, matched, confidence, window)
    np.testing.assert_allclose(ours, expected, atol=1e-12)
    assert np.isfinite(expected).mean() > 0.5


def test_no_box_leaves_the_flow_unknown():
    none = np.zeros((0, 4), int)
    assert np.isnan(paint_flow(none, none, np.zeros(0), (0, 0, 5, 4))).all()


def test_smoothing_equals_the_oracle_with_gaps():
    rng = np.random.default_rng(1)
    flow = np.repeat(rng.normal(0, 2, (1, 12, 2)), 10, axis=0) + rng.normal(0, 0.05, (10, 12, 2))
    flow[2:5, 3:9] = np.nan
    image = picture(1, 10, 12)
    expected = oracle.smooth_flow(flow, image)
    assert np.nanmax(np.abs(expected - flow)) > 0.02
    np.testing.assert_allclose(smooth_flow(flow, image, CONFIG), expected, atol=1e-6)


def test_a_constant_flow_stays_and_fills_its_gaps():
    flow = np.full((12, 10, 2), [3.0, -2.0])
    flow[4:8, :5] = np.nan
    np.testing.assert_allclose(smooth_flow(flow, picture(2, 12, 10), CONFIG), np.full((12, 10, 2), [3.0, -2.0]))


def test_noise_is_smoothed_within_a_colour_and_jumps_between_colours_stay():
    image = np.zeros((20, 20, 3), np.uint8)
    image[:, 10:] = 255
    rng = np.random.default_rng(3)
    flow = rng.normal(0, 0.02, (20, 20, 2))
    flow[:, 10:, 0] += 5
    smooth = smooth_flow(flow, image, CONFIG)
    assert smooth[:, :10, 0].std() < 0.3 * flow[:, :10, 0].std()
    assert (smooth[:, 10:, 0] - smooth[:, :10, 0]).min() > 4.9


def test_warping_by_a_whole_pixel_shifts():
    grey = np.random.default_rng(4).uniform(0, 255, (30, 40))
    flow = np.full((10, 12, 2), [5.0, -3.0])
    np.testing.assert_allclose(warp(grey, flow, (6, 9)), grey[6:16, 11:23], atol=1e-6)


def test_warping_interpolates_smooth_images_between_pixels():
    y, x = np.mgrid[:40, :40]
    grey = 100 + 50 * np.sin(x / 6) + 40 * np.cos(y / 7)
    flow = np.full((10, 10, 2), [0.37, 0.61])
    rows, columns = np.mgrid[15:25, 12:22]
    expected = 100 + 50 * np.sin((columns + 0.37) / 6) + 40 * np.cos((rows + 0.61) / 7)
    np.testing.assert_allclose(warp(grey, flow, (12, 15)), expected, atol=0.02)


def test_a_member_that_moved_and_grew_is_laid_over_the_exemplar():
    part = picture(5, 20, 20).astype(float)
    images = np.full((2, 64, 64, 3), 127, np.uint8)
    images[0, 10:30, 8:28] = part
    images[1, 14:54, 20:60] = np.kron(part, np.ones((2, 2, 1)))
    boxes = np.array([[8, 10, 20, 20], [20, 14, 40, 40], [8, 10, 20, 10], [20, 14, 40, 20]])
    image_ids = np.array([0, 1, 0, 1])
    similarity = np.array([[9, 8, 1, 1], [8, 9, 1, 1], [1, 1, 5, 3], [1, 1, 3, 5]], np.float32)
    overlays = flow_overlays(images, np.array([0, 1]), similarity, boxes, image_ids, CONFIG)
    exemplar, member = overlays[:, 2:18, 2:18]
    assert overlays.shape == (2, 64, 64)
    assert np.corrcoef(exemplar.ravel(), member.ravel())[0, 1] > 0.97


def test_a_member_without_any_score_is_still_laid_by_its_box():
    images = np.stack([picture(6, 40, 40)] * 2)
    boxes = np.array([[5, 5, 20, 20], [5, 5, 20, 20]])
    overlays = flow_overlays(images, np.array([0, 1]), np.zeros((2, 2), np.float32), boxes, np.array([0, 1]), CONFIG)
    np.testing.assert_allclose(overlays[0], overlays[1], atol=1e-2)
