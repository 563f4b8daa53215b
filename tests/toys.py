"""A network and photographs small enough that whole runs take seconds.

The photographs show blobs on noise; the network answers the class whose colour stands out. Blurring a blob takes
its colour away, so masks are known: they cover the blobs.
"""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from vissum_jax.masks.config import CompactConfig
from vissum_jax.pipeline import StageConfigs
from vissum_jax.proposals import ProposalConfig
from vissum_jax.types import Classifier, ClassifierSpec, Outputs

SIDE = 64
CLASSES = ("red disc", "green square", "blue bar", "grey noise")
MODEL = "toys:make_classifier"
"""How `vissum --model` names the network; the tests' folder is on the Python path."""

# Few steps and a fast search for proposals, which are as small as the toys.
SETTINGS = """
[masks]
steps = 30
first_bisections = 3
last_bisections = 2
warm_start_sigma = 3.0

[proposals]
mode = "fast"
min_side = 8
max_proposals = 100
"""


def answer(params, images) -> Outputs:
    """Scores: how much the class's colour stands out, and a constant for "grey noise"."""
    others = jnp.stack([images[..., jnp.array(pair)].max(-1) for pair in ((1, 2), (0, 2), (0, 1))], axis=-1)
    excess = jax.nn.softplus((images - others - params["threshold"]) * 40.0) / 40.0
    colour = params["gain"] * excess.mean(axis=(1, 2))
    nothing = jnp.full((len(images), 1), params["nothing"])
    strongest = colour.max(axis=1, keepdims=True)
    # NaN where the strongest colour is out of bounds.
    broken = jnp.sqrt(params["breaks_above"] - strongest) + jnp.sqrt(strongest - params["breaks_below"])
    logits = params["scale"] * jnp.concatenate([colour, nothing], axis=1)
    return Outputs(logits=logits + 0.0 * broken, endpoints={"features": colour})


def make_classifier(**changes: float) -> Classifier:
    """The network, with other parameters on request; all of them share one compiled program."""
    spec = ClassifierSpec(
        name="toy",
        input_height=SIDE,
        input_width=SIDE,
        resize_short_side=SIDE,
        class_names=CLASSES,
        feature_endpoint="features",
    )
    values = {
        "threshold": 0.4,
        "gain": 300.0,
        "nothing": 6.0,
        "scale": 1.0,
        "breaks_above": 1e6,
        "breaks_below": -1e6,
        **changes,
    }
    return Classifier(params={name: jnp.float32(value) for name, value in values.items()}, apply=answer, spec=spec)


def make_swapped_classifier() -> Classifier:
    """The network, fed with blue, green, red by mistake."""
    classifier = make_classifier()
    return dataclasses.replace(classifier, apply=lambda params, images: answer(params, images[..., ::-1]))


def photograph(class_index: int, seed: int) -> np.ndarray:
    """A photograph with two blobs of the class's colour and shape, at random places, on grey noise."""
    random = np.random.default_rng([class_index, seed])
    image = random.normal(120, 4, (SIDE, SIDE, 3))
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for corner in random.permutation(4)[:2]:
        y, x = 16 + 32 * (corner // 2) + random.integers(-3, 4), 16 + 32 * (corner % 2) + random.integers(-3, 4)
        dy, dx = np.abs(rows - y), np.abs(columns - x)
        shape = (np.hypot(dy, dx) < 10, np.maximum(dy, dx) < 9, (dy < 10) & (dx < 6))
        colour = np.full(3, 30.0)
        colour[class_index] = 230.0
        image[shape[class_index]] = colour + random.normal(0, 4, 3)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def write_photographs(root: Path, counts: dict[int, int]) -> Path:
    """A folder of class folders with so many photographs of each class."""
    for class_index, count in counts.items():
        folder = root / CLASSES[class_index].replace(" ", "_")
        folder.mkdir(parents=True, exist_ok=True)
        for seed in range(count):
            Image.fromarray(photograph(class_index, seed)).save(folder / f"{seed}.png")
    return root


def overrides() -> dict:
    """`SETTINGS` as a run's overrides."""
    return tomllib.loads(SETTINGS)


def mask_config() -> CompactConfig:
    """The masks' part of `SETTINGS`."""
    return CompactConfig(**overrides()["masks"])


def stage_configs() -> StageConfigs:
    """The rest of `SETTINGS`."""
    return StageConfigs(proposals=ProposalConfig(**overrides()["proposals"]))


class Recorder:
    """Progress that remembers its totals and what was done."""

    def __init__(self):
        self.stages, self.running = [], False

    def start(self, stage, total):
        assert not self.running, "a stage begins after the one before it has ended"
        self.stages.append([stage, total, 0])
        self.running = True

    def advance(self, count):
        assert self.running
        self.stages[-1][2] += count

    def finish(self):
        assert self.running
        self.running = False

    def assert_complete(self):
        assert not self.running
        assert all(total == done for _, total, done in self.stages), self.stages
