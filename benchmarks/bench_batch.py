"""A simulated ImageNet through masks and summaries: throughput, and what a part costs outside the device's work.

    python benchmarks/bench_batch.py --json [--quick] [--classes 1000] [--each 50] [--shard-size 256]

As many classes and photographs as ImageNet's validation set, in tar files, with a network of no layers on images of
32 x 32: what is measured is the engine and the host, which cost a part about as much for any network. Programs are
compiled by a small run before. Of every stage:

- `share_outside_parts`: of the wall time, what is spent outside the work of parts: claims, commits, markers, events.
- `share_outside_device`: of the masks' wall time, what is spent outside the search; photographs are read ahead
  meanwhile. (Proposals and clustering of the summaries are the host's work, so that nothing is said of them.)
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import jax.numpy as jnp
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measuring import Compilations, environment, show
from vissum_jax.pipeline import RunConfig, mask_stage, stages, start_run, summary_stage
from vissum_jax.pipeline.progress import Silent
from vissum_jax.pipeline.run import Run
from vissum_jax.runs.engine import finish_parts
from vissum_jax.runs.log import peak_memory
from vissum_jax.types import Classifier, ClassifierSpec, Outputs

PACKAGES = ("jax", "jaxlib", "numpy", "pyarrow", "opencv-contrib-python-headless")
MODEL = "benchmarks.bench_batch:make_classifier"
SIDE = 32
LEVELS = 10  # of each colour channel: a class a colour
CLASSES, EACH, SHARD_SIZE = LEVELS**3, 50, 256
QUICK_CLASSES, QUICK_EACH, QUICK_SHARD_SIZE = 10, 20, 64
BATCH = 64  # told, so that none is tried out
TAR = 5000  # photographs of a tar file

# Masks are searched as they are in earnest: a shorter search would leave the device less to do than any real run.
OVERRIDES = {"proposals": {"mode": "fast", "min_side": 8, "max_proposals": 20}}


def colour(class_index: int) -> np.ndarray:
    """The colour of a class, in [0, 1]."""
    digits = [class_index // LEVELS**2, class_index // LEVELS % LEVELS, class_index % LEVELS]
    return (np.array(digits) + 0.5) / LEVELS


def _answer(params: Any, images: Any) -> Outputs:
    """Scores: how near the centre's mean colour is to each class's."""
    centre = images[:, SIDE // 4 : -SIDE // 4, SIDE // 4 : -SIDE // 4].mean(axis=(1, 2))
    distance = ((centre[:, None, :] - params["colours"][None]) ** 2).sum(axis=-1)
    return Outputs(logits=-params["gain"] * distance, endpoints={"features": centre})


def make_classifier() -> Classifier:
    """A network of a thousand classes and no layers."""
    spec = ClassifierSpec(
        name="colours",
        input_height=SIDE,
        input_width=SIDE,
        resize_short_side=SIDE,
        class_names=tuple(f"colour {index:03d}" for index in range(CLASSES)),
        feature_endpoint="features",
    )
    colours = jnp.asarray(np.stack([colour(index) for index in range(CLASSES)]), jnp.float32)
    return Classifier(params={"colours": colours, "gain": jnp.float32(2000.0)}, apply=_answer, spec=spec)


def photograph(class_index: int, seed: int) -> bytes:
    """A square of the class's colour on noise."""
    random = np.random.default_rng([class_index, seed])
    image = random.normal(128, 30, (SIDE, SIDE, 3))
    image[SIDE // 4 : -SIDE // 4, SIDE // 4 : -SIDE // 4] = 255 * colour(class_index) + random.normal(0, 2, 3)
    buffer = io.BytesIO()
    Image.fromarray(np.clip(np.rint(image), 0, 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def write_tars(place: Path, classes: int, each: int) -> str:
    """Tar files of so many photographs of each class, in random order as data sets for training have it; IMAGES."""
    place.mkdir(parents=True)
    order = np.random.default_rng(0).permutation(classes * each)
    for number, start in enumerate(range(0, len(order), TAR)):
        with tarfile.open(place / f"part-{number:04d}.tar", "w") as tar:
            for item in order[start : start + TAR]:
                class_index, seed = divmod(int(item), each)
                for ending, data in (("png", photograph(class_index, seed)), ("cls", str(class_index).encode())):
                    member = tarfile.TarInfo(f"{item:06d}.{ending}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
    return f"webdataset:{place}/part-*.tar"


class Clock:
    """Adds up what calls of a function take."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose calls count."""

        def call(*arguments: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds += time.perf_counter() - began

        return call


@contextmanager
def _clocks() -> Iterator[tuple[Clock, Clock]]:
    """Clocks of the work of parts and, within it, of the search for masks."""
    parts, search = Clock(), Clock()

    def finish(stage: str, store: Any, numbers: Any, work: Callable[..., Any], *rest: Any, **options: Any) -> Any:
        return finish_parts(stage, store, numbers, parts.timed(work), *rest, **options)

    with (
        mock.patch.object(stages, "finish_parts", finish),
        mock.patch.object(stages, "extract", search.timed(stages.extract)),
    ):
        yield parts, search


def start(folder: Path, images: str, shard_size: int) -> Run:
    """A run of which nothing is done yet."""
    config = RunConfig(images=images, model=MODEL, keep_mispredicted=True, overrides=OVERRIDES)
    return start_run(config, folder, shard_size=shard_size)


def work_through(run: Run) -> list[dict[str, Any]]:
    """Work on a run; a row of results each stage."""
    rows, images = [], len(run.manifest.entries)
    for stage, work in (("masks", mask_stage), ("summaries", summary_stage)):
        heard, began = Compilations(), time.perf_counter()
        with _clocks() as (parts, search):
            tally = work(run, Silent(), batch_size=BATCH)
        seconds = time.perf_counter() - began
        row = {
            "case": f"simulated ImageNet, {len(run.manifest.classes)} classes, {images} images: {stage}",
            "metric": "throughput",
            "value": images / seconds,
            "unit": "images/s",
            "seconds": seconds,
            "parts": tally.parts,
            "parts_left": tally.left,
            "share_outside_parts": 1 - parts.seconds / seconds,
            "seconds_outside_a_part": (seconds - parts.seconds) / tally.parts,
            "compile_seconds": heard.seconds,
            "peak_memory_bytes": peak_memory(),
        }
        if stage == "masks":
            row["share_outside_device"] = 1 - search.seconds / seconds
        rows.append(row)
    return rows


def measure(folder: Path, *, classes: int, each: int, shard_size: int) -> tuple[Run, list[dict[str, Any]]]:
    """A run from tar files to summaries, and what its stages took, compiled before."""
    work_through(start(folder / "first", write_tars(folder / "few", 2, each), shard_size))
    images = write_tars(folder / "photographs", classes, each)
    began = time.perf_counter()
    run = start(folder / "run", images, shard_size)
    seconds = time.perf_counter() - began
    listed = {
        "case": f"simulated ImageNet, {classes} classes, {len(run.manifest.entries)} images: list and manifest",
        "metric": "time",
        "value": seconds,
        "unit": "s",
    }
    return run, [listed, *work_through(run)]


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, help=f"{CLASSES} by default and at most")
    parser.add_argument("--each", type=int, help=f"photographs of each class, {EACH} by default")
    parser.add_argument("--shard-size", type=int, help=f"photographs of a part, {SHARD_SIZE} by default")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument("--quick", action="store_true", help="a small part of it")
    options = parser.parse_args()
    usual = (QUICK_CLASSES, QUICK_EACH, QUICK_SHARD_SIZE) if options.quick else (CLASSES, EACH, SHARD_SIZE)
    where = environment(PACKAGES)
    with tempfile.TemporaryDirectory() as folder:
        _, rows = measure(
            Path(folder),
            classes=options.classes or usual[0],
            each=options.each or usual[1],
            shard_size=options.shard_size or usual[2],
        )
    if options.json:
        print(json.dumps({**where, "results": rows}, indent=1))
        return
    for row in rows:
        shares = [
            f"{value:.1%} {name[6:].replace('_', ' ')}" for name, value in row.items() if name.startswith("share")
        ]
        print(", ".join([show(row), *shares]))


if __name__ == "__main__":
    main()
