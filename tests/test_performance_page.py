"""docs/performance.md says what the committed results say."""

import json
from pathlib import Path

import pytest

from benchmarks.operations import network_work
from benchmarks.random_networks import abstract_classifier
from vissum_jax.masks.config import PRESETS
from vissum_jax.pipeline.bench import most_passes

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/performance.md").read_text()
THROUGHPUT = json.loads((ROOT / "benchmarks/results/masks_throughput_cpu.json").read_text())["results"]
MATCHING = json.loads((ROOT / "benchmarks/results/matching_cpu.json").read_text())["results"]


@pytest.mark.parametrize("row", THROUGHPUT, ids=lambda row: row["case"])
def test_every_measured_rate_is_on_the_page(row):
    preset = row["case"].split()[1].strip(",")
    peer = row["case"].split("against ")[1]
    step = ", a step," if "a step" in row["case"] else ""
    figures = f"{row['value']:.4g} {row['unit']} | {row['peer']:.4g} | {row['ratio']:.2f} | "
    assert f"| `{preset}`{step} against {peer} | {figures}{row['low']:.2f} to {row['high']:.2f} |" in PAGE


def test_matching_is_told_as_it_was_measured():
    whole = MATCHING[0]
    assert f"takes {whole['value']:.0f} s from features to summaries" in PAGE
    assert f"{whole['ratio']:.0f} times the speed" in PAGE
    (vectorised,) = [row for row in MATCHING if row.get("peer_name") == "vectorised NumPy"]
    assert f"{vectorised['ratio']:.1f} times as fast as\nvectorised NumPy" in PAGE


@pytest.mark.parametrize(
    ("title", "name"),
    [("GoogLeNet (BVLC)", "googlenet-bvlc"), ("ResNet-50", "resnet50"), ("EfficientNet-Lite0", "efficientnet-lite0")],
)
def test_the_floor_is_what_is_counted(title, name):
    operations = network_work(abstract_classifier(name), 1).operations
    assert f"| {title} | {operations / 1e9:.3g} G |" in PAGE


def test_presets_spend_the_evaluations_that_are_told():
    assert f"| `compact` | {most_passes(PRESETS['compact'])} at most |" in PAGE
    assert f"| `authors`, `paper` | {most_passes(PRESETS['authors']) - 4} and 4 |" in PAGE
    assert most_passes(PRESETS["paper"]) == most_passes(PRESETS["authors"])
    assert f"| `iebb` | {most_passes(PRESETS['iebb']) - 4} and 4 |" in PAGE


def test_accelerators_are_left_empty_until_there_are_results():
    (table,) = [part for part in PAGE.split("\n\n") if part.startswith("| one H100 or H200")]
    measured = [line.split("|")[2].strip() for line in table.splitlines()[2:]]
    kept = [path.name for path in (ROOT / "benchmarks/results").glob("*.csv") if not path.name.startswith("cpu")]
    assert any(measured) == bool(kept)
