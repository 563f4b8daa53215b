import numpy as np
import pytest
from oracles import measures as oracle

from vissum_jax.analysis.localisation import boxes_in_mask, inside_boxes, parts_hit, points_in_mask, share_inside
from vissum_jax.types import Crop

CROP = Crop(x=10.0, y=20.0, w=100.0, h=50.0)


def test_points_are_shifted_and_scaled_with_the_crop():
    points = np.array([[10.0, 20.0], [110.0, 70.0], [60.0, 30.0], [0.0, 0.0]])
    found = points_in_mask(points, CROP, 200, 224)
    np.testing.assert_allclose(found, [[0, 0], [224, 200], [112, 40], [-22.4, -80]])


def test_boxes_keep_their_corners():
    boxes = np.array([[20.0, 30.0, 40.0, 10.0]])
    (box,) = boxes_in_mask(boxes, CROP, 200, 224)
    corners = points_in_mask(np.array([[20.0, 30.0], [60.0, 40.0]]), CROP, 200, 224)
    np.testing.assert_allclose([box[:2], box[:2] + box[2:]], corners)


@pytest.mark.parametrize("seed", range(5))
def test_the_share_inside_equals_the_count_by_pixels(seed):
    random = np.random.default_rng(seed)
    salient = random.random((17, 23)) < 0.3
    boxes = np.concatenate([random.uniform(-3, 18, (2, 2)), random.uniform(0, 12, (2, 2))], axis=1)
    assert share_inside(salient, boxes) == pytest.approx(oracle.share_inside(salient, boxes))


def test_overlapping_boxes_count_once():
    boxes = np.array([[0.0, 0.0, 4.0, 4.0], [2.0, 2.0, 4.0, 4.0]])
    assert inside_boxes(boxes, 10, 10).sum() == 16 + 16 - 4


def test_a_mask_inside_and_a_mask_outside():
    salient = np.zeros((10, 10), bool)
    salient[2:4, 2:4] = True
    assert share_inside(salient, np.array([[2.0, 2.0, 2.0, 2.0]])) == 1.0
    assert share_inside(salient, np.array([[5.0, 5.0, 5.0, 5.0]])) == 0.0


def test_all_pixels_give_the_share_of_the_box():
    assert share_inside(np.ones((10, 20), bool), np.array([[0.0, 0.0, 5.0, 10.0]])) == 0.25


@pytest.mark.parametrize(
    ("salient", "boxes"), [(np.zeros((4, 4), bool), np.ones((1, 4))), (np.ones((4, 4), bool), np.ones((0, 4)))]
)
def test_no_salient_pixel_or_no_box_gives_no_number(salient, boxes):
    assert np.isnan(share_inside(salient, boxes))


def test_a_part_is_hit_where_its_centre_is_salient():
    salient = np.zeros((6, 8), bool)
    salient[2, 5] = True
    hit, above, right = [5.9, 2.0], [5.5, 1.99], [6.0, 2.5]
    assert parts_hit(salient, np.array([hit])) == 1.0
    assert parts_hit(salient, np.array([above, right])) == 0.0
    assert parts_hit(salient, np.array([hit, above, right])) == pytest.approx(1 / 3)


def test_parts_that_the_crop_cuts_off_do_not_count():
    salient = np.ones((6, 8), bool)
    centres = np.array([[0.0, 0.0], [8.0, 3.0], [-0.1, 3.0], [3.0, 6.0], [np.nan, np.nan]])
    assert parts_hit(salient, centres) == 1.0
    assert parts_hit(~salient, centres) == 0.0
    assert np.isnan(parts_hit(salient, centres[1:]))
