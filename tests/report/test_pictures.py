import numpy as np
import pytest

from vissum_jax.report.pictures import (
    PictureStyle,
    enlarged,
    faded_grey,
    heat_picture,
    mask_picture,
    part_hull,
    regions_touching,
    summary_picture,
)

STYLE = PictureStyle()
IMAGE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)


def two_regions() -> np.ndarray:
    """One region that reaches out of the box (10, 10, 20, 20), another far away."""
    salient = np.zeros((60, 80), bool)
    salient[8:24, 15:40] = True
    salient[45:55, 60:75] = True
    return salient


BOX = (10, 10, 20, 20)


def is_grey(picture: np.ndarray) -> np.ndarray:
    return (picture == picture[..., :1]).all(-1)


def test_regions_that_touch_the_box_are_in_colour_and_all_else_is_grey():
    salient = two_regions()
    picture = summary_picture(IMAGE, salient, BOX, STYLE)
    assert (picture[12:20, 33:38] == IMAGE[12:20, 33:38]).all()  # of the region, outside the box
    assert (picture[14:20, 19:26] == IMAGE[14:20, 19:26]).all()  # of the region, inside the part
    drawn = np.zeros_like(salient)
    drawn[6:26, 13:42] = True  # the region and the widest line around it
    assert is_grey(picture)[~drawn].all()
    np.testing.assert_array_equal(picture[~drawn], faded_grey(IMAGE, STYLE)[~drawn])


def test_the_part_is_outlined_in_red_and_the_region_in_cyan():
    picture = summary_picture(IMAGE, two_regions(), BOX, STYLE)
    red = (picture == (255, 0, 0)).all(-1)
    cyan = (picture == (0, 255, 255)).all(-1)
    # The part is what the mask fills of the box: columns 15 to 29, rows 10 to 23.
    assert red[10, 15:30].all()
    assert red[23, 15:30].all()
    assert red[10:24, 15].all()
    assert red[10:24, 29].all()
    assert not red[:, :13].any()
    assert not red[13:21, 18:27].any()
    assert cyan[8, 15:40].all()
    assert cyan[8:24, 39].all()
    assert not cyan[40:].any()  # the region that the box does not touch has no border


def test_the_part_is_the_convex_hull_of_mask_and_box():
    salient = np.zeros((40, 40), bool)
    salient[10:30, 10:15] = salient[25:30, 10:30] = True  # an L
    corners = {tuple(corner) for corner in part_hull(salient, (0, 0, 40, 40))[:, 0].tolist()}
    assert corners == {(10, 10), (14, 10), (29, 25), (29, 29), (10, 29)}


def test_regions_connect_over_corners():
    salient = np.zeros((10, 10), bool)
    salient[2, 2] = salient[3, 3] = salient[6, 8] = True
    touching = regions_touching(salient, (2, 2, 1, 1))
    assert [tuple(map(int, point)) for point in np.argwhere(touching)] == [(2, 2), (3, 3)]


@pytest.mark.parametrize("box", [(0, 0, 60, 80), (-5, -5, 20, 20), (70, 50, 40, 40), (5, 5, 0, 0), (200, 9, 5, 5)])
@pytest.mark.parametrize("salient", [np.zeros((60, 80), bool), np.ones((60, 80), bool), two_regions()])
def test_degenerate_boxes_and_masks_give_pictures(salient, box):
    before = IMAGE.copy()
    picture = summary_picture(IMAGE, salient, box, STYLE)
    assert picture.shape == IMAGE.shape
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(IMAGE, before)
    if not salient.any():
        assert is_grey(picture).all()


def test_a_binary_mask_keeps_its_colour_and_marks_holes():
    salient = np.zeros((60, 80), bool)
    salient[10:50, 10:50] = True
    salient[20:40, 20:40] = False
    picture = mask_picture(IMAGE, salient, STYLE)
    assert (picture[12:18, 12:48] == IMAGE[12:18, 12:48]).all()
    assert is_grey(picture)[22:38, 22:38].all()
    cyan = (picture == (0, 255, 255)).all(-1)
    assert cyan[10, 10:50].all()
    assert cyan[20:40, 19].all()


def test_heat_grows_with_what_is_perturbed():
    soft = np.repeat(np.linspace(1, 0, 80, dtype=np.float32)[None], 60, 0)
    picture = heat_picture(np.full((60, 80, 3), 100, np.uint8), soft, STYLE).astype(int)
    assert (picture[:, 0] == faded_grey(np.full((60, 80, 3), 100, np.uint8), STYLE)[:, 0]).all()
    colourfulness = np.ptp(picture[30], axis=-1)
    assert colourfulness[0] == 0
    assert colourfulness[60] > 80
    assert picture[30, -1].sum() > picture[30, 0].sum()
    not_a_number = heat_picture(IMAGE, np.full((60, 80), np.nan, np.float32), STYLE)
    np.testing.assert_array_equal(not_a_number, faded_grey(IMAGE, STYLE))


def test_enlarging_scales_mask_and_box_alike():
    image, salient, box = enlarged(IMAGE, two_regions(), BOX, 3)
    assert image.shape == (180, 240, 3)
    assert box == (30, 30, 60, 60)
    np.testing.assert_array_equal(salient[1::3, 1::3], two_regions())
    assert enlarged(IMAGE, two_regions(), BOX, 1)[0] is IMAGE


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"part_line": 0}, r"^`part_line` must be positive, got 0\.$"),
        ({"fade": 1.5}, r"^`fade` must be in \[0, 1\], got 1\.5\.$"),
    ],
)
def test_styles_check_themselves(option, message):
    with pytest.raises(ValueError, match=message):
        PictureStyle(**option)
