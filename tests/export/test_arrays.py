import json
from dataclasses import replace

import numpy as np
import pytest

from vissum_jax.export.arrays import ARRAYS, ArrayWriter, class_arrays


@pytest.fixture
def folder(exported, tmp_path):
    writer = ArrayWriter(tmp_path, {"run": "f00"})
    writer.add_class(exported)
    writer.add_class(replace(exported, class_index=12345, class_name="other", summaries=()))
    assert writer.finish() == {"images": 8, "masks": 4, "summaries": 2, "members": 3}
    return tmp_path


def test_a_class_is_a_file_that_loads_without_pickles(folder, exported):
    with np.load(folder / "class-00007.npz", allow_pickle=False) as arrays:
        assert set(arrays) == set(ARRAYS)
        assert np.array_equal(arrays["masks"], exported.masks.salient)
        assert arrays["masks"].dtype == bool
        assert arrays["images"].tolist() == ["a/0.jpg", '../../"x".jpg', "a/2.jpg", "a/half\\udcff.jpg"]
        assert arrays["status"].tolist() == ["ok", "infeasible", "skipped_prediction", "unreadable"]
        assert (arrays["class_index"].item(), arrays["class_name"].item()) == (7, exported.class_name)
        np.testing.assert_array_equal(arrays["drop_binary"], exported.masks.drop_binary)
        np.testing.assert_array_equal(arrays["crops"], [[15, 0, 60, 60]] * 3 + [[np.nan] * 4])


def test_kept_members_come_by_summary_and_rank(exported):
    arrays = class_arrays(exported)
    assert arrays["member_summary"].tolist() == [0, 0, 1]
    assert arrays["member_rank"].tolist() == [0, 2, 0]
    assert arrays["member_image"].tolist() == [0, 1, 1]
    assert arrays["member_box"].tolist() == [[2, 4, 6, 8], [3, 4, 6, 8], [3, 4, 6, 8]]
    assert arrays["member_box_photograph"].tolist() == [[21, 12, 18, 24], [24, 12, 18, 24], [24, 12, 18, 24]]
    assert arrays["member_exemplar"].tolist() == [True, False, True]
    np.testing.assert_array_equal(arrays["member_ssim"], [0.5, np.nan, 0.5])
    np.testing.assert_array_equal(arrays["summary_importance"], [0.25, np.nan])
    assert arrays["summary_tag"].tolist() == ["", "ear"]
    assert arrays["summary_number"].tolist() == [0, 1]


def test_a_class_without_summaries_has_empty_arrays_of_the_right_shape(folder):
    with np.load(folder / "class-12345.npz", allow_pickle=False) as arrays:
        assert arrays["member_box"].shape == (0, 4)
        assert arrays["member_box_photograph"].shape == (0, 4)
        assert arrays["summary_tag"].shape == (0,)


def test_the_index_lists_the_classes_and_says_what_the_arrays_are(folder):
    index = json.loads((folder / "index.json").read_text())
    assert index["info"] == {"run": "f00"}
    assert index["arrays"] == ARRAYS
    assert index["classes"][1] == {"class_index": 12345, "class_name": "other", "file": "class-12345.npz"}
    assert {entry["file"] for entry in index["classes"]} == {path.name for path in folder.glob("*.npz")}
