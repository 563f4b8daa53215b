"""What all benchmarks share: timing in turn, ratios with their spread, and a record of what was measured where."""

from __future__ import annotations

import functools
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import jax

Step = Callable[[], object]

FEWEST_ROUNDS = 2
"""A spread needs two."""
_COMPILED = "/jax/core/compile/backend_compile_duration"


def alternate(
    steps: Sequence[Step], rounds: int, *, seconds: float = float("inf"), warm: bool = False
) -> list[list[float]]:
    """Seconds of each step, A B A B, after one call of each that is not counted.

    Args:
        steps: What is measured.
        rounds: How often.
        seconds: After so long no further round begins; there are two rounds at least.
        warm: Whether every step has run already.
    """
    measured: list[list[float]] = [[] for _ in steps]
    if not warm:
        for step in steps:
            step()
    began = time.perf_counter()
    for number in range(rounds):
        if number >= FEWEST_ROUNDS and time.perf_counter() - began > seconds:
            break
        for step, own in zip(steps, measured, strict=True):
            start = time.perf_counter()
            step()
            own.append(time.perf_counter() - start)
    return measured


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
        **rated(case, mine, work=work, unit=unit),
        "peer": work / statistics.median(peer),
        "ratio": statistics.median(ratios),
        "low": low,
        "high": high,
    }


def rated(case: str, mine: Sequence[float], *, work: float, unit: str) -> dict[str, Any]:
    """A row of the results without a peer: the rate in unit/s by the median."""
    return {"case": case, "metric": "throughput", "value": work / statistics.median(mine), "unit": f"{unit}/s"}


def spread(mine: Sequence[float]) -> dict[str, float]:
    """Median and quartiles of a step's seconds."""
    low, median, high = statistics.quantiles(mine, n=4)
    return {"seconds": median, "seconds_low": low, "seconds_high": high}


class Program(NamedTuple):
    """A compiled program with its arguments.

    Attributes:
        step: Runs it and waits for the result.
        compile_seconds: What tracing, lowering and compiling took.
        peak_bytes: Device memory of arguments, results and everything between; None where XLA does not say.
    """

    step: Callable[[], Any]
    compile_seconds: float
    peak_bytes: int | None


def compiled(function: Callable[..., Any], *arguments: Any) -> Program:
    """Compile a function of arrays, apart from running it."""
    start = time.perf_counter()
    program = jax.jit(function).lower(*arguments).compile()
    seconds = time.perf_counter() - start
    memory, peak = program.memory_analysis(), None
    if memory is not None:
        parts = (memory.argument_size_in_bytes, memory.output_size_in_bytes, memory.temp_size_in_bytes)
        peak = sum(parts) - memory.alias_size_in_bytes
    return Program(lambda: jax.block_until_ready(program(*arguments)), seconds, peak)


class Compilations:
    """How often XLA has compiled, and how long that took, since this was made."""

    def __init__(self) -> None:
        """Begin to count."""
        heard = _listen()
        self._heard, self._before = heard, len(heard)

    @property
    def count(self) -> int:
        """Programs compiled."""
        return len(self._heard) - self._before

    @property
    def seconds(self) -> float:
        """Spent on them, without tracing and lowering."""
        return sum(self._heard[self._before :])


@functools.cache
def _listen() -> list[float]:
    """Seconds of every compilation from the first call on; listeners cannot be taken off one by one."""
    heard: list[float] = []

    def hear(event: str, duration_secs: float, **_: object) -> None:
        if event == _COMPILED:
            heard.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(hear)
    return heard


def commit() -> str:
    """The commit that is checked out, with a mark where tracked files differ from it."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        try:
            return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
        except FileNotFoundError:  # a bare machine has no git
            return ""

    head = git("rev-parse", "--short", "HEAD")
    return f"{head} with changes" if git("status", "--porcelain", "-uno") else head or "unknown"


def installed(package: str) -> str | None:
    """A package's version, or None where there is none."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def environment(packages: Iterable[str]) -> dict[str, Any]:
    """Device, processor cores, versions of what is installed and commit; to be taken before measuring."""
    devices = jax.local_devices()
    found = {name: version for name in packages if (version := installed(name)) is not None}
    return {
        "device": f"{len(devices)} x {devices[0].device_kind} ({devices[0].platform})",
        "cores": len(os.sched_getaffinity(0)),
        "versions": {"python": platform.python_version(), **found},
        "commit": commit(),
    }


def show(row: dict[str, Any]) -> str:
    """A row as a line for people."""
    text = f"{row['case']}: {row['metric']} {row['value']:.4g} {row['unit']}"
    if "ratio" in row:
        text += f", peer {row['peer']:.4g}, ratio {row['ratio']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
    if "share_of_peak" in row:
        text += f"; {row['share_of_peak']:.1%} of the peak, {row['share_of_bandwidth']:.1%} of the bandwidth"
    return text
