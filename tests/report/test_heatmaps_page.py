import numpy as np
import pytest

from vissum_jax.report.heatmaps_page import Example, write_heatmaps_page
from vissum_jax.report.overlap_plot import overlap_picture

METHOD = {"images": 2, "auc": 20.0, "pointing": 0.5, "grid_energy": 0.01, "curve": [0.1, 0.2]}
LESS = {"auc": {"mean": 1.0, "low": -0.5, "high": 2.5, "images": 2}}
VALUES = {
    "model": "flower <net>",
    "images": 2,
    "left_out": {"answered otherwise": 1},
    "truth_area": 0.125,
    "stride": 2,
    "scoring": {"thresholds": 101, "tolerance": 0.03},
    "methods": {"ve": {**METHOD, "title": "VE"}, "deconvnet": {**METHOD, "title": "deconvnet + guided ReLU"}},
    "differences": {"deconvnet": LESS},
    "stride_fix": {"ve": {"without": 0.2, "with": 0.05, "ratio": 0.25}},
}


@pytest.fixture
def page(tmp_path):
    truth = np.zeros((32, 32), bool)
    truth[8:24, 8:24] = True
    examples = [
        Example(
            title=f"{name}/0.png",
            class_name=name,
            photograph=np.full((32, 32, 3), 90, np.uint8),
            truth=truth,
            maps={"ve": truth.astype(float), "deconvnet": None if name == "<b>" else np.zeros((32, 32))},
        )
        for name in ("red_petals", "<b>")
    ]
    plot = overlap_picture({"VE": [0.1, 0.2]})
    return write_heatmaps_page(tmp_path / "report", VALUES, examples, plot, configuration={"limit": 2}, versions={})


def test_the_page_has_the_table_the_curves_and_what_was_left_out(page):
    html = page.read_text()
    assert "Do heat maps of flower &lt;net&gt; show what makes the class?" in html
    assert "+2.5" in html
    assert "What the stride fix does" in html
    assert "Left out: 1 answered otherwise." in html
    assert (page.parent / "pictures" / "0-0.jpg").is_file()


def test_every_class_has_a_page_with_all_methods_side_by_side(page):
    red, other = (page.parent / "classes" / str(number) / "index.html" for number in (1, 2))
    assert red.read_text().count("<figure>") == 4
    assert "What makes it red petals" in red.read_text()
    assert other.read_text().count("<figure>") == 3
    assert "No map: deconvnet + guided ReLU." in other.read_text()
    assert "<b>/0.png" not in other.read_text()
