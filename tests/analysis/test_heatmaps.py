import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.heatmaps import nearest_distance, overlaps

from vissum_jax.analysis.heatmaps import HeatmapConfig, area_under, overlap_curve, pointing_hit, unit_range

CONFIG = HeatmapConfig()


def part(height: int = 12, width: int = 9) -> np.ndarray:
    truth = np.zeros((height, width), bool)
    truth[2:6, 3:7] = True
    return truth


@pytest.mark.parametrize("thresholds", [2, 11, 101])
@pytest.mark.parametrize("kind", ["noise", "few values", "constant", "one pixel", "negative"])
def test_the_curve_is_the_overlap_at_every_threshold(kind: str, thresholds: int):
    rng = np.random.default_rng(0)
    heat = {
        "noise": rng.normal(size=(12, 9)),
        "few values": rng.integers(0, 11, size=(12, 9)) / 10,
        "constant": np.full((12, 9), 3.0),
        "one pixel": np.eye(1, 108, 40).reshape(12, 9),
        "negative": -rng.random((12, 9)) * 1e-12,
    }[kind].astype(np.float32)
    config = HeatmapConfig(thresholds=thresholds)
    np.testing.assert_allclose(overlap_curve(heat, part(), config), overlaps(heat, part(), config.levels), atol=1e-12)


def test_the_truth_itself_is_perfect_but_where_everything_is_hot():
    curve = overlap_curve(part().astype(np.float32), part(), CONFIG)
    assert curve[0] == part().mean()
    assert (curve[1:] == 1.0).all()
    assert area_under(curve) == pytest.approx(1 - 0.005 * (1 - part().mean()))


def test_a_map_without_a_peak_scores_next_to_nothing():
    curve = overlap_curve(np.ones(part().shape), part(), CONFIG)
    assert curve[0] == part().mean()
    assert not curve[1:].any()


@given(scale=st.floats(0.01, 100.0), offset=st.floats(-10.0, 10.0), seed=st.integers(0, 9))
@settings(max_examples=20, deadline=None)
def test_neither_scale_nor_offset_of_a_map_matters(scale: float, offset: float, seed: int):
    heat = np.random.default_rng(seed).integers(0, 7, size=part().shape).astype(np.float64)
    # No value lies on a threshold, where rounding would decide, but the lowest and the highest, which are exact.
    config = HeatmapConfig(thresholds=5)
    off_edge = heat + 0.1 * (heat % 6 > 0)
    np.testing.assert_allclose(
        overlap_curve(off_edge * scale + offset, part(), config), overlap_curve(off_edge, part(), config), atol=1e-12
    )


def test_the_area_of_a_straight_line_is_exact():
    assert area_under(np.linspace(1.0, 0.0, 7)) == pytest.approx(0.5)
    assert area_under(np.full(3, 0.25)) == pytest.approx(0.25)


def test_the_pointing_game_asks_for_the_strongest_pixel_alone():
    heat = np.zeros((100, 100))
    truth = np.zeros((100, 100), bool)
    truth[40:60, 40:60] = True
    for y, x in [(50, 50), (39, 39), (37, 50), (36, 50), (37, 37), (62, 62), (61, 61), (0, 99)]:
        heat[:] = 0.0
        heat[y, x] = 1.0
        assert pointing_hit(heat, truth, CONFIG) == (nearest_distance((y, x), truth) <= 3.0), (y, x)


def test_equally_strong_pixels_share_the_hit():
    heat = np.zeros((100, 100))
    heat[0, 0] = heat[50, 50] = heat[51, 50] = heat[99, 99] = 2.0
    truth = np.zeros((100, 100), bool)
    truth[50:52, 50] = True
    assert pointing_hit(heat, truth, CONFIG) == 0.5
    assert pointing_hit(np.zeros((100, 100)), truth, HeatmapConfig(tolerance=0.0)) == pytest.approx(2 / 10_000)


def test_a_constant_map_has_no_range():
    assert not unit_range(np.full((3, 3), 7.0)).any()
    np.testing.assert_array_equal(unit_range(np.array([[-1.0, 3.0], [1.0, 3.0]])), [[0.0, 1.0], [0.5, 1.0]])


@pytest.mark.parametrize("measure", [overlap_curve, pointing_hit])
def test_wrong_arguments_are_named(measure):
    def complaint(message: str):
        return pytest.raises(ValueError, match=f"^{re.escape(message)}$")

    with complaint("`heat` and `truth` must have one shape, got (3, 3) and (12, 9)."):
        measure(np.zeros((3, 3)), part(), CONFIG)
    with complaint("`truth` must have at least one pixel."):
        measure(np.zeros(part().shape), np.zeros_like(part()), CONFIG)
    with complaint("`heat` must be finite."):
        measure(np.full(part().shape, np.nan), part(), CONFIG)


def test_constants_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"^`thresholds` must be at least 2, got 1\.$"):
        HeatmapConfig(thresholds=1)
    with pytest.raises(ValueError, match=r"^`tolerance` must be in \[0, 1\), got 1\.0\.$"):
        HeatmapConfig(tolerance=1.0)
