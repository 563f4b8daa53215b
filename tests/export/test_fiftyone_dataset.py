"""The data set is read again with FiftyOne itself, where it and its database are installed."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vissum_jax.export.fiftyone_dataset import FiftyOneWriter

pytestmark = pytest.mark.filterwarnings("default")  # FiftyOne's own warnings are not ours


@pytest.fixture
def fiftyone():
    module = pytest.importorskip("fiftyone", reason="FiftyOne is not installed: pip install 'vissum-jax[fiftyone]'")
    before = set(module.list_datasets())
    yield module
    assert set(module.list_datasets()) == before, "nothing stays behind in FiftyOne's database"


@pytest.fixture
def dataset(fiftyone, exported, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    writer = FiftyOneWriter(out, lambda image: tmp_path / "photos" / image, {"run": "f00"})
    writer.add_class(replace(exported, images=("a/0.jpg", "a/1.jpg", "a/2.jpg", "a/3.jpg")))
    counts = writer.finish()
    writer.close()
    assert counts == {"images": 3, "masks": 2, "summaries": 2, "members": 3, "left_out": {"unreadable": 1}}
    dataset = fiftyone.Dataset.from_dir(str(out), dataset_type=fiftyone.types.FiftyOneDataset, progress=False)
    yield dataset
    dataset.delete()


def test_the_importer_reads_photographs_masks_and_summaries(dataset, exported, tmp_path):
    assert dataset.info == {"run": "f00"}
    first, second, third = dataset
    assert first.filepath == str(tmp_path / "photos" / "a" / "0.jpg")
    assert (first.metadata.width, first.metadata.height) == (90, 60)
    assert first.ground_truth.label == exported.class_name
    assert [sample.status for sample in dataset] == ["ok", "infeasible", "skipped_prediction"]
    assert (third.predicted_index, third.p_binary, third.mask) == (3, None, None)
    assert first.drop_binary == pytest.approx(0.99)

    # The mask of the first reaches over columns 2..19 and rows 0..11 of 20 x 20 that show 60 x 60 from (15, 0) on.
    assert np.allclose(first.mask.bounding_box, [21 / 90, 0, 54 / 90, 36 / 60])
    assert np.array_equal(first.mask.mask, exported.masks.salient[0, :12, 2:])

    (exemplar,) = first.summaries.detections
    assert exemplar.label == f"{exported.class_name}/0"
    assert np.allclose(exemplar.bounding_box, [21 / 90, 12 / 60, 18 / 90, 24 / 60])
    assert (exemplar.summary, exemplar.rank, exemplar.exemplar, exemplar.importance) == (0, 0, True, 0.25)
    member, other = second.summaries.detections
    assert (member.summary, member.rank, other.summary, other["name"]) == (0, 2, 1, "ear")
    assert third.summaries.detections == []


def test_without_fiftyone_one_line_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "fiftyone", None)
    with pytest.raises(ValueError, match=r"--format fiftyone needs FiftyOne .*: pip install 'vissum-jax\[fiftyone\]'"):
        FiftyOneWriter(tmp_path, Path, {})
