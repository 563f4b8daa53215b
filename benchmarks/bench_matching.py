"""From proposals to summaries for a class of 100 images, against the NumPy oracle on the same cores.

    python benchmarks/bench_matching.py --json [--folder PHOTOGRAPHS] [--images 100] [--quick]

Timed as a whole, compilation included: HOG of up to 500 boxes an image, all pairs by local offset matching (4,950 and
100 of an image with itself), redundant boxes, affinity propagation, structural similarities. The oracle is that of the
tests, written box by box and pixel by pixel. It is measured on a few boxes and on one pair a round, in turn with ours,
and scaled to the class; what both have in common (everything after the match scores) counts for both in full. `ratio`
is the oracle's time / ours, `low` and `high` its quartiles over the rounds.

Beside the oracle stands LOM in vectorised NumPy (benchmarks/peers/numpy_matching.py), for a pair: what one gains over
a good program without a compiler. Ours computes the rows of salient boxes alone, which is all that clustering needs,
while all boxes vote; `one pair, all rows` is the time without that.

Images are synthetic, some parts in random places on noise, or the first of --folder, with selective search (not timed).
A quarter of the boxes is salient: those that show a part, or those nearest to the centre.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measuring import commit
from benchmarks.peers import numpy_matching
from tests.oracles import hog as hog_oracle
from tests.oracles import matching as oracle
from tests.oracles import resize as resize_oracle
from vissum_jax._version import __version__
from vissum_jax.matching import Described, MatchingConfig, load_whitening, lom, match_class, whitened_descriptors
from vissum_jax.pipeline.memory import device_name
from vissum_jax.proposals import ProposalConfig, propose_batch, prune_redundant
from vissum_jax.runs.log import peak_memory
from vissum_jax.summaries import SummaryConfig, summarize_class
from vissum_jax.types import ProposalBatch

SIDE, BOXES = 224, 500
SALIENT = BOXES // 4
PARTS, PART_SIDE = 6, 56
IMAGES, QUICK_IMAGES = 100, 12
ROUNDS, QUICK_ROUNDS = 5, 2
ORACLE_BOXES = 4
TARGET_RATIO, TARGET_BYTES = 20, 3e9


def texture(random: np.random.Generator, side: int, grain: int) -> np.ndarray:
    """Coloured squares with some noise on them."""
    coarse = random.integers(0, 256, (side // grain, side // grain, 3))
    return np.kron(coarse, np.ones((grain, grain, 1))) + random.normal(0, 8, (side, side, 3))


def synthetic(count: int) -> tuple[np.ndarray, ProposalBatch]:
    """The same parts in random places, boxes around them and boxes anywhere."""
    random = np.random.default_rng(0)
    parts = [texture(random, PART_SIDE, 8) for _ in range(PARTS)]
    images = np.stack([texture(random, SIDE, 4) * 0.3 + 90 for _ in range(count)])
    boxes = np.zeros((count, BOXES, 4), np.int32)
    for row in range(count):
        corners = random.integers(8, SIDE - PART_SIDE - 8, (PARTS, 2))
        for (x, y), part in zip(corners, parts, strict=True):
            images[row, y : y + PART_SIDE, x : x + PART_SIDE] = part
        around = corners[random.integers(0, PARTS, SALIENT)]
        jitter = random.integers(-8, 9, (SALIENT, 4)) + np.array([0, 0, PART_SIDE, PART_SIDE])
        boxes[row, :SALIENT] = np.concatenate([around, np.zeros_like(around)], axis=1) + jitter
        sides = random.integers(20, 180, (BOXES - SALIENT, 2))
        boxes[row, SALIENT:] = np.concatenate([random.integers(0, SIDE - sides), sides], axis=1)
    boxes[..., 2:] = np.minimum(boxes[..., 2:], SIDE - boxes[..., :2])
    valid = np.ones((count, BOXES), bool)
    salient = np.tile(np.arange(BOXES) < SALIENT, (count, 1))
    # Noise of every photograph's own, or boxes that show the same part would be equally good to the last digit.
    images += random.normal(0, 6, images.shape)
    return np.clip(images, 0, 255).astype(np.uint8), ProposalBatch(boxes=boxes, valid=valid, salient=salient)


def photographs(folder: Path, count: int) -> tuple[np.ndarray, ProposalBatch]:
    """The first photographs of a folder with their proposals."""
    images = []
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))[:count]:
        with Image.open(path) as file:
            image = file.convert("RGB")
        left, top = (max(a - min(image.size), 0) // 2 for a in image.size)
        square = image.crop((left, top, left + min(image.size), top + min(image.size)))
        images.append(np.asarray(square.resize((SIDE, SIDE), Image.Resampling.BILINEAR)))
    if len(images) < count:
        raise SystemExit(f"{str(folder)!r} holds {len(images)} photographs, fewer than {count}")
    shown = np.stack(images)
    found = propose_batch(shown, np.zeros(shown.shape[:3], bool), ProposalConfig(max_proposals=BOXES))
    middle = np.abs(found.boxes[..., :2] + found.boxes[..., 2:] / 2 - SIDE / 2).max(axis=-1)
    middle = np.where(found.valid, middle, np.inf)
    rank = middle.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    salient = found.valid & (rank < found.valid.sum(axis=1, keepdims=True) // 4)
    return shown, ProposalBatch(boxes=found.boxes, valid=found.valid, salient=salient)


def whole_class(images: np.ndarray, proposals: ProposalBatch) -> dict[str, float]:
    """Seconds of each half of our work on the class, and what came out."""
    start = time.perf_counter()
    matches = match_class(images, proposals, MatchingConfig())
    matched = time.perf_counter()
    kept = matches.select(prune_redundant(matches.boxes, matches.image_ids, matches.best_mean, ProposalConfig()))
    result = summarize_class(images, 0, kept.similarity, kept.boxes, kept.image_ids, SummaryConfig())
    return {
        "matching": matched - start,
        "clustering": time.perf_counter() - matched,
        "salient": len(matches),
        "clustered": len(kept),
        "converged": result.diagnostics.converged,
        "summaries": len(result.kept),
    }


def oracle_descriptors(image: np.ndarray, boxes: np.ndarray, whitening: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Whitened HOG, pixel by pixel."""
    mean, factor = whitening
    out = []
    for x, y, w, h in boxes.astype(float):
        rows = resize_oracle.sampling_matrix(y - h / 8, h * 1.25, 80, 80, SIDE)
        columns = resize_oracle.sampling_matrix(x - w / 8, w * 1.25, 80, 80, SIDE)
        crop = np.einsum("yh,hwc,xw->yxc", rows, image, columns, optimize=True)
        out.append(factor @ (hog_oracle.hog(crop).ravel() - mean))
    return np.array(out)


def alternate(steps: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each step, A B C A B C; the compiled ones have run before."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            jax.block_until_ready(step())
            seconds[name].append(time.perf_counter() - start)
    return seconds


def compare(images: np.ndarray, proposals: ProposalBatch, rounds: int) -> tuple[dict[str, list[float]], float]:
    """Seconds per box and per pair of ours and of the others, and the largest difference of a pair's scores."""
    config, whitening = MatchingConfig(), load_whitening(MatchingConfig().whitening_ridge)
    describe, score = jax.jit(whitened_descriptors), jax.jit(lom, static_argnames=("config", "rows"))
    on_device = jax.device_put(whitening)
    order = np.argsort(~proposals.salient[:2], axis=1, kind="stable")
    boxes = np.take_along_axis(proposals.boxes[:2], order[..., None], axis=1)
    valid = np.take_along_axis(proposals.valid[:2], order, axis=1)
    features = np.stack([np.asarray(describe(images[k], boxes[k], *on_device)) for k in range(2)])
    ours = [Described(*map(jax.numpy.asarray, (boxes[k], valid[k], features[k]))) for k in range(2)]
    plain = [(boxes[k][valid[k]], features[k][valid[k]].astype(np.float64)) for k in range(2)]
    rows = int(2 ** np.ceil(np.log2(proposals.salient.sum(axis=1).max())))
    exact, scores = oracle.lom(*plain), np.asarray(score(*ours, config, rows=None))
    difference = np.abs(scores[valid[0]][:, valid[1]] - exact).max() / exact.max()
    vectorised = numpy_matching.lom(*((b, f.astype(np.float32)) for b, f in plain), config)
    if np.abs(vectorised - exact).max() > 1e-3 * exact.max():
        raise SystemExit("the vectorised program does not compute the same")
    jax.block_until_ready(score(*ours, config, rows=rows))
    double = (whitening.mean.astype(np.float64), whitening.factor.astype(np.float64))
    steps = {
        "features": lambda: describe(images[0], boxes[0], *on_device),
        "oracle features": lambda: oracle_descriptors(images[0].astype(np.float64), boxes[0][:ORACLE_BOXES], double),
        "pair": lambda: score(*ours, config, rows=rows),
        "oracle pair": lambda: oracle.lom(*plain),
        "pair, all rows": lambda: score(*ours, config, rows=None),
        "vectorised pair": lambda: numpy_matching.lom(*((b, f.astype(np.float32)) for b, f in plain), config),
    }
    seconds = alternate(steps, rounds)
    seconds["features"] = [s / len(boxes[0]) for s in seconds["features"]]
    seconds["oracle features"] = [s / ORACLE_BOXES for s in seconds["oracle features"]]
    return seconds, float(difference)


def ratio_row(case: str, ours: list[float], theirs: list[float], peer: str) -> dict:
    """Medians, and quartiles of the ratio over the rounds."""
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4)
    value, other = statistics.median(ours), statistics.median(theirs)
    return {
        "case": case,
        "metric": "time",
        "value": value,
        "unit": "s",
        "peer": other,
        "peer_name": peer,
        "ratio": other / value,
        "low": low,
        "high": high,
    }


def results(images: np.ndarray, proposals: ProposalBatch, rounds: int) -> list[dict]:
    """All rows."""
    whole = whole_class(images, proposals)
    peak = peak_memory()
    seconds, difference = compare(images, proposals, rounds)
    count = len(images)
    pairs, boxes = count * (count + 1) // 2, int(proposals.valid.sum())
    mine = whole["matching"] + whole["clustering"]
    theirs = [
        boxes * per_box + pairs * per_pair + whole["clustering"]
        for per_box, per_pair in zip(seconds["oracle features"], seconds["oracle pair"], strict=True)
    ]
    case = f"{count} images, {boxes} boxes, {pairs} pairs"
    return [
        ratio_row(f"{case}, features to summaries", [mine] * rounds, theirs, "oracle, scaled"),
        {"case": case, "metric": "peak memory", "value": peak, "unit": "bytes"},
        *(
            {"case": case, "metric": f"time of {name}", "value": whole[name], "unit": "s"}
            for name in ("matching", "clustering")
        ),
        *({"case": case, "metric": name, "value": whole[name], "unit": "boxes"} for name in ("salient", "clustered")),
        {"case": case, "metric": "converged", "value": whole["converged"], "unit": ""},
        {"case": case, "metric": "kept", "value": whole["summaries"], "unit": "summaries"},
        ratio_row("features of one box", seconds["features"], seconds["oracle features"], "oracle"),
        ratio_row("one pair, salient rows", seconds["pair"], seconds["oracle pair"], "oracle"),
        ratio_row("one pair, all rows", seconds["pair, all rows"], seconds["oracle pair"], "oracle"),
        ratio_row("one pair, all rows", seconds["pair, all rows"], seconds["vectorised pair"], "vectorised NumPy"),
        {
            "case": "one pair",
            "metric": "largest difference from the oracle",
            "value": difference,
            "unit": "largest score",
        },
    ]


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="photographs instead of synthetic images")
    parser.add_argument("--images", type=int, help=f"images of the class, {IMAGES} by default")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_IMAGES} images and {QUICK_ROUNDS} rounds")
    options = parser.parse_args()
    measured = commit()
    count = options.images or (QUICK_IMAGES if options.quick else IMAGES)
    images, proposals = photographs(options.folder, count) if options.folder else synthetic(count)
    rows = results(images, proposals, QUICK_ROUNDS if options.quick else ROUNDS)
    if options.json:
        print(
            json.dumps(
                {
                    "device": f"{device_name()}, {len(os.sched_getaffinity(0))} cores",
                    "versions": {"vissum-jax": __version__, "jax": jax.__version__, "numpy": np.__version__},
                    "commit": measured,
                    "images": "photographs" if options.folder else "synthetic",
                    "targets": {"ratio": TARGET_RATIO, "peak_bytes": TARGET_BYTES},
                    "results": rows,
                },
                indent=1,
            )
        )
        return
    for row in rows:
        ratio = f", {row['peer_name']} {row['peer']:.4g} s, ratio {row['ratio']:.1f}" if "ratio" in row else ""
        print(f"{row['case']}: {row['metric']} {row['value']:.4g} {row['unit']}{ratio}")


if __name__ == "__main__":
    main()
