"""`benchmarks/bench_pipeline.py` on toys: which figures there are, and how they follow from seconds."""

import pytest
import toys

from benchmarks import bench_pipeline
from vissum_jax.pipeline import RunConfig


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    photographs = toys.write_photographs(tmp_path_factory.mktemp("photos"), {0: 4, 1: 4})
    config = RunConfig(images=str(photographs), model=toys.MODEL, overrides=toys.overrides())
    bench = bench_pipeline.Bench(config, tmp_path_factory.mktemp("runs"), small_part=3)
    assert bench.parts == 3
    return {row["case"]: row for row in bench_pipeline.measure(bench, rounds=2)}


def test_every_stage_has_its_rate(rows):
    stages = (
        "masks in one part",
        "masks in parts of 3",
        "summaries stage",
        "report stage",
        "whole run, compiled before",
    )
    for stage in stages:
        assert rows[stage]["value"] == pytest.approx(8 / rows[stage]["seconds"])
        assert rows[stage]["share_outside"] < 1.0001
    assert rows["report stage"]["share_outside"] == 1
    assert rows["whole run, compiled before"]["seconds"] > rows["summaries stage"]["seconds"]


def test_nothing_is_compiled_again_for_another_run_of_the_same_shapes(rows):
    assert rows["programs compiled after the first run"]["value"] == 0


def test_a_part_costs_the_difference_divided_by_the_parts_that_are_more():
    row = bench_pipeline._difference("overhead", [10.0, 12.0, 11.0], [4.0, 4.0, 4.0], 2)
    assert row["value"] == 3.5
    assert row["seconds_low"] <= 3.5 <= row["seconds_high"]


def test_a_stopwatch_adds_up_stages_of_one_name():
    watch = bench_pipeline.Stopwatch()
    for _ in range(2):
        watch.start("matches", 3)
        watch.advance(3)
        watch.finish()
    assert set(watch.seconds) == {"matches"}
    assert watch.seconds["matches"] > 0


def test_the_demos_flowers_are_rendered(tmp_path):
    folder = bench_pipeline.render(tmp_path, 1)
    assert len(list(folder.glob("*/*.png"))) == len(list(folder.iterdir())) > 3
