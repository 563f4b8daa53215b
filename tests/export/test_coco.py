import json
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from pycocotools.coco import COCO

from vissum_jax.export.coco import CocoWriter
from vissum_jax.export.model import on_photograph
from vissum_jax.types import Crop

# pycocotools 2.0 exports its arrays by a protocol that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def written(exported, tmp_path):
    with closing(CocoWriter(tmp_path, {"description": "masks", "run": "f00"})) as writer:
        writer.add_class(exported)
        writer.add_class(replace(exported, class_index=9, class_name="other", summaries=exported.summaries[:1]))
        counts = writer.finish()
    return counts, COCO(tmp_path / "masks.json"), COCO(tmp_path / "summaries.json")


def test_masks_decode_to_the_masks_on_the_photographs(written, exported):
    _, masks, _ = written
    assert len(masks.anns) == 4
    for number, annotation in masks.anns.items():
        row = (number - 1) % 2
        whole = on_photograph(exported.masks.salient[row], exported.crops[row])
        decoded = masks.annToMask(annotation)
        assert decoded.shape == (60, 90)
        assert np.array_equal(decoded, whole)
        x, y, w, h = annotation["bbox"]
        assert annotation["area"] == whole.sum() == whole[y : y + h, x : x + w].sum()
        assert annotation["iscrowd"] == 0
        for edge in (whole[y], whole[y + h - 1], whole[:, x], whole[:, x + w - 1]):
            assert edge.any(), "a box is as small as can be"


def test_photographs_have_their_names_sizes_and_states(written):
    _, masks, summaries = written
    first = masks.loadImgs(1)[0]
    assert first == {"id": 1, "file_name": "a/0.jpg", "width": 90, "height": 60, "status": "ok"}
    assert [image["file_name"] for image in masks.loadImgs([2, 3])] == ['../../"x".jpg', "a/2.jpg"]
    assert [image["status"] for image in masks.loadImgs([2, 3])] == ["infeasible", "skipped_prediction"]
    assert masks.imgs == summaries.imgs
    assert masks.dataset["info"] == {"description": "masks", "run": "f00"}


def test_categories_of_masks_are_the_classes(written):
    _, masks, _ = written
    assert masks.loadCats(masks.getCatIds()) == [
        {"id": 8, "name": "<script>alert(1)</script>", "class_index": 7},
        {"id": 10, "name": "other", "class_index": 9},
    ]
    assert [masks.anns[number]["category_id"] for number in (1, 2, 3, 4)] == [8, 8, 10, 10]
    assert len(masks.getAnnIds(catIds=[10])) == 2


def test_categories_of_members_are_the_summaries(written):
    _, _, summaries = written
    first, second, third = (summaries.cats[number] for number in (1, 2, 3))
    assert first == {
        "id": 1,
        "name": "<script>alert(1)</script>/0",
        "supercategory": "<script>alert(1)</script>",
        "class_index": 7,
        "summary": 0,
        "ssim": 0.4,
        "importance": 0.25,
    }
    assert (second["tag"], "importance" in second) == ("ear", False)
    assert third["name"] == "other/0"


def test_kept_members_are_boxes_on_the_photographs(written):
    _, _, summaries = written
    members = summaries.loadAnns(summaries.getAnnIds(catIds=[1]))
    assert [(member["image_id"], member["rank"]) for member in members] == [(1, 0), (2, 2)]
    exemplar, other = members
    # A box at (2, 4) of 6 x 8 in masks of 20 x 20 that show 60 x 60 pixels from (15, 0) on.
    assert exemplar["bbox"] == [21, 12, 18, 24]
    assert exemplar["area"] == 18 * 24
    assert (exemplar["exemplar"], exemplar["similarity"], exemplar["importance"]) == (True, 9.0, 0.25)
    assert (other["exemplar"], "ssim" in other) == (False, False)
    decoded = summaries.annToMask(exemplar)
    assert decoded[12:36, 21:39].all()
    assert decoded.sum() == exemplar["area"]


def test_members_load_as_results(written):
    _, _, summaries = written
    results = summaries.loadRes([{**annotation, "score": 1.0} for annotation in summaries.dataset["annotations"]])
    assert len(results.anns) == len(summaries.anns) == 5


def test_counts_say_what_is_there_and_what_is_not(written):
    assert written[0] == {
        "images": 6,
        "masks": 4,
        "summaries": 3,
        "members": 5,
        "left_out": {"unreadable": 2, "smaller_than_a_pixel": 0},
    }


def test_a_mask_that_no_pixel_of_a_small_photograph_shows_is_counted(exported, tmp_path):
    salient = np.zeros_like(exported.masks.salient)
    salient[0, 1, 1] = True  # under the centre of the photograph's first pixel
    salient[1, 0, 0] = True
    small = Crop(0.0, 0.0, 6.0, 6.0)
    exported = replace(
        exported, masks=replace(exported.masks, salient=salient), crops=(small, small, small, None), summaries=()
    )
    with closing(CocoWriter(tmp_path, {})) as writer:
        writer.add_class(exported)
        counts = writer.finish()
    assert (counts["masks"], counts["left_out"]["smaller_than_a_pixel"]) == (1, 1)


def test_a_run_without_anything_is_still_coco(tmp_path):
    with closing(CocoWriter(tmp_path, {})) as writer:
        writer.finish()
    for name in ("masks.json", "summaries.json"):
        assert COCO(tmp_path / name).anns == {}


def test_files_are_plain_ascii_json_without_nan(written, tmp_path):
    for name in ("masks.json", "summaries.json"):
        text = (tmp_path / name).read_bytes().decode("ascii")
        json.loads(text, parse_constant=pytest.fail)
        assert "null" not in json.dumps(json.loads(text)["annotations"])
