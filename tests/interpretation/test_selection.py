import json

import numpy as np
import pytest

from vissum_jax.interpretation.responses import Columns
from vissum_jax.interpretation.selection import FeatureSelection


def selection(**changes):
    weights = np.zeros((5, 2))
    weights[[0, 2, 4], 0] = (0.5, -3.0, 1.0)
    values = {
        "model": "net",
        "columns": Columns(("a", "b"), (2, 3)),
        "weights": weights,
        "class_index": np.array([7, 3]),
        "class_names": ("Höhle <b>", "other"),
        "mu": 5.0,
    }
    return FeatureSelection(**{**values, **changes})


def test_relevant_filters_come_by_the_size_of_their_weights():
    assert selection().relevant(7).tolist() == [2, 4, 0]
    assert selection().relevant(3).tolist() == []
    with pytest.raises(ValueError, match=r"^`class_index` 0 is none of the classes that features were selected for"):
        selection().relevant(0)


def test_a_selection_comes_back_from_its_files(tmp_path):
    before = selection()
    before.save(tmp_path)
    after = FeatureSelection.load(tmp_path)
    np.testing.assert_array_equal(after.weights, before.weights)
    np.testing.assert_array_equal(after.class_index, before.class_index)
    assert (after.model, after.columns, after.class_names, after.mu) == ("net", before.columns, before.class_names, 5.0)


def test_a_folder_without_a_selection_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no selected features; make them with `vissum features select`"):
        FeatureSelection.load(tmp_path)


@pytest.mark.parametrize("damage", ["half", "key", "shape", "json"])
def test_damaged_files_are_refused(tmp_path, damage):
    selection().save(tmp_path)
    weights, facts = tmp_path / "weights.npz", tmp_path / "selection.json"
    if damage == "half":
        weights.write_bytes(weights.read_bytes()[:100])
    elif damage == "shape":
        facts.write_text(facts.read_text().replace("3\n", "4\n"))
    elif damage == "key":
        facts.write_text(json.dumps({"model": "net"}))
    else:
        facts.write_text("{")
    with pytest.raises(ValueError, match="the selection is damaged"):
        FeatureSelection.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": np.zeros((4, 2))}, r"`weights` must be of shape \(5, 2\), got \(4, 2\)\."),
        ({"class_index": np.array([1])}, r"`class_index` must be one per class, got 1 for 2\."),
    ],
)
def test_parts_must_fit(changes, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        selection(**changes)
