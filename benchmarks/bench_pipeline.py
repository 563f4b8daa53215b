"""Whole runs, from files to the report: images a second of every stage, and what of it is not the device's work.

    python benchmarks/bench_pipeline.py --json [--quick] [--images-per-class 4]

Rendered flowers, the small network that ships and short searches, so that it takes about a minute. The seconds that
the host spends on a photograph or a part hardly depend on the network; the shares do, and are larger than for any
network of use: those keep the device longer.

Everything runs once to compile, then in turn: the masks of a run in one part and in small parts, and the device's share
of each alone, on photographs that are decoded already. `share_outside` = 1 - device's seconds / wall seconds: of the
masks stage the device's work is the search, of the summaries the match scores and importances; reports have none.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measuring import Compilations, alternate, environment, show
from vissum_jax.data import Decoded
from vissum_jax.data.an8flower import FlowerConfig, write_dataset
from vissum_jax.data.an8flower.dataset import IMAGES_FOLDER
from vissum_jax.masks.extract import extract
from vissum_jax.pipeline import RunConfig, mask_stage, report_stage, start_run, summary_stage
from vissum_jax.pipeline.demo import MODEL, SEED, SETTINGS, VARIANT
from vissum_jax.pipeline.progress import Silent
from vissum_jax.pipeline.run import Run

PACKAGES = ("jax", "jaxlib", "numpy", "opencv-contrib-python-headless", "pyarrow")
IMAGES_PER_CLASS, QUICK_IMAGES_PER_CLASS = 4, 2
BATCH = 8
SMALL_PART = 8
"""Images: as many as a batch, so that a part's end costs as much as it ever does."""
ROUNDS, QUICK_ROUNDS = 3, 2
STEPS = 20
"""Of a search."""
_ON_DEVICE = ("matches", "importance")
"""Of the summaries' work; proposals, pruning and clustering are the host's."""


@dataclass
class Stopwatch:
    """Progress that adds up how long each stage took."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _stage: str = ""
    _began: float = 0.0

    def start(self, stage: str, total: int) -> None:
        """A stage begins."""
        del total
        self._stage, self._began = stage, time.perf_counter()

    def advance(self, count: int) -> None:
        """Pass over."""

    def finish(self) -> None:
        """The stage ends."""
        self.seconds[self._stage] += time.perf_counter() - self._began


class Bench:
    """Runs of the same photographs, each in a folder of its own."""

    def __init__(self, config: RunConfig, folder: Path, *, small_part: int = SMALL_PART) -> None:
        """Nothing is computed yet.

        Args:
            config: What every run is asked to do.
            folder: Where they are put.
            small_part: Images of a part of the runs in small parts.
        """
        self.config, self.folder, self.small_part = config, folder, small_part
        self.runs = 0
        first = self.new_run(None)
        self.entries, self._spec, self._source = first.source.entries, first.classifier.spec, first.source
        self._classifier = first.classifier
        self.images = self._decoded()

    def new_run(self, part: int | None) -> Run:
        """A run of which nothing is done yet; all photographs in one part by default."""
        self.runs += 1
        return start_run(self.config, self.folder / f"run-{self.runs}", shard_size=part or 10**6)

    @property
    def parts(self) -> int:
        """Of a run in small parts."""
        return -(-len(self.entries) // self.small_part)

    def decode(self) -> Sequence[object]:
        """Read all photographs."""
        return self._source.read(self.entries, self._spec, workers=1)

    def masks(self, run: Run) -> None:
        """The masks stage."""
        mask_stage(run, Silent(), batch_size=BATCH)

    def search(self, part: int) -> None:
        """What the device does for the masks of parts of this size, on photographs in memory."""
        class_index = np.array([entry.class_index for entry in self.entries])
        for start in range(0, len(self.images), part):
            rows = slice(start, start + part)
            extract(
                self._classifier,
                self.images[rows],
                class_index[rows],
                self.config.masks,
                batch_size=BATCH,
                count_regions=lambda mask: 1,
                skip_mispredicted=not self.config.keep_mispredicted,
            )

    def _decoded(self) -> np.ndarray:
        decoded = [result.image for result in self.decode() if isinstance(result, Decoded)]
        if len(decoded) < len(self.entries):
            raise SystemExit(f"{len(self.entries) - len(decoded)} photographs cannot be read")
        return np.stack(decoded)


def measure(bench: Bench, rounds: int) -> list[dict[str, Any]]:
    """All rows, after a whole run that compiles everything."""
    count = len(bench.entries)
    cold = bench.new_run(None)
    _whole(bench, cold, Stopwatch())
    fresh = {part: iter([bench.new_run(part) for _ in range(rounds + 1)]) for part in (None, bench.small_part)}
    steps: dict[str, Callable[[], object]] = {
        "decode": bench.decode,
        "one part": lambda: bench.masks(next(fresh[None])),
        "small parts": lambda: bench.masks(next(fresh[bench.small_part])),
        "search, one part": lambda: bench.search(count),
        "search, small parts": lambda: bench.search(bench.small_part),
    }
    for step in steps.values():
        step()
    heard = Compilations()
    seconds = dict(zip(steps, alternate(list(steps.values()), rounds, warm=True), strict=True))
    again = {"case": "programs compiled after the first run", "metric": "count", "value": heard.count, "unit": ""}
    rows = [again, _rate(f"decoding of {count} photographs, one thread", seconds["decode"], count)]
    for kind in ("one part", "small parts"):
        name = f"masks in parts of {bench.small_part}" if kind == "small parts" else "masks in one part"
        outside = _shares(seconds[kind], seconds[f"search, {kind}"])
        rows.append(_rate(name, seconds[kind], count) | {"share_outside": outside})
    more = bench.parts - 1
    rows += [
        _difference("overhead of a part", seconds["small parts"], seconds["one part"], more),
        _difference(
            "of which the device's slots run empty", seconds["search, small parts"], seconds["search, one part"], more
        ),
    ]
    watch = Stopwatch()
    warm = bench.new_run(None)
    stages = _whole(bench, warm, watch)
    rows += [_rate(f"{name} stage", [taken], count) for name, taken in stages.items() if name != "masks"]
    on_device = sum(watch.seconds[stage] for stage in _ON_DEVICE)
    rows[-2]["share_outside"] = 1 - on_device / stages["summaries"]
    rows[-1]["share_outside"] = 1.0
    rows += [_rate(f"of the summaries: {stage}", [watch.seconds[stage]], count) for stage in ("proposals", *_ON_DEVICE)]
    whole = sum(stages.values())
    busy = statistics.median(seconds["search, one part"]) + on_device
    rows.append(_rate("whole run, compiled before", [whole], count) | {"share_outside": 1 - busy / whole})
    return rows


def _whole(bench: Bench, run: Run, watch: Stopwatch) -> Mapping[str, float]:
    """Seconds of every stage of a run."""
    stages: dict[str, Callable[[], object]] = {
        "masks": lambda: bench.masks(run),
        "summaries": lambda: summary_stage(run, watch, batch_size=BATCH),
        "report": lambda: report_stage(run, Silent()),
    }
    seconds = {}
    for name, stage in stages.items():
        start = time.perf_counter()
        stage()
        seconds[name] = time.perf_counter() - start
    return seconds


def _rate(case: str, seconds: Sequence[float], images: int) -> dict[str, Any]:
    middle = statistics.median(seconds)
    return {"case": case, "metric": "throughput", "value": images / middle, "unit": "images/s", "seconds": middle}


def _difference(case: str, more: Sequence[float], less: Sequence[float], parts: int) -> dict[str, Any]:
    """Seconds that each further part costs; noise may make it negative."""
    differences = [(a - b) / parts for a, b in zip(more, less, strict=True)]
    low, middle, high = statistics.quantiles(differences, n=4)
    return {"case": case, "metric": "time", "value": middle, "unit": "s", "seconds_low": low, "seconds_high": high}


def _shares(whole: Sequence[float], device: Sequence[float]) -> float:
    return statistics.median(1 - own / wall for wall, own in zip(whole, device, strict=True))


def render(folder: Path, images_per_class: int) -> Path:
    """The demo's flowers."""
    write_dataset(folder, variant=VARIANT, images_per_class=images_per_class, seed=SEED, config=FlowerConfig())
    return folder / IMAGES_FOLDER


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images-per-class", type=int, help=f"flowers of each class, {IMAGES_PER_CLASS} by default")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument("--quick", action="store_true", help="fewer flowers and rounds")
    options = parser.parse_args()
    where = environment(PACKAGES)
    each = options.images_per_class or (QUICK_IMAGES_PER_CLASS if options.quick else IMAGES_PER_CLASS)
    with tempfile.TemporaryDirectory() as folder:
        images = render(Path(folder) / "flowers", each)
        overrides = {**SETTINGS, "masks": {**SETTINGS["masks"], "steps": STEPS}}
        config = RunConfig(images=str(images), model=MODEL, overrides=overrides)
        rows = measure(Bench(config, Path(folder)), QUICK_ROUNDS if options.quick else ROUNDS)
    if options.json:
        print(json.dumps({**where, "results": rows}, indent=1))
        return
    for row in rows:
        outside = f", {row['share_outside']:.1%} of the time not on the device" if "share_outside" in row else ""
        print(show(row) + outside)


if __name__ == "__main__":
    main()
