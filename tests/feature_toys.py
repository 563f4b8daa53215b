"""A network whose relevant filters are known: one for each colour, among others that nothing depends on much."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from vissum_jax.types import Classifier, ClassifierSpec, Outputs

SIDE = 32
CLASSES = ("red", "green", "blue")
LAYERS = ("blurred", "colours")
MODEL = "feature_toys:make_classifier"
"""How `vissum --model` names the network."""


def _blur(x):
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return sum(padded[:, i : i + SIDE, j : j + SIDE] for i in range(3) for j in range(3)) / 9


@jax.jit
def _apply(params, images):
    """First the image, blurred, with copies of its brightness; then how much of each colour there is."""
    brightness = images.mean(-1, keepdims=True)
    blurred = _blur(jnp.concatenate([images, brightness, 0.5 * brightness, 0.3 * brightness], axis=-1))
    colour, twice = blurred[..., :3], jnp.concatenate([blurred[..., :3]] * 2, axis=-1)
    pure = jax.nn.relu(colour - twice[..., 1:4]) * jax.nn.relu(colour - twice[..., 2:5])
    others = jnp.stack(
        [0.2 * blurred[..., 3], 0.1 * blurred[..., 3] + 0.1 * blurred[..., 4], 0.3 * blurred[..., 5]], axis=-1
    )
    colours = jnp.concatenate([pure, others], axis=-1)[:, ::2, ::2]
    pooled = colours.mean((1, 2))
    return Outputs(
        params["scale"] * pooled @ params["head"], {"colours": colours, "blurred": blurred, "pooled": pooled}
    )


def make_classifier() -> Classifier:
    """The network; without its relevant filters it answers the last class."""
    head = np.concatenate([np.eye(3), np.zeros((3, 3))]).astype(np.float32)
    head[3:, 2] = 1e-3
    spec = ClassifierSpec(
        name="feature-toy",
        input_height=SIDE,
        input_width=SIDE,
        resize_short_side=SIDE,
        class_names=CLASSES,
        feature_endpoint="pooled",
    )
    return Classifier(params={"scale": jnp.float32(500), "head": jnp.asarray(head)}, apply=_apply, spec=spec)


def photograph(class_index: int, seed: int) -> np.ndarray:
    """A square of the class's colour somewhere on grey noise."""
    random = np.random.default_rng([class_index, seed])
    image = random.normal(120, 6, (SIDE, SIDE, 3))
    y, x = random.integers(2, 18, 2)
    image[y : y + 10, x : x + 10] = 40
    image[y : y + 10, x : x + 10, class_index] = random.integers(180, 250)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def write_photographs(root, count):
    """A folder of class folders with so many photographs of each class."""
    for class_index, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True, exist_ok=True)
        for seed in range(count):
            Image.fromarray(photograph(class_index, seed)).save(root / name / f"{seed}.png")
    return root
