import numpy as np
import pytest

from vissum_jax.analysis.parts import PartConfig
from vissum_jax.data.an8flower.dataset import label_image
from vissum_jax.data.part_points import read_part_points
from vissum_jax.data.truth_masks import open_part_labels
from vissum_jax.pipeline.part_baselines import Grouping
from vissum_jax.pipeline.part_scores import scored
from vissum_jax.pipeline.part_truth import LabelTruth, PointTruth

FILES = ("birds/a.jpg", "birds/b.jpg", "birds/c.jpg")
ROWS = {
    # The first is shown whole at half its size, the second without its left half, the third as it is.
    "birds/a.jpg": {"crop_x": 0.0, "crop_y": 0.0, "crop_w": 128.0, "crop_h": 128.0, "height": 64, "width": 64},
    "birds/b.jpg": {"crop_x": 64.0, "crop_y": 0.0, "crop_w": 64.0, "crop_h": 64.0, "height": 64, "width": 64},
    "birds/c.jpg": {"crop_x": 0.0, "crop_y": 0.0, "crop_w": 64.0, "crop_h": 64.0, "height": 64, "width": 64},
}
TABLE = """file,part,x,y
a.jpg,beak,20,20
a.jpg,tail,100,100
b.jpg,beak,74,10
b.jpg,tail,10,10
"""


@pytest.fixture
def points(tmp_path):
    (tmp_path / "parts.csv").write_text(TABLE)
    return PointTruth(read_part_points(tmp_path / "parts.csv"))


def score(points, *boxes):
    """Boxes as (group, image, box)."""
    grouping = Grouping(
        images=np.array([image for _, image, _ in boxes], int),
        boxes=np.array([box for _, _, box in boxes], int).reshape(-1, 4),
        labels=np.array([group for group, _, _ in boxes], int),
    )
    return scored(grouping, FILES, ROWS, points, PartConfig())


HEAD, END, NOWHERE = (0, 0, 20, 20), (40, 40, 20, 20), (25, 25, 5, 5)


def test_parts_are_found_in_the_geometry_that_the_network_sees(points):
    found = score(points, (0, 0, HEAD), (0, 1, HEAD), (1, 0, END))
    assert found["groups"] == [
        {"group": 0, "members": 2, "shows": {"beak": 2}},
        {"group": 1, "members": 1, "shows": {"tail": 1}},
    ]
    assert (found["purity"], found["parts"], found["without_part"], found["nmi"]) == (1.0, 2, 0.0, pytest.approx(1.0))
    assert found["gain"] == found["purity"] / found["shuffled_purity"]
    assert found["reason"] == ""


def test_parts_that_the_crop_cuts_off_are_not_there(points):
    found = score(points, (0, 1, HEAD), (0, 1, END), (0, 0, NOWHERE))
    assert found["groups"] == [{"group": 0, "members": 3, "shows": {"beak": 1}}]
    assert (found["purity"], found["without_part"]) == (pytest.approx(1 / 3), pytest.approx(2 / 3))


def test_boxes_of_photographs_without_annotations_are_counted_and_left_out(points):
    found = score(points, (0, 0, HEAD), (0, 2, HEAD), (1, 2, HEAD))
    assert (found["members"], found["summaries"], found["not_annotated"]) == (1, 1, 2)
    assert found["purity"] == 1.0


def test_without_any_annotated_box_there_is_a_reason_and_no_figure(points):
    found = score(points, (0, 2, HEAD), (1, 2, HEAD))
    assert found["reason"] == "none of its 2 boxes lies in an annotated photograph"
    assert [found[name] for name in ("purity", "shuffled_purity", "gain", "nmi", "without_part")] == [None] * 5
    assert found["groups"] == []


def test_without_boxes_the_reason_is_the_grouping_s_own(points):
    found = scored(Grouping.without("nothing is salient"), FILES, ROWS, points, PartConfig())
    assert (found["reason"], found["members"], found["purity"]) == ("nothing is salient", 0, None)


def test_of_label_images_the_part_that_covers_most_of_a_box_counts(tmp_path):
    labels = np.zeros((64, 64), np.uint8)
    labels[:24, :24], labels[40:, 40:] = 1, 5  # petals, and a pot
    folder = tmp_path / "truth" / "red_petals"
    folder.mkdir(parents=True)
    label_image(labels).save(folder / "0.png")
    (tmp_path / "an8flower.json").write_text('{"variant": "single-6c"}')
    rows = {f"red_petals/{number}.png": ROWS["birds/c.jpg"] for number in (0, 1)}
    boxes = [(0, 0, HEAD), (0, 0, END), (0, 0, (20, 20, 24, 24)), (0, 1, HEAD)]
    grouping = Grouping(
        images=np.array([image for _, image, _ in boxes]),
        boxes=np.array([box for _, _, box in boxes]),
        labels=np.array([group for group, _, _ in boxes]),
    )
    truth = LabelTruth(open_part_labels(tmp_path), PartConfig())
    found = scored(grouping, tuple(rows), rows, truth, PartConfig())
    assert found["groups"] == [{"group": 0, "members": 3, "shows": {"petals": 1, "pot": 1}}]
    assert (found["without_part"], found["on_own_part"]) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert found["not_annotated"] == 1


def test_points_do_not_tell_what_makes_a_class(points):
    assert "on_own_part" not in score(points, (0, 0, HEAD))
