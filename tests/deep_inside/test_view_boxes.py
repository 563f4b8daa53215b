import numpy as np
import pytest

from vissum_jax.deep_inside.views import LAYOUTS, count_views, lay_back, look, views_of

SIDE = {"input_height": 8, "input_width": 8}


def photograph(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_has_as_many_views_as_it_says_within_the_photograph(layout):
    views = views_of(10, 17, **SIDE, layout=layout)
    assert len(views) == count_views(layout)
    for view in views:
        assert view.x >= 0
        assert view.y >= 0
        assert view.x + view.width <= 17
        assert view.y + view.height <= 10


def test_ten_views_are_corners_and_centre_and_their_mirror_images():
    views = views_of(10, 17, **SIDE, layout="ten")
    corners = {(0, 0), (9, 0), (0, 2), (9, 2)}
    assert {(view.x, view.y) for view in views} == corners | {(4, 1)}
    assert [view.mirrored for view in views] == [False] * 5 + [True] * 5
    image = photograph(10, 17)
    for upright, mirrored in zip(views[:5], views[5:], strict=True):
        np.testing.assert_array_equal(look(image, mirrored, **SIDE), look(image, upright, **SIDE)[:, ::-1])


def test_a_crop_is_seen_pixel_for_pixel():
    image = photograph(10, 17)
    (view,) = views_of(10, 17, **SIDE, layout="centre")
    np.testing.assert_array_equal(look(image, view, **SIDE), image[1:9, 4:12])


def test_the_whole_photograph_is_squeezed():
    image = np.zeros((16, 8, 3), np.uint8)
    image[8:] = 200
    (view,) = views_of(16, 8, **SIDE, layout="whole")
    seen = look(image, view, **SIDE)
    np.testing.assert_array_equal(seen[:4], 0)
    np.testing.assert_array_equal(seen[4:], 200)


@pytest.mark.parametrize("layout", ["centre", "ten"])
def test_maps_of_crops_are_laid_back_where_they_came_from_and_averaged(layout):
    truth = np.random.default_rng(1).random((12, 15)).astype(np.float32)
    views = views_of(12, 15, **SIDE, layout=layout)
    cuts = [truth[v.y : v.y + v.height, v.x : v.x + v.width] for v in views]
    maps = [cut[:, ::-1] if view.mirrored else cut for cut, view in zip(cuts, views, strict=True)]
    covered = np.zeros(truth.shape, bool)
    for view in views:
        covered[view.y : view.y + view.height, view.x : view.x + view.width] = True
    np.testing.assert_allclose(lay_back(maps, views, 12, 15), np.where(covered, truth, 0), rtol=1e-6)
    assert covered.all() == (layout == "ten")


def test_a_map_of_the_whole_photograph_is_resized():
    (view,) = views_of(16, 24, **SIDE, layout="whole")
    step = np.zeros((8, 8), np.float32)
    step[:, 4:] = 1
    back = lay_back([step], [view], 16, 24)
    assert back.shape == (16, 24)
    np.testing.assert_array_equal(back[:, :10], 0)
    np.testing.assert_array_equal(back[:, 14:], 1)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="`layout` must be one of whole, centre, ten, got 'nine'"):
        views_of(10, 10, **SIDE, layout="nine")
    with pytest.raises(ValueError, match="a photograph of 7 x 10 does not hold the input of 8 x 8"):
        views_of(10, 7, **SIDE, layout="ten")
