"""`benchmarks/bench_report.py`: the report of a large run, scaled down."""

import json
import sys

import pytest

from benchmarks import bench_report

CORES, CLASSES = 2, 1000
"""Of the machine and the run that the report is made for: 1000 classes of 50 photographs in 5 minutes and 1.5 GB."""


@pytest.fixture
def importable(monkeypatch):
    """As when the benchmark is a script: the network is named after the module."""
    monkeypatch.syspath_prepend("benchmarks")


def test_the_benchmark_prints_one_object(importable, capsys, monkeypatch, tmp_path):
    arguments = ["bench_report.py", "--classes", "2", "--photographs", "6", "--json", "--keep", str(tmp_path / "kept")]
    monkeypatch.setattr(sys, "argv", arguments)
    bench_report.main()
    results = json.loads(capsys.readouterr().out)["results"]
    assert [row["metric"] for row in results] == ["time", "processor time", "peak memory", "size", "files"]
    assert {row["case"] for row in results} == {"report, 2 classes x 6 photographs"}
    report = tmp_path / "kept" / "run" / "report"
    # A page and four pictures of each photograph; a tile for each member that six photographs leave.
    tiles = sum(min(size, 6) for size in (*bench_report.KEPT, *bench_report.DROPPED))
    assert len(list((report / "classes").rglob("*"))) == 2 * (1 + 1 + 5 * 6 + tiles)
    assert results[-1]["value"] == sum(path.is_file() for path in report.rglob("*"))


@pytest.mark.slow
def test_the_report_of_a_large_run_is_quick_and_small(importable, tmp_path):
    few, many, photographs = 4, 24, 50
    short, long = (
        bench_report.make_report(bench_report.write_run(tmp_path / str(count), count, photographs).folder)
        for count in (few, many)
    )
    # Processor time, as a busy machine has it too; a class more takes as much at any number of classes.
    for_a_class = (long.cpu_seconds - short.cpu_seconds) / (many - few)
    assert CLASSES * for_a_class / CORES < 300
    assert long.peak_bytes < 1.2e9, "classes leave next to nothing in memory"
    assert long.bytes / (many * photographs) < 60e3
