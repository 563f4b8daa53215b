import json

import numpy as np

from vissum_jax.analysis.drop import DropRow, Moments, cells, markdown

COLUMNS = {"drop": np.array([1.0, 0.5, np.nan]), "area": np.array([0.2, 0.4, np.nan]), "in_box": np.full(3, np.nan)}
ROW = DropRow.of("IEBB thresh", "iebb", "equal_area", {**COLUMNS, "passes": np.array([300, 300, 300])})
TITLES = {"drop": "drop", "area": "area", "in_box": "in box", "passes": "passes"}


def test_the_variance_is_that_of_the_population():
    moments = Moments.of(np.array([1.0, 0.5, np.nan, 0.0]))
    assert (moments.mean, moments.variance, moments.count) == (0.5, (0.25 + 0 + 0.25) / 3, 3)


def test_without_a_value_there_is_no_moment():
    assert Moments.of(np.array([np.nan])) == Moments(mean=None, variance=None, count=0)


def test_a_row_as_plain_values_is_json_without_nan():
    plain = json.loads(json.dumps(ROW.plain(), allow_nan=False))
    assert plain["label"] == "IEBB thresh"
    assert plain["measures"]["drop"] == {"mean": 0.75, "variance": 0.0625, "count": 2}
    assert "in_box" not in plain["measures"]


def test_the_table_shows_the_measures_that_some_row_has():
    other = DropRow.of("random, equal area", "random", "equal_area", {"drop": np.array([0.1])})
    headings, lines = cells([ROW, other], TITLES)
    assert headings == ["masks", "images", "drop", "variance", "area", "passes"]
    assert lines == [
        ["IEBB thresh", "2", "0.7500", "6.25e-02", "0.3000", "300.0"],
        ["random, equal area", "1", "0.1000", "0.00e+00", "-", "-"],
    ]


def test_markdown_has_a_rule_and_a_line_a_row():
    assert markdown(["masks", "drop"], [["ours", "0.9997"]]) == "| masks | drop |\n| --- | ---: |\n| ours | 0.9997 |\n"
