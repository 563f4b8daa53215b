import re

import numpy as np
import pytest
import toys

from vissum_jax.analysis.segments import SegmentConfig, bounding_boxes, segments


def quarters() -> np.ndarray:
    """A picture of four squares of one colour each."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[:32, 32:], image[32:, :32], image[32:, 32:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    return image


def test_squares_of_one_colour_are_superpixels():
    masks = segments(quarters(), SegmentConfig(resolutions=(4,), smoothing=0.1))
    corners = {(int(y), int(x)) for mask in masks for y, x in [np.argwhere(mask)[0]]}
    assert len(masks) == 4
    assert corners == {(0, 0), (0, 32), (32, 0), (32, 32)}
    assert all(mask.sum() == 32 * 32 for mask in masks)


def test_superpixels_of_one_resolution_cover_the_picture_once():
    masks = segments(toys.photograph(0, 0), SegmentConfig(resolutions=(15,)))
    np.testing.assert_array_equal(masks.sum(axis=0), 1)


def test_what_a_coarser_resolution_has_does_not_come_again():
    """Every superpixel of the second and third resolution against all coarser ones, counted one pair at a time."""
    config = SegmentConfig()
    alone = [segments(toys.photograph(1, 0), SegmentConfig(resolutions=(count,))) for count in config.resolutions]
    wanted = list(alone[0])
    for level in (1, 2):
        coarser = [mask for masks in alone[:level] for mask in masks]
        for mask in alone[level]:
            overlaps = [np.sum(mask & other) / np.sum(mask | other) for other in coarser]
            if max(overlaps) <= config.same:
                wanted.append(mask)
    np.testing.assert_array_equal(segments(toys.photograph(1, 0), config), np.array(wanted))
    assert len(wanted) < sum(map(len, alone))


def test_the_same_resolution_twice_adds_nothing():
    once = segments(quarters(), SegmentConfig(resolutions=(4,)))
    np.testing.assert_array_equal(segments(quarters(), SegmentConfig(resolutions=(4, 4))), once)


def test_a_picture_of_one_colour_has_superpixels_too():
    masks = segments(np.full((40, 50, 3), 80, np.uint8), SegmentConfig())
    assert len(masks)
    assert masks.any(axis=(1, 2)).all()


def test_boxes_are_the_smallest_around_their_masks():
    masks = np.zeros((3, 6, 8), bool)
    masks[0, 2:5, 1:7] = True
    masks[1, 5, 7] = True
    masks[2] = True
    np.testing.assert_array_equal(bounding_boxes(masks), [[1, 2, 6, 3], [7, 5, 1, 1], [0, 0, 8, 6]])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"resolutions": ()}, "`resolutions` must be positive numbers, got ()."),
        ({"resolutions": (15, 0)}, "`resolutions` must be positive numbers, got (15, 0)."),
        ({"compactness": 0}, "`compactness` must be positive, got 0."),
        ({"smoothing": 0}, "`smoothing` must be positive, got 0."),
        ({"same": 1.5}, "`same` must be in [0, 1], got 1.5."),
        ({"fill": -0.1}, "`fill` must be in [0, 1], got -0.1."),
    ],
)
def test_constants_out_of_range_are_refused(values, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        SegmentConfig(**values)
