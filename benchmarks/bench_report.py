"""How long the report of a large run takes, how much memory, and how large it is.

    python benchmarks/bench_report.py --json [--classes N] [--photographs N] [--quick] [--keep DIR]

The run is made up: smooth random photographs with grain, of the size that ImageNet's have, masks and summaries as
many as runs have. `vissum report` then runs in a process of its own. ImageNet is `--classes 1000`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measuring import environment, show
from vissum_jax.data import Decoded
from vissum_jax.pipeline import RunConfig, start_run
from vissum_jax.pipeline.run import Run
from vissum_jax.runs.rows import mask_table, summary_table
from vissum_jax.types import (
    Classifier,
    ClassifierSpec,
    ClassSummaries,
    ClusterDiagnostics,
    MaskBatch,
    MaskStatus,
    Member,
    Outputs,
    Summary,
)

SIDE = 224
PHOTOGRAPH = (500, 375)  # width and height of most photographs of ImageNet
KEPT, DROPPED = (14, 12, 10, 8, 6), (5, 4, 3, 3)
"""Members of a class's summaries, and of its clusters that are none, as far as there are photographs."""
BOX = 64
MODEL = "bench_report:make_classifier"
CLASSES = 1000
PACKAGES = ("numpy", "pillow", "opencv-contrib-python-headless", "jinja2", "pyarrow")
# The kernel's own account of the process: what `getrusage` says of memory includes that of the parent before `exec`.
_CHILD = """
import time
from vissum_jax.cli.main import main
try:
    main()
finally:
    memory = dict(line.split(":", 1) for line in open("/proc/self/status"))
    print(time.process_time(), memory["VmHWM"].split()[0])
"""


class Report(NamedTuple):
    """What making a report took (by the clock, and of all processors together), and what it is."""

    seconds: float
    cpu_seconds: float
    peak_bytes: float
    bytes: int
    files: int


def make_classifier() -> Classifier:
    """A network that no report asks anything."""
    spec = ClassifierSpec(
        name="nothing",
        input_height=SIDE,
        input_width=SIDE,
        resize_short_side=SIDE,
        class_names=tuple(f"class_{number}" for number in range(CLASSES)),
        feature_endpoint="features",
    )
    return Classifier({}, _answer, spec)


def _answer(params: object, images: Float[Array, "b h w 3"]) -> Outputs:
    logits = jnp.zeros((len(images), CLASSES))
    return Outputs(logits, {"features": logits})


def write_run(root: Path, classes: int, photographs: int) -> Run:
    """A finished run in ``root/run``, its photographs in ``root/photographs``; all classes show the same ones."""
    random = np.random.default_rng(0)
    first = root / "photographs" / "0"
    first.mkdir(parents=True)
    for number in range(photographs):
        _photograph(random).save(first / f"{number:03}.jpg", quality=90)
    for index in range(1, classes):
        folder = first.parent / str(index)
        folder.mkdir()
        for path in first.iterdir():
            os.link(path, folder / path.name)
    run = start_run(RunConfig(images=str(first.parent), model=MODEL), root / "run")
    decoded = [found for found in run.source.read(run.source.of_class(0), run.classifier.spec, workers=2)]
    known = [found for found in decoded if isinstance(found, Decoded)]
    masks = _masks(random, photographs)
    for number, (start, stop) in enumerate(run.manifest.shards):
        entries = run.source.entries[start:stop]
        own = np.arange(start, stop) % photographs  # entries are sorted by class
        index = np.array([entry.class_index for entry in entries])
        batch = dataclasses.replace(masks.select(own), class_index=index, predicted_index=index)
        names = [entry.class_name for entry in entries]
        crops = [known[row].crop for row in own]
        hashes = [known[row].content_hash for row in own]
        run.masks.commit(number, mask_table(batch, [entry.image for entry in entries], names, crops, hashes))
    for index, name in run.manifest.classes.items():
        images = [entry.image for entry in run.source.of_class(index)]
        run.summaries.commit(index, summary_table(_summaries(random, index, photographs), name, images))
    return run


def make_report(run: Path) -> Report:
    """Run ``vissum report`` in a process of its own, as long as it takes."""
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    start = time.perf_counter()
    process = subprocess.run(
        [sys.executable, "-c", _CHILD, "report", str(run), "--json"],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    seconds = time.perf_counter() - start
    cpu_seconds, peak_kilobytes = map(float, process.stdout.split()[-2:])
    files = [path for path in (run / "report").rglob("*") if path.is_file()]
    return Report(seconds, cpu_seconds, 1024 * peak_kilobytes, sum(path.stat().st_size for path in files), len(files))


def _photograph(random: np.random.Generator) -> Image.Image:
    """Large shapes, small ones, and grain."""
    width, height = PHOTOGRAPH
    picture = np.zeros((height, width, 3))
    for cells, contrast in ((4, 45.0), (16, 25.0), (96, 14.0)):
        coarse = random.normal(0, contrast, (max(cells * 3 // 4, 1), cells, 3))
        for channel in range(3):
            layer = Image.fromarray(coarse[..., channel].astype(np.float32))
            picture[..., channel] += layer.resize(PHOTOGRAPH, Image.Resampling.BICUBIC)
    picture += random.normal(128, 3, picture.shape)
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def _masks(random: np.random.Generator, count: int) -> MaskBatch:
    """Two or three blobs with a wavy border in each photograph."""
    y, x = np.mgrid[:SIDE, :SIDE]
    salient = np.zeros((count, SIDE, SIDE), bool)
    for mask in salient:
        for _ in range(random.integers(2, 4)):
            centre, radius = random.uniform(50, SIDE - 50, 2), random.uniform(18, 40)
            angle = np.arctan2(y - centre[0], x - centre[1])
            wave = 1 + 0.15 * np.sin(7 * angle + random.uniform(0, 6))
            mask |= np.hypot(y - centre[0], x - centre[1]) < radius * wave
    one = np.ones(count, np.float32)
    area = salient.mean((1, 2)).astype(np.float32)
    return MaskBatch(
        soft=1.0 - salient,
        salient=salient,
        status=(MaskStatus.OK,) * count,
        reason=("",) * count,
        class_index=np.zeros(count, int),
        predicted_index=np.zeros(count, int),
        p_original=0.9 * one,
        p_soft=0.01 * one,
        p_binary=0.005 * one,
        area=area,
        transfer_drop=0.9 * one,
        components=2 * np.ones(count, int),
        passes=160 * np.ones(count, int),
    )


def _summaries(random: np.random.Generator, index: int, photographs: int) -> ClassSummaries:
    def member(image: int, rank: int) -> Member:
        x, y = random.integers(0, SIDE - BOX, 2).tolist()
        return Member(
            image=image,
            box=(x, y, BOX, BOX),
            rank=rank,
            similarity=2.0 / (rank + 1),
            ssim=0.5,
            exemplar=rank == 0,
            kept=rank % 7 != 6,
        )

    def summary(number: int, size: int) -> Summary:
        images = random.permutation(photographs)[:size].tolist()
        kept = number < len(KEPT)
        return Summary(
            number=number,
            members=tuple(member(image, rank) for rank, image in enumerate(images)),
            ssim=0.5,
            kept=kept,
            reason="" if kept else "too unlike each other",
            importance=0.5 / (number + 1),
        )

    return ClassSummaries(
        class_index=index,
        summaries=tuple(summary(number, size) for number, size in enumerate((*KEPT, *DROPPED))),
        diagnostics=ClusterDiagnostics(images=photographs, proposals=20 * photographs, clustered=3 * photographs),
    )


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=50)
    parser.add_argument("--photographs", type=int, default=50, help="of each class")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument("--quick", action="store_true", help="5 classes")
    parser.add_argument("--keep", type=Path, help="write the run here and leave it")
    options = parser.parse_args()
    where = environment(PACKAGES)
    classes = 5 if options.quick else options.classes
    if not 1 <= classes <= CLASSES:
        parser.error(f"--classes must be in [1, {CLASSES}], got {classes}.")
    with tempfile.TemporaryDirectory() as folder:
        run = write_run(options.keep or Path(folder), classes, options.photographs)
        found = make_report(run.folder)
    case = f"report, {classes} classes x {options.photographs} photographs"
    rows: list[dict[str, Any]] = [
        {"case": case, "metric": "time", "value": found.seconds, "unit": "s"},
        {"case": case, "metric": "processor time", "value": found.cpu_seconds, "unit": "s"},
        {"case": case, "metric": "peak memory", "value": found.peak_bytes / 1e6, "unit": "MB"},
        {"case": case, "metric": "size", "value": found.bytes / 1e6, "unit": "MB"},
        {"case": case, "metric": "files", "value": found.files, "unit": "files"},
    ]
    if options.json:
        print(json.dumps({**where, "results": rows}))
        return
    for row in rows:
        print(show(row))


if __name__ == "__main__":
    main()
