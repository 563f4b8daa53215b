import json

import numpy as np
import pytest
import toys
from scipy import stats
from toy_runs import summary, write_run

from vissum_jax.pipeline import NotReadyError, RunConfig, start_run
from vissum_jax.pipeline.evaluate_counts import counts_markdown, evaluate_counts, read_counts, write_counts

BOX = (0, 0, 20, 20)
# Of each run the kept summaries of discs, squares and bars, and how many of the four discs it takes for squares.
RUNS = {"one": ((1, 2, 0), 3), "two": ((2, 2, 1), 2), "three": ((3, 5, 1), 0)}


def told(counts):
    dropped = [summary(9, {0: BOX}, kept=False)]
    return {index: [*(summary(n, {0: BOX}) for n in range(count)), *dropped] for index, count in enumerate(counts)}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    photos = toys.write_photographs(tmp_path_factory.mktemp("photos"), {0: 4, 1: 2, 2: 2})
    (photos / "green_square" / "broken.png").write_bytes(b"no picture")
    return photos


@pytest.fixture(scope="module")
def folders(photos, tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return [
        write_run(
            photos, root / name, told(counts), answers={f"red_disc/{number}.png": 1 for number in range(wrong)}
        ).folder
        for name, (counts, wrong) in RUNS.items()
    ]


@pytest.fixture(scope="module")
def values(folders):
    return evaluate_counts(read_counts(folders))


def test_kept_summaries_are_counted_a_class(values):
    assert values["classes"] == ["red disc", "green square", "blue bar"]
    assert [run["mean_summaries"] for run in values["runs"]] == [1.0, pytest.approx(5 / 3), 3.0]
    assert values["runs"][2]["summaries"] == {"red disc": 3, "green square": 5, "blue bar": 1}


def test_accuracy_is_the_share_of_readable_photographs_answered_rightly(values):
    assert [run["measured_top1"] for run in values["runs"]] == [5 / 8, 6 / 8, 8 / 8]
    assert [run["photographs"] for run in values["runs"]] == [8, 8, 8]


def test_the_correlation_is_spearman_s(values):
    found = values["correlation"]["measured_top1"]
    counts, accuracy = zip(*((run["mean_summaries"], run["measured_top1"]) for run in values["runs"]), strict=True)
    assert found["value"] == pytest.approx(stats.spearmanr(counts, accuracy).statistic) == pytest.approx(1.0)
    assert -1 <= found["low"] <= found["high"] <= 1
    assert (found["runs"], found["classes"], found["reason"]) == (3, 3, "")


def test_networks_without_a_known_accuracy_have_no_correlation_with_it(values):
    found = values["correlation"]["known_top1"]
    assert found == {
        "value": None,
        "reason": "it needs at least 3 runs whose network has such a figure, and 0 have one",
    }


def test_known_accuracies_are_correlated(folders):
    runs = read_counts(folders)
    known = [type(run)(**{**vars(run), "known_top1": top1}) for run, top1 in zip(runs, (0.7, 0.6, 0.5), strict=True)]
    found = evaluate_counts(known)
    assert found["correlation"]["known_top1"]["value"] == pytest.approx(-1.0)
    assert found["runs"][0]["known_top1"] == 0.7
    two = evaluate_counts([*known[:2], runs[2]])
    assert "2 have one" in two["correlation"]["known_top1"]["reason"]
    assert two["correlation"]["measured_top1"]["value"] == pytest.approx(1.0)


def test_fewer_than_three_runs_make_a_table_and_say_why_there_is_no_correlation(folders):
    found = evaluate_counts(read_counts(folders[:2]))
    text = counts_markdown(found)
    assert found["correlation"]["measured_top1"]["value"] is None
    assert "No rank correlation with top-1 here: it needs at least 3 runs" in text
    assert text.splitlines()[2].startswith(f"| toy ({folders[0]}) | 1.00 | - | 62.5% | 8 |")


def test_runs_with_equal_counts_have_no_correlation(folders, photos, tmp_path):
    same = [write_run(photos, tmp_path / name, told((1, 1, 1))).folder for name in "ab"]
    found = evaluate_counts(read_counts([*same, write_run(photos, tmp_path / "c", told((1, 1, 1))).folder]))
    why = "all runs have the same mean count, or the same accuracy"
    assert found["correlation"]["measured_top1"] == {"value": None, "reason": why}


def test_only_shared_classes_count_and_the_others_are_named(folders, tmp_path):
    photos = toys.write_photographs(tmp_path / "photos", {0: 1, 1: 2})
    (photos / "red_disc").rename(photos / "grey_noise")
    other = write_run(photos, tmp_path / "run", {1: [summary(0, {0: BOX})], 3: []}).folder
    found = evaluate_counts(read_counts([*folders[:2], other]))
    assert found["classes"] == ["green square"]
    assert [run["mean_summaries"] for run in found["runs"]] == [2.0, 2.0, 1.0]
    assert found["runs"][2]["other_classes"] == ["grey noise"]
    text = counts_markdown(found)
    assert "On 1 shared class: green square." in text
    assert f"Left out of toy ({folders[0]}), since another run has no such class: red disc, blue bar." in text


def test_runs_without_a_common_class_are_refused(folders, tmp_path):
    photos = toys.write_photographs(tmp_path / "photos", {0: 1})
    (photos / "red_disc").rename(photos / "grey_noise")
    other = write_run(photos, tmp_path / "run", {}).folder
    with pytest.raises(ValueError, match=r"^the runs share no class \(.*one: red disc, .*; name runs of the same"):
        read_counts([folders[0], other])


def test_a_run_named_twice_is_refused(folders):
    with pytest.raises(ValueError, match=r"one' is named twice; name each run once\.$"):
        read_counts([folders[0], folders[1], folders[0]])


def test_a_run_that_is_not_finished_is_refused(photos, tmp_path):
    started = start_run(RunConfig(images=str(photos), model=toys.MODEL), tmp_path / "run")
    with pytest.raises(NotReadyError, match="vissum masks"):
        read_counts([started.folder])


def test_photographs_that_cannot_be_read_are_no_wrong_answers(tmp_path):
    photos = tmp_path / "photos"
    (photos / "red_disc").mkdir(parents=True)
    (photos / "red_disc" / "broken.png").write_bytes(b"no picture")
    found = evaluate_counts(read_counts([write_run(photos, tmp_path / "run", {}).folder]))
    assert (found["runs"][0]["measured_top1"], found["runs"][0]["photographs"]) == (None, 0)


def test_the_files_hold_what_is_returned_and_are_the_same_each_time(values, tmp_path):
    write_counts(values, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "counts.json").read_text()) == json.loads(json.dumps(values))
    assert (tmp_path / "out" / "counts.md").read_text() == counts_markdown(values)
    before = (tmp_path / "out" / "counts.png").read_bytes()
    assert before.startswith(b"\x89PNG")
    write_counts(values, tmp_path / "out")
    assert (tmp_path / "out" / "counts.png").read_bytes() == before


def test_the_interval_follows_the_classes(folders):
    """Where every class orders the runs alike, no draw of classes can disagree."""
    runs = read_counts(folders)
    alike = [
        type(run)(
            **{
                **vars(run),
                "counts": dict.fromkeys(run.counts, row),
                "correct": dict.fromkeys(run.counts, 5 + row),
                "readable": dict.fromkeys(run.counts, 10),
            }
        )
        for row, run in enumerate(runs)
    ]
    found = evaluate_counts(alike)["correlation"]["measured_top1"]
    np.testing.assert_allclose([found["value"], found["low"], found["high"]], 1.0)
