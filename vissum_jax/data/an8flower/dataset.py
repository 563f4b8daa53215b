"""Write rendered flowers as a folder of class folders, with the labels of their parts beside it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from vissum_jax.data.an8flower.classes import PART_NAMES, FlowerClass, flower_classes
from vissum_jax.data.an8flower.config import FlowerConfig
from vissum_jax.data.an8flower.render import render_flower

IMAGES_FOLDER, TRUTH_FOLDER, DESCRIPTION_FILE = "images", "truth", "flowers.json"
DATASET_FILE = "an8flower.json"
"""Says what the larger data set holds that `vissum data` renders."""

# Colours in which a viewer shows the label images; the values are the labels.
_PALETTE = ((0, 0, 0), (228, 26, 28), (255, 217, 47), (77, 175, 74), (0, 110, 60), (55, 126, 184))


def write_dataset(
    out: Path,
    *,
    variant: str,
    images_per_class: int,
    seed: int,
    config: FlowerConfig,
    progress: Callable[[int], object] | None = None,
) -> None:
    """Render a data set: the same arguments give the same bytes.

    ``out/images/<class>/<number>.png`` are the pictures, a folder of class folders;
    ``out/truth/<class>/<number>.png`` are palette images of the same size whose values are the labels of the
    parts (0 background, k + 1 for part k of `PART_NAMES`); ``out/flowers.json`` says what was rendered.

    Args:
        out: The folder; made if need be, files in it are overwritten.
        variant: See `flower_classes`; one whose classes have one discriminative part each.
        images_per_class: Pictures of each class.
        seed: Every class and picture draws from its own stream, so that a larger set contains a smaller one.
        config: Size and ranges of the variation.
        progress: Called with numbers of pictures done.

    Raises:
        ValueError: If the variant is unknown or a number is out of range.
    """
    if images_per_class < 1:
        raise ValueError(f"`images_per_class` must be positive, got {images_per_class}.")
    if seed < 0:
        raise ValueError(f"`seed` must not be negative, got {seed}.")
    classes = flower_classes(variant)
    description = _description(variant, classes, images_per_class, seed, config)
    for class_number, flower_class in enumerate(classes):
        for folder in (IMAGES_FOLDER, TRUTH_FOLDER):
            (out / folder / flower_class.name).mkdir(parents=True, exist_ok=True)
        for number in range(images_per_class):
            flower = render_flower(flower_class, (seed, class_number, number), config)
            file = Path(flower_class.name) / f"{number:04d}.png"
            Image.fromarray(flower.image).save(out / IMAGES_FOLDER / file)
            label_image(flower.labels).save(out / TRUTH_FOLDER / file)
            if progress is not None:
                progress(1)
    (out / DESCRIPTION_FILE).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


def read_labels(path: Path) -> UInt8[np.ndarray, "h w"]:
    """Read an image of part labels (see `label_image`)."""
    with Image.open(path) as file:
        if file.mode != "P":
            raise ValueError(f"`path` must be a palette image of part labels, {path} has mode {file.mode}.")
        return np.array(file)


def label_image(labels: UInt8[np.ndarray, "h w"]) -> Image.Image:
    """A palette image whose values are the labels and whose colours tell them apart."""
    height, width = labels.shape
    picture = Image.frombytes("P", (width, height), labels.tobytes())
    picture.putpalette([channel for colour in _PALETTE for channel in colour])
    return picture


def _description(
    variant: str, classes: tuple[FlowerClass, ...], images_per_class: int, seed: int, config: FlowerConfig
) -> dict[str, Any]:
    return {
        "variant": variant,
        "images_per_class": images_per_class,
        "seed": seed,
        "part_labels": {name: number + 1 for number, name in enumerate(PART_NAMES)},
        "classes": [{"name": entry.name, "part": entry.part, "colour": entry.colour} for entry in classes],
        "config": dataclasses.asdict(config),
    }
