from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vissum_jax.data.decode import crop_of
from vissum_jax.export.model import bounds, box_on_photograph, known, on_photograph, photograph_size
from vissum_jax.types import ClassifierSpec, Crop

RANDOM = np.random.default_rng(0)


def test_a_whole_factor_repeats_pixels_and_leaves_the_rest_untouched():
    salient = RANDOM.random((20, 20)) < 0.5
    whole = on_photograph(salient, Crop(15.0, 6.0, 60.0, 60.0))
    assert whole.shape == (72, 90)
    assert np.array_equal(whole[6:66, 15:75], salient.repeat(3, 0).repeat(3, 1))
    whole[6:66, 15:75] = False
    assert not whole.any()


def test_every_pixel_takes_the_value_under_its_centre():
    salient, crop = RANDOM.random((7, 11)) < 0.5, Crop(3.25, 1.5, 40.5, 17.0)
    whole = on_photograph(salient, crop)
    assert whole.shape == (20, 47)
    for y in range(20):
        for x in range(47):
            row, column = (y + 0.5 - crop.y) / crop.h * 7, (x + 0.5 - crop.x) / crop.w * 11
            inside = 0 <= row < 7 and 0 <= column < 11
            assert whole[y, x] == (inside and salient[int(row), int(column)])


@given(width=st.integers(16, 9000), height=st.integers(16, 9000), square=st.booleans())
def test_the_photographs_size_comes_back_from_its_crop_as_stored(width, height, square):
    spec = ClassifierSpec(
        name="n",
        input_height=224,
        input_width=224 if square else 160,
        resize_short_side=256,
        class_names=("a",),
        feature_endpoint="f",
    )
    crop = crop_of(width, height, spec)
    stored = Crop(*(float(np.float32(side)) for side in crop))
    assert photograph_size(stored) == (width, height)


def test_boxes_go_where_their_pixels_go():
    crop = Crop(15.0, 6.0, 60.0, 30.0)
    assert box_on_photograph((0, 0, 20, 10), crop, 10, 20) == crop
    assert box_on_photograph((2, 1, 4, 3), crop, 10, 20) == (21.0, 9.0, 12.0, 9.0)


def test_bounds_of_a_mask():
    salient = np.zeros((5, 9), bool)
    salient[2, 3] = salient[4, 7] = True
    assert bounds(salient) == (3, 2, 5, 3)


def test_what_was_not_measured_has_no_value():
    assert known(np.float32(0.5)) == 0.5
    assert known(float("nan")) is None


def test_classes_that_do_not_fit_together_are_refused(exported):
    with pytest.raises(ValueError, match=r"`crops` must be one for each of the 4 images, got 1\."):
        replace(exported, crops=exported.crops[:1])


def test_labels_tell_summaries_of_all_classes_apart(exported):
    assert exported.label(exported.summaries[1]) == "<script>alert(1)</script>/1"
