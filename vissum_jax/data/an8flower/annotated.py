"""One picture of the data set with all of its truth: files, and COCO annotations of its parts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from pycocotools import mask as coco_mask

from vissum_jax.data.an8flower.classes import PART_NAMES, FlowerClass
from vissum_jax.data.an8flower.config import FlowerConfig
from vissum_jax.data.an8flower.dataset import IMAGES_FOLDER, TRUTH_FOLDER, label_image, read_labels
from vissum_jax.data.an8flower.render import render_flower

MASKS_FOLDER = "discriminative"

CATEGORIES = tuple(
    {"id": number + 1, "name": name, "supercategory": "flower"} for number, name in enumerate(PART_NAMES)
)
"""COCO's categories: the parts; a category's id is the part's label."""


@dataclass(frozen=True, kw_only=True)
class FlowerImage:
    """Which picture of a data set.

    Attributes:
        flower_class: Its class.
        class_number: The class's place among the variant's classes.
        number: The picture's number within the class.
        seed: Of the data set.
    """

    flower_class: FlowerClass
    class_number: int
    number: int
    seed: int

    @property
    def name(self) -> str:
        """Path within the folder of images, and within those of the truth."""
        return f"{self.flower_class.name}/{self.number:04d}.png"


def write_annotated(image: FlowerImage, out: Path, config: FlowerConfig) -> list[dict[str, Any]]:
    """Render a picture with its truth, unless all of its files are there already.

    Writes ``out/images/<name>``, the picture; ``out/truth/<name>``, the image of part labels; and
    ``out/discriminative/<name>``, a black and white mask of the discriminative parts. Each file appears whole.

    Args:
        image: Which picture.
        out: The data set's folder.
        config: Size and ranges of the variation.

    Returns:
        Its COCO annotations, see `part_annotations`.

    Raises:
        OSError: A file cannot be written, or an earlier label image cannot be read.
    """
    truth = out / TRUTH_FOLDER / image.name
    mask, picture = out / MASKS_FOLDER / image.name, out / IMAGES_FOLDER / image.name
    if picture.is_file() and mask.is_file() and truth.is_file():
        try:
            return part_annotations(image, read_labels(truth))
        except (OSError, SyntaxError, ValueError) as error:  # Pillow calls a broken PNG a syntax error
            raise OSError(
                f"{str(truth)!r} cannot be read ({error}); remove it, so that it is rendered again"
            ) from error
    flower = render_flower(image.flower_class, (image.seed, image.class_number, image.number), config)
    _save_whole(label_image(flower.labels), truth)
    _save_whole(Image.fromarray(flower.discriminative), mask)
    _save_whole(Image.fromarray(flower.image), picture)
    return part_annotations(image, flower.labels)


def part_annotations(image: FlowerImage, labels: UInt8[np.ndarray, "h w"]) -> list[dict[str, Any]]:
    """COCO annotations of the visible parts, without ids.

    Beside COCO's own fields, an annotation has the class's number and name, whether its part is discriminative
    (`discriminative`), and the part's vivid colour (`colour`), which is None for a neutral part.
    """
    colours = dict(image.flower_class.vivid)
    annotations = []
    for category in CATEGORIES:
        visible = labels == category["id"]
        if not visible.any():
            continue
        rle = coco_mask.encode(np.asfortranarray(visible, dtype=np.uint8))
        annotations.append(
            {
                "category_id": category["id"],
                "segmentation": {"size": list(visible.shape), "counts": rle["counts"].decode("ascii")},  # pyright: ignore
                "area": int(visible.sum()),
                "bbox": coco_mask.toBbox(rle).tolist(),
                "iscrowd": 0,
                "class_index": image.class_number,
                "class_name": image.flower_class.name,
                "discriminative": category["name"] in colours,
                "colour": colours.get(category["name"]),
            }
        )
    return annotations


def _save_whole(picture: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    picture.save(partial, format="PNG")
    os.replace(partial, path)
