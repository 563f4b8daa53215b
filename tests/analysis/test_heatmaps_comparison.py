import numpy as np
import pytest

from vissum_jax.analysis.bootstrap import BootstrapConfig
from vissum_jax.analysis.heatmaps_comparison import HeatmapScores, compare_heatmaps, heatmap_lines, heatmaps_markdown

CLASSES = ["a", "a", "b", "b"]
CONFIG = BootstrapConfig(resamples=200)
NOTHING = np.full((1, 5), np.nan)


def scores(levels: list[float], *, pointing: float, grid: float) -> HeatmapScores:
    """Curves that are the same at every threshold, so that a level is the area under them."""
    return HeatmapScores(
        curves=np.array(levels)[:, None] * np.ones(5),
        pointing=np.full(len(levels), pointing),
        grid_energy=np.full(len(levels), grid),
    )


@pytest.fixture
def values() -> dict:
    other = scores([0.1, 0.2, 0.3, 0.4], pointing=0.5, grid=0.2)
    failed = HeatmapScores(
        curves=np.concatenate([other.curves[:3], NOTHING]),
        pointing=np.array([1.0, 1.0, 1.0, np.nan]),
        grid_energy=np.full(4, np.nan),
    )
    methods = {"ve": scores([0.2, 0.3, 0.4, 0.5], pointing=1.0, grid=0.05), "ve_without_fix": other, "rise": failed}
    fixes = {"ve": "ve_without_fix", "deconvnet_fixed": "deconvnet"}
    return {
        **compare_heatmaps(methods, CLASSES, fixes, CONFIG),
        "images": 4,
        "left_out": {"unreadable": 1},
    }


def test_areas_are_in_percent_and_means_over_images(values: dict):
    assert values["methods"]["ve"]["auc"] == pytest.approx(35.0)
    assert values["methods"]["ve_without_fix"]["auc"] == pytest.approx(25.0)
    assert values["methods"]["ve"]["curve"] == pytest.approx([0.35] * 5)
    assert values["by_class"]["a"]["ve"] == pytest.approx(25.0)
    assert values["by_class"]["b"]["ve_without_fix"] == pytest.approx(35.0)


def test_images_without_a_map_are_left_out_of_that_method_alone(values: dict):
    assert values["methods"]["rise"]["images"] == 3
    assert values["methods"]["rise"]["auc"] == pytest.approx(20.0)
    assert values["methods"]["rise"]["grid_energy"] is None
    assert values["differences"]["rise"]["auc"]["images"] == 3


def test_differences_are_of_the_first_method_image_by_image(values: dict):
    assert set(values["differences"]) == {"ve_without_fix", "rise"}
    found = values["differences"]["ve_without_fix"]["auc"]
    assert (found["mean"], found["low"], found["high"]) == pytest.approx((10.0, 10.0, 10.0)), "the same for each image"
    assert values["differences"]["ve_without_fix"]["pointing"]["mean"] == pytest.approx(0.5)


def test_the_fix_is_told_where_both_are_there(values: dict):
    assert values["stride_fix"] == {"ve": {"without": pytest.approx(0.2), "with": 0.05, "ratio": pytest.approx(0.25)}}


def test_the_table_says_what_is_not_known(values: dict):
    headings, lines = heatmap_lines(values)
    assert headings[3] == "95 % interval of VE minus it"
    assert lines == [
        ["VE", "4", "35.0", "-", "1.000", "0.0500"],
        ["VE without stride fix", "4", "25.0", "+10.0 to +10.0", "0.500", "0.2000"],
        ["RISE", "3", "20.0", "+10.0 to +10.0", "1.000", "-"],
    ]
    text = heatmaps_markdown(values)
    assert "Grid energy of VE: 0.2000 without the stride fix, 0.0500 with it (0.25 of it).\n" in text
    assert text.endswith("\n4 photographs; left out: 1 unreadable.\n")


def test_a_method_that_failed_everywhere_has_no_figures():
    nothing = HeatmapScores(
        curves=np.repeat(NOTHING, 2, axis=0), pointing=np.full(2, np.nan), grid_energy=np.full(2, np.nan)
    )
    found = compare_heatmaps({"rise": nothing, "mine": nothing}, ["a", "b"], {}, CONFIG)
    assert (found["methods"]["rise"]["images"], found["methods"]["rise"]["auc"]) == (0, None)
    assert found["methods"]["mine"]["title"] == "mine"
    assert found["differences"]["mine"]["auc"]["mean"] is None
    assert heatmap_lines(found)[1][1] == ["mine", "0", "-", "-", "-", "-"]
