"""`benchmarks/bench_masks.py` with few images and iterations: which figures there are, and that both sides agree."""

import json
import sys

import pytest

from vissum_jax.masks.config import PRESETS

pytestmark = pytest.mark.parity


def test_the_benchmark_compares_with_the_bare_network_and_with_pytorch(capsys, monkeypatch):
    from benchmarks import bench_masks  # needs PyTorch

    for name, value in {"BATCH": 2, "QUICK_ROUNDS": 2, "QUICK_ITERATIONS": 4}.items():
        monkeypatch.setattr(bench_masks, name, value)
    monkeypatch.setattr(sys, "argv", ["bench_masks.py", "--json", "--quick", "--model", "efficientnet-lite0"])
    bench_masks.main()
    found = json.loads(capsys.readouterr().out)
    cases = {row["case"].removeprefix("efficientnet-lite0 "): row for row in found["results"]}
    peers = (
        "authors against the published loop",
        "authors against batched PyTorch",
        "compact against the published loop",
    )
    assert set(cases) == {*peers, *(f"{name}, a step, batch 2, against the bare network" for name in PRESETS)}
    for row in cases.values():
        assert row["value"] > 0
        assert row["low"] <= row["ratio"] <= row["high"]
