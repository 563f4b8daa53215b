"""Saliency of 8-bit photographs against the bare network's value-and-gradient at the same batch.

    python benchmarks/bench_saliency.py --json [--weights FILE] [--quick]

Both run in one process, alternating, on the same images and cores. `ratio` is the bare network's median time / ours:
1 means that saliency costs nothing beside the network. `program` is the compiled program alone; `stage` is reading,
decoding and scaling files, the program, laying maps back, writing npz and overlays: images/s as the command has them.
Needs the weights of GoogLeNet (bvlc_googlenet_f32.npz).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from vissum_jax._version import __version__
from vissum_jax.deep_inside.saliency import SaliencyConfig, explain
from vissum_jax.models import load_classifier
from vissum_jax.pipeline.memory import device_name
from vissum_jax.pipeline.progress import Silent
from vissum_jax.pipeline.saliency import SaliencyRequest, saliency_stage, start_saliency
from vissum_jax.types import Classifier

BATCH = 8
ROUNDS, QUICK_ROUNDS = 15, 5
PHOTOGRAPH = (500, 375)  # width and height of most photographs of ImageNet


@jax.jit
def bare(classifier: Classifier, images: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Value and gradient of the classes' scores: the floor under any use of a gradient."""

    def total(x: jax.Array) -> jax.Array:
        return jnp.take_along_axis(classifier(x).logits, labels[:, None], axis=1).sum()

    return jax.value_and_grad(total)(images)


def alternate(steps: list[Callable[[], object]], rounds: int) -> list[list[float]]:
    """Seconds of each step, A B A B, after one round that is not counted."""
    seconds: list[list[float]] = [[] for _ in steps]
    for number in range(rounds + 1):
        for step, measured in zip(steps, seconds, strict=True):
            start = time.perf_counter()
            jax.block_until_ready(step())
            if number:
                measured.append(time.perf_counter() - start)
    return seconds


def row(case: str, floor: list[float], mine: list[float]) -> dict:
    """One line of the result."""
    ratios = [a / b for a, b in zip(floor, mine, strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4)
    median, peer = statistics.median(mine), statistics.median(floor)
    return {
        "case": case,
        "metric": "throughput",
        "value": BATCH / median,
        "unit": "images/s",
        "peer": BATCH / peer,
        "ratio": statistics.median(ratios),
        "low": low,
        "high": high,
    }


def write_photographs(root: Path, random: np.random.Generator) -> None:
    """A batch of smooth random pictures as JPEG, in the folder of class 0."""
    (root / "0").mkdir(parents=True)
    for number in range(BATCH):
        coarse = random.integers(0, 256, (15, 20, 3)).astype(np.uint8)
        Image.fromarray(coarse).resize(PHOTOGRAPH, Image.Resampling.BICUBIC).save(root / "0" / f"{number}.jpg")


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).parents[2] / "shared/data/weights/bvlc_googlenet_f32.npz"
    parser.add_argument("--weights", type=Path, default=default)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds instead of {ROUNDS}")
    options = parser.parse_args()
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    classifier = load_classifier("googlenet-bvlc", weights=options.weights)
    side = classifier.spec.input_height
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (BATCH, side, side, 3)).astype(np.uint8)
    labels = random.integers(0, 1000, BATCH)
    floats = jnp.asarray(images, jnp.float32) / 255
    config = SaliencyConfig()

    def program() -> object:
        return explain(classifier, images[:, None], labels, top=0, with_label=True, config=config)

    with tempfile.TemporaryDirectory() as folder:
        write_photographs(Path(folder) / "photographs", random)
        request = SaliencyRequest(
            images=str(Path(folder) / "photographs"),
            model="googlenet-bvlc",
            weights=str(options.weights),
            keep_mispredicted=True,
        )
        opened = start_saliency(request, Path(folder) / "run")

        def stage() -> object:
            opened.store.discard(0)
            return saliency_stage(opened, Silent(), batch_size=BATCH)

        floor, mine, whole = alternate([lambda: bare(classifier, floats, labels), program, stage], rounds)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    values = {
        "device": device_name(),
        "versions": {"vissum-jax": __version__, "jax": jax.__version__},
        "commit": commit.stdout.strip(),
        "results": [
            row(f"googlenet-bvlc saliency, batch {BATCH}, program", floor, mine),
            row(f"googlenet-bvlc saliency, batch {BATCH}, stage", floor, whole),
        ],
    }
    if options.json:
        print(json.dumps(values))
        return
    for line in values["results"]:
        print(
            f"{line['case']}: {line['value']:.1f} images/s, bare {line['peer']:.1f}, ratio {line['ratio']:.2f} "
            f"({line['low']:.2f} to {line['high']:.2f})"
        )


if __name__ == "__main__":
    main()
