import numpy as np
import pytest

from vissum_jax.deep_inside.graph_cut import GraphCutConfig, largest_component, segment
from vissum_jax.ops.boxes import iou

SMALL = GraphCutConfig(sigma=0.0, threshold_sigma=1.0, side=64)


def scene(seed=0):
    """A red blob on green noise; saliency is high on a part of it, and low around it, but not 0."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:64, :64]
    inside = (rows - 30) ** 2 / 18**2 + (columns - 36) ** 2 / 12**2 < 1
    picture = random.normal([60, 150, 60], 8, (64, 64, 3))
    picture[inside] = random.normal([190, 60, 50], 8, (inside.sum(), 3))
    centre = np.exp(-((rows - 24) ** 2 + (columns - 36) ** 2) / (2 * 6**2))
    around = np.exp(-((rows - 30) ** 2 + (columns - 36) ** 2) / (2 * 20**2))
    saliency = centre + 0.1 * around + 0.02 * random.random((64, 64))
    return np.clip(picture, 0, 255).astype(np.uint8), saliency, inside


def box_of(mask):
    rows, columns = np.nonzero(mask)
    return np.array([columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]) / 64


def overlap(box, mask):
    return float(iou(np.array(box)[None], box_of(mask)[None]).item())


def test_the_cut_finds_the_object_where_saliency_shows_a_part_of_it():
    picture, saliency, inside = scene()
    found = segment(picture, saliency, SMALL)
    assert np.mean(found.mask == inside) > 0.99
    assert overlap(found.box, inside) > 0.95
    assert overlap(found.threshold_box, inside) < 0.8, "without the cut it does not"


@pytest.mark.parametrize("rounds", [1, 3])
def test_it_is_the_same_every_time(rounds):
    picture, saliency, _ = scene()
    config = GraphCutConfig(rounds=rounds, side=64)
    one, other = (segment(picture, saliency, config) for _ in range(2))
    np.testing.assert_array_equal(one.mask, other.mask)
    assert one.box == other.box


def test_boxes_are_shares_of_a_larger_photograph():
    picture, saliency, inside = scene()
    large = [array.repeat(3, 0).repeat(3, 1) for array in (picture, saliency)]
    found = segment(*large, SMALL)
    assert found.mask.shape == (64, 64)
    assert overlap(found.box, inside) > 0.9


def test_the_scale_of_the_saliency_does_not_matter():
    picture, saliency, _ = scene()
    np.testing.assert_array_equal(segment(picture, saliency, SMALL).mask, segment(picture, 1e-6 * saliency, SMALL).mask)


@pytest.mark.parametrize("value", [0.0, 0.7])
def test_saliency_that_is_the_same_everywhere_leaves_nothing_to_start_from(value):
    assert segment(scene()[0], np.full((64, 64), value), SMALL) is None


def test_where_saliency_is_0_is_background():
    picture, _, _ = scene()
    saliency = np.zeros((64, 64))
    saliency[28:32, 34:38] = 1.0  # less than the upper 5 %: both quantiles are 0
    np.testing.assert_array_equal(segment(picture, saliency, SMALL).mask, saliency > 0)


def test_without_a_pixel_above_the_others_there_is_no_seed():
    saliency = np.ones((64, 64))
    saliency[:4, :4] = 0.0
    assert segment(scene()[0], saliency, SMALL) is None


def test_a_photograph_of_one_colour_gives_a_box_all_the_same():
    found = segment(np.full((64, 64, 3), 90, np.uint8), scene()[1], SMALL)
    x, y, w, h = found.box
    assert w > 0
    assert h > 0
    assert x + w <= 1
    assert y + h <= 1


def test_of_several_components_the_largest_is_taken():
    mask = np.zeros((6, 9), bool)
    mask[0:2, 0:2] = mask[3:6, 4:8] = True
    mask[2, 2] = True  # touches the first one's corner
    expected = np.zeros_like(mask)
    expected[3:6, 4:8] = True
    np.testing.assert_array_equal(largest_component(mask), expected)
    assert not largest_component(np.zeros((3, 3), bool)).any()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"background_quantile": 0.96},
            "`background_quantile` and `foreground_quantile` must be in (0, 1), the first below the second, got 0.96 "
            "and 0.95.",
        ),
        ({"threshold_quantile": 1.0}, "`threshold_quantile` must be in (0, 1), got 1.0."),
        ({"sigma": -1.0}, "`sigma` must not be negative, got -1.0."),
        ({"side": 8}, "`side` must be at least 16, got 8."),
        ({"rounds": 0}, "`rounds` must be at least 1, got 0."),
    ],
)
def test_a_configuration_checks_itself(values, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole message is compared
        GraphCutConfig(**values)
    assert str(error.value) == message
