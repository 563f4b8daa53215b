"""Truth as pictures beside photographs: masks of what makes a class, and images of part labels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from vissum_jax.data.an8flower.annotated import MASKS_FOLDER
from vissum_jax.data.an8flower.classes import PART_NAMES, flower_classes
from vissum_jax.data.an8flower.dataset import DATASET_FILE, DESCRIPTION_FILE, TRUTH_FOLDER, read_labels
from vissum_jax.types import Crop


@dataclass(frozen=True)
class TruthMasks:
    """Masks of the pixels that make a photograph's class.

    Attributes:
        folder: Of PNG files named as the photographs are; a pixel above half of white belongs to the mask.
    """

    folder: Path

    def of(self, image: str) -> Bool[np.ndarray, "h w"] | None:
        """The mask of a photograph, in its pixels; None where there is none.

        Raises:
            ValueError: If the file is no picture.
        """
        path = self.folder / PurePosixPath(image).with_suffix(".png")
        if not path.is_file():
            return None
        try:
            with Image.open(path) as file:
                return np.asarray(file.convert("L")) >= 128
        except (OSError, SyntaxError, ValueError) as error:  # Pillow calls a broken PNG a syntax error
            raise ValueError(f"{str(path)!r} is no picture: {error}.") from error


@dataclass(frozen=True)
class PartLabels:
    """Which part every pixel of a photograph shows.

    Attributes:
        folder: Of PNG files named as the photographs are, see `read_labels`.
        names: Names of the parts; part k has the label k + 1.
        discriminative: Numbers of the parts that make a class, by its folder's name.
    """

    folder: Path
    names: tuple[str, ...]
    discriminative: Mapping[str, tuple[int, ...]]

    def of(self, image: str) -> UInt8[np.ndarray, "h w"] | None:
        """Part labels of a photograph, in its pixels; None where there are none.

        Raises:
            ValueError: If the file is no image of labels.
        """
        path = self.folder / PurePosixPath(image).with_suffix(".png")
        if not path.is_file():
            return None
        try:
            return read_labels(path)
        except (OSError, SyntaxError) as error:
            raise ValueError(f"{str(path)!r} is no image of labels: {error}.") from error

    def own_parts(self, image: str) -> tuple[int, ...]:
        """Parts that make the class of a photograph, told by its folder; none of a class that is not known."""
        return self.discriminative.get(PurePosixPath(image).parts[0], ())


def open_truth_masks(folder: Path) -> TruthMasks:
    """A folder of masks, or a data set of `vissum data an8flower`, which has one.

    Raises:
        FileNotFoundError: If there is no such folder.
    """
    inside = folder / MASKS_FOLDER
    if not folder.is_dir():
        raise FileNotFoundError(f"No folder {str(folder)!r} of masks.")
    return TruthMasks(inside if inside.is_dir() else folder)


def open_part_labels(folder: Path) -> PartLabels:
    """Part labels of a data set of `vissum data an8flower`, or of the demo's flowers.

    Raises:
        FileNotFoundError: If the folder holds no such data set.
        ValueError: If its description is damaged.
    """
    found = [folder / name for name in (DATASET_FILE, DESCRIPTION_FILE) if (folder / name).is_file()]
    if not found:
        raise FileNotFoundError(
            f"{str(folder)!r} holds no rendered flowers: no file {DATASET_FILE}; make some with "
            "`vissum data an8flower`."
        )
    try:
        described: Any = json.loads(found[0].read_text(encoding="utf-8"))
        classes = flower_classes(described["variant"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{str(found[0])!r} is damaged: {type(error).__name__}: {error}.") from error
    own = {entry.name: tuple(PART_NAMES.index(part) for part in entry.parts) for entry in classes}
    return PartLabels(folder=folder / TRUTH_FOLDER, names=PART_NAMES, discriminative=own)


def in_mask_geometry(picture: np.ndarray, crop: Crop, height: int, width: int) -> np.ndarray:
    """Values of a photograph's truth under the centres of the pixels that a network sees.

    Args:
        picture: Labels or a mask (h, w), in the photograph's pixels.
        crop: What the network sees of the photograph.
        height: Of the network's input.
        width: Of the network's input.
    """
    y = np.floor(crop.y + (np.arange(height) + 0.5) * crop.h / height).astype(int)
    x = np.floor(crop.x + (np.arange(width) + 0.5) * crop.w / width).astype(int)
    return picture[np.ix_(y, x)]
