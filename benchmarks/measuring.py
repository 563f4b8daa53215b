"""What all benchmarks share: timing in turn, ratios with their spread, and a record of what was measured where."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

Step = Callable[[], object]


def alternate(steps: Sequence[Step], rounds: int) -> list[list[float]]:
    """Seconds of each step, A B A B, after one call of each that is not counted."""
    seconds: list[list[float]] = [[] for _ in steps]
    for step in steps:
        step()
    for _ in range(rounds):
        for step, measured in zip(steps, seconds, strict=True):
            start = time.perf_counter()
            step()
            measured.append(time.perf_counter() - start)
    return seconds


def compared(case: str, mine: Sequence[float], peer: Sequence[float], *, work: float, unit: str) -> dict[str, Any]:
    """A row of the results: our rate beside the peer's.

    Args:
        case: What was done.
        mine: Our seconds for each round.
        peer: The peer's seconds in the same rounds, for as much work.
        work: How much of `unit` a round does.
        unit: Of the work.

    Returns:
        Rates in unit/s by medians; `ratio` is the peer's time / ours, the median over the rounds, with quartiles.
    """
    ratios = [other / own for own, other in zip(mine, peer, strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4)
    return {
        "case": case,
        "metric": "throughput",
        "value": work / statistics.median(mine),
        "unit": f"{unit}/s",
        "peer": work / statistics.median(peer),
        "ratio": statistics.median(ratios),
        "low": low,
        "high": high,
    }


def commit() -> str:
    """The commit that is checked out, with a mark where tracked files differ from it."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    head = git("rev-parse", "--short", "HEAD")
    return f"{head} with changes" if git("status", "--porcelain", "-uno") else head or "unknown"


def environment(packages: Iterable[str]) -> dict[str, Any]:
    """Device, processor cores, versions and commit, as every result names them; to be taken before measuring."""
    devices = jax.local_devices()
    return {
        "device": f"{len(devices)} x {devices[0].device_kind} ({devices[0].platform})",
        "cores": len(os.sched_getaffinity(0)),
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}},
        "commit": commit(),
    }


def show(row: dict[str, Any]) -> str:
    """A row as a line for people."""
    text = f"{row['case']}: {row['metric']} {row['value']:.4g} {row['unit']}"
    if "ratio" in row:
        text += f", peer {row['peer']:.4g}, ratio {row['ratio']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
    return text
