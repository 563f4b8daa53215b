import numpy as np

from vissum_jax.interpretation.average import GREY, average_crops, crop_field

IMAGE = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)


def test_a_field_within_the_image_is_cut_out():
    crop, inside = crop_field(IMAGE, (2, 1, 4, 3))
    np.testing.assert_array_equal(crop, IMAGE[1:4, 2:6])
    assert inside.all()


def test_what_lies_beyond_the_image_is_grey():
    crop, inside = crop_field(IMAGE, (-2, 4, 4, 4))
    np.testing.assert_array_equal(crop[:2, 2:], IMAGE[4:, :2])
    assert inside.sum() == 4
    assert (crop[~inside] == GREY).all()
    assert not crop_field(IMAGE, (20, 0, 3, 3))[1].any()


def test_the_mean_counts_only_crops_that_reach_a_place():
    crops, inside = zip(
        *(crop_field(IMAGE, field) for field in [(0, 0, 4, 4), (4, 0, 4, 4), (6, 0, 4, 4)]), strict=True
    )
    mean, (rows, columns) = average_crops(crops, inside, coverage=0.1)
    assert (rows, columns) == (slice(0, 4), slice(0, 4))
    left = np.mean([IMAGE[:4, start : start + 2] for start in (0, 4, 6)], axis=0)
    np.testing.assert_array_equal(mean[:, :2], np.rint(left))
    np.testing.assert_array_equal(mean[:, 2:], np.rint(np.mean([IMAGE[:4, 2:4], IMAGE[:4, 6:8]], axis=0)))


def test_the_mean_is_cut_down_to_what_enough_crops_reach():
    crops, inside = zip(
        *(crop_field(IMAGE, field) for field in [(4, 0, 4, 4), (6, 0, 4, 4), (6, 0, 4, 4)]), strict=True
    )
    mean, (rows, columns) = average_crops(crops, inside, coverage=0.5)
    assert (rows, columns) == (slice(0, 4), slice(0, 2))
    assert mean.shape == (4, 2, 3)


def test_fields_far_larger_than_the_image_are_cut_down_to_it():
    crop, inside = crop_field(IMAGE, (-50, -50, 101, 101))
    mean, _ = average_crops([crop], [inside], coverage=1.0)
    np.testing.assert_array_equal(mean, IMAGE)
