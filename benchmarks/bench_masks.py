"""Masks per second: against the bare network, the published loop and a strong PyTorch version.

    python benchmarks/bench_masks.py --json [--model googlenet-bvlc --weights FILE] [--quick]

All in one process, in turn, on the same images, weights and number of threads; medians. Three questions:

* overhead: a step of every preset against value and gradient of the bare network with respect to the image at the same
  batch, both in one compiled loop. `ratio` is bare / ours: 1 is none, 1 / 1.10 the target.
* `authors`, some iterations of each of its phases, against the same iterations in PyTorch.
* `compact` from images to judged masks, against the published loop's whole schedule: its rate an iteration, as measured
  here, times the iterations of `authors`, as it would take minutes an image.

`ratio` is the peer's time / ours for as much work, with quartiles over the rounds. Needs the [parity] extra.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.bench_models import find_peer
from benchmarks.measuring import Step, alternate, compared, environment, show
from benchmarks.peers import torch_masks
from benchmarks.steps import bare_descent, endless, shortened
from vissum_jax.masks import compact, phased
from vissum_jax.masks.config import PRESETS, CompactConfig, PhasedConfig
from vissum_jax.masks.solve import predict, solve
from vissum_jax.models import ARCHITECTURES, load_classifier
from vissum_jax.types import Classifier

BATCH = 8
ROUNDS, QUICK_ROUNDS = 7, 3
ITERATIONS, QUICK_ITERATIONS = 12, 6
"""Of a measured loop: long enough that what happens once an image does not count."""
TOLERANCE = 1e-2
"""Mean difference of masks after one iteration a phase. Adam's first steps go by the sign of the gradient: where units
of the network are nearly zero rounding decides it, and from step to step more pixels part. (The tests compare twenty
steps with an oracle in double precision.)"""


def mask_steps(
    name: str, classifier: Classifier, images: jax.Array, class_index: jax.Array, iterations: int
) -> tuple[Step, int]:
    """Some steps of a preset in one compiled program, and how often it evaluates the network with its gradient.

    A search that ends early would not be measured: `compact` may not stop, and its target is out of reach.
    """
    config = PRESETS[name]
    if isinstance(config, PhasedConfig):
        short = shortened(config, iterations)
        program = jax.jit(partial(phased.minimise, config=short))
        return lambda: jax.block_until_ready(program(classifier, images, class_index)), phased.evaluations(short)
    program = jax.jit(partial(compact.search, config=endless(config, iterations)))
    valid = jnp.ones(len(images), bool)
    # Half an evaluation is a judgement without gradient.
    passes = compact.first_gradients(config) + iterations + round(compact.judgements(config) / 2)
    return lambda: jax.block_until_ready(program(classifier, images, class_index, valid)), passes


def overheads(classifier: Classifier, images: np.ndarray, iterations: int, rounds: int) -> list[dict[str, Any]]:
    """A step of every preset beside the bare network's."""
    x = jnp.asarray(images)
    class_index = jnp.zeros(len(x), jnp.int32)
    descend = jax.jit(bare_descent(iterations))

    def floor() -> object:
        return jax.block_until_ready(descend(classifier, x, class_index))

    rows = []
    for name in PRESETS:
        step, evaluations = mask_steps(name, classifier, x, class_index, iterations)
        mine, bare_seconds = alternate([step, floor], rounds)
        # The floor for as many evaluations as the preset has spent.
        scaled = [seconds * evaluations / iterations for seconds in bare_seconds]
        case = f"{classifier.spec.name} {name}, a step, batch {len(x)}, against the bare network"
        rows.append(compared(case, mine, scaled, work=len(x) * evaluations, unit="image-iterations"))
    return rows


def against_torch(
    classifier: Classifier, logits_of: torch_masks.Logits, images: np.ndarray, iterations: int, rounds: int
) -> list[dict[str, Any]]:
    """`authors` beside the two versions in PyTorch; `compact` beside the published loop."""
    config = PRESETS["authors"]
    assert isinstance(config, PhasedConfig)  # noqa: S101
    short = shortened(config, iterations)
    total = phased.evaluations(short)
    bytes_of = np.rint(images * 255).astype(np.uint8)
    class_index = np.asarray(predict(classifier, jnp.asarray(bytes_of))).argmax(axis=1).astype(np.int64)
    x, own = jnp.asarray(images), jnp.asarray(class_index, jnp.int32)
    program = jax.jit(partial(phased.minimise, config=short))
    whole = torch_masks.photographs(images, config)
    one = torch_masks.Photograph(*(tensor[:1] for tensor in whole))

    def authors() -> np.ndarray:
        return np.asarray(program(classifier, x, own))

    def strong() -> np.ndarray:
        return torch_masks.strong(logits_of, whole, class_index, short)

    def published() -> np.ndarray:
        return torch_masks.published(logits_of, one, int(class_index[0]), short)

    def search() -> object:
        compact_config = PRESETS["compact"]
        assert isinstance(compact_config, CompactConfig)  # noqa: S101
        valid = jnp.ones(len(bytes_of), bool)
        return jax.block_until_ready(solve(classifier, jnp.asarray(bytes_of), own, valid, compact_config))

    first = shortened(config, len(config.phases))
    masks = np.asarray(jax.jit(partial(phased.minimise, config=first))(classifier, x, own))
    others = {
        "strong": torch_masks.strong(logits_of, whole, class_index, first),
        "published": torch_masks.published(logits_of, one, int(class_index[0]), first)[None],
    }
    for name, other in others.items():
        difference = float(np.mean(np.abs(masks[: len(other)] - other)))
        if difference > TOLERANCE:
            raise SystemExit(f"the masks of the {name} version differ by {difference:.1e} on average")
    ours, batched, loop = alternate([authors, strong, published], rounds)
    count = len(images)
    loop_all = [count * seconds for seconds in loop]  # one image at a time
    name = classifier.spec.name
    rows = [
        compared(f"{name} authors against {who}", ours, seconds, work=count * total, unit="image-iterations")
        for who, seconds in (("the published loop", loop_all), ("batched PyTorch", batched))
    ]
    searched, loop = alternate([search, published], max(2, rounds // 2))
    schedule = phased.evaluations(config) / total
    full = [count * schedule * seconds for seconds in loop]
    rows.append(compared(f"{name} compact against the published loop", searched, full, work=count, unit="images"))
    return rows


def smooth_images(count: int, side: int) -> np.ndarray:
    """Random pictures with structure at several scales, (count, side, side, 3) in [0, 1], exact in 8 bits."""
    random = np.random.default_rng(0)
    total = np.zeros((count, side, side, 3))
    for cells in (4, 16, 64):
        coarse = random.random((count, cells, cells, 3))
        index = np.arange(side) * cells // side
        total += coarse[:, index][:, :, index] / 3
    return (np.rint(total * 255) / 255).astype(np.float32)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("googlenet-bvlc", "efficientnet-lite0"), default="googlenet-bvlc")
    parser.add_argument("--weights", type=Path, default=Path(__file__).parents[2] / "shared/data/weights")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument("--iterations", type=int, help=f"of a measured loop, {ITERATIONS} by default")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and iterations")
    options = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    where = environment(("jax", "jaxlib", "torch", "numpy"))
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    iterations = options.iterations or (QUICK_ITERATIONS if options.quick else ITERATIONS)
    images = smooth_images(BATCH, ARCHITECTURES[options.model].input_size)
    peer = find_peer(options.model, images, options.weights, Path())
    peer.network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    classifier = load_classifier(options.model, weights=peer.weights)
    rows = against_torch(classifier, peer.logits_of, images, iterations, rounds)
    rows += overheads(classifier, images, iterations, rounds)
    if options.json:
        print(json.dumps({**where, "results": rows}))
        return
    for row in rows:
        print(show(row))


if __name__ == "__main__":
    main()
