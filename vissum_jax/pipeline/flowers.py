"""The data set of rendered flowers: pictures, truth, COCO annotations and splits, rendered by several processes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vissum_jax.data.an8flower import DATASET_VARIANTS, PART_NAMES, FlowerConfig, flower_classes
from vissum_jax.data.an8flower.annotated import CATEGORIES, FlowerImage
from vissum_jax.data.an8flower.dataset import DATASET_FILE
from vissum_jax.data.an8flower.parallel import write_all
from vissum_jax.pipeline.progress import Progress
from vissum_jax.pipeline.splits import write_split
from vissum_jax.runs.store import write_atomically

SPLITS_FOLDER, ANNOTATIONS_FOLDER = "splits", "annotations"
SPLIT_SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}


@dataclass(frozen=True, kw_only=True)
class FlowerSettings:
    """What is rendered: the same settings give the same bytes.

    Attributes:
        variant: One of `DATASET_VARIANTS`, see `flower_classes`.
        images_per_class: Pictures of each class.
        seed: Every class and picture draws from its own stream.
        flowers: Size and variation.
    """

    variant: str
    images_per_class: int = 1000
    seed: int = 0
    flowers: FlowerConfig = field(default_factory=FlowerConfig)

    def __post_init__(self) -> None:
        """Check the variant and the numbers."""
        if self.variant not in DATASET_VARIANTS:
            raise ValueError(f"`variant` must be one of {', '.join(DATASET_VARIANTS)}, got {self.variant!r}.")
        if self.images_per_class < len(SPLIT_SHARES):
            raise ValueError(
                f"`images_per_class` must be at least {len(SPLIT_SHARES)}, one for each of {', '.join(SPLIT_SHARES)}, "
                f"got {self.images_per_class}."
            )
        if self.seed < 0:
            raise ValueError(f"`seed` must not be negative, got {self.seed}.")

    @property
    def images(self) -> tuple[FlowerImage, ...]:
        """All pictures, class by class."""
        return tuple(
            FlowerImage(flower_class=flower_class, class_number=class_number, number=number, seed=self.seed)
            for class_number, flower_class in enumerate(flower_classes(self.variant))
            for number in range(self.images_per_class)
        )

    def plain(self) -> dict[str, Any]:
        """As plain values for JSON, with the classes and the labels of the parts."""
        return {
            "variant": self.variant,
            "images_per_class": self.images_per_class,
            "seed": self.seed,
            "part_labels": {name: number + 1 for number, name in enumerate(PART_NAMES)},
            "classes": [{"name": entry.name, "vivid": dict(entry.vivid)} for entry in flower_classes(self.variant)],
            "flowers": dataclasses.asdict(self.flowers),
        }


@dataclass(frozen=True)
class FlowerCounts:
    """What a finished data set holds.

    Attributes:
        classes: Names of the classes, in the order of their numbers.
        images: Pictures of each split.
        annotations: Annotated parts of each split.
    """

    classes: tuple[str, ...]
    images: dict[str, int]
    annotations: dict[str, int]


def start_flowers(settings: FlowerSettings, out: Path) -> None:
    """Claim a folder for a data set: one that is new or empty, or that holds the same one, finished or not.

    Raises:
        ValueError: It holds something else, or flowers of other settings.
    """
    text = json.dumps(settings.plain(), indent=2) + "\n"
    file = out / DATASET_FILE
    if file.is_file():
        _require_same(file, json.loads(text))
        return
    free = not any(out.iterdir()) if out.is_dir() else not out.exists()
    if not free or (out.is_symlink() and not out.exists()):
        raise ValueError(f"{str(out)!r} holds something else than rendered flowers; name another folder.")
    write_atomically(file, text.encode("utf-8"))


def make_flowers(settings: FlowerSettings, out: Path, progress: Progress, *, processes: int) -> FlowerCounts:
    """Render what is missing of a data set that was started, and annotate it.

    Beside the files of `write_annotated`: ``splits/train.txt``, ``val.txt`` and ``test.txt``, names relative to
    ``images``; ``annotations/train.json`` and so on, in COCO's format. All are the same whatever the number of
    processes.

    Args:
        settings: What to render.
        out: Folder that `start_flowers` claimed.
        progress: Shows pictures done.
        processes: How many render at once.

    Raises:
        ValueError: `processes` is not positive.
        OSError: A file cannot be written, or a process died.
    """
    if processes < 1:
        raise ValueError(f"`processes` must be at least 1, got {processes}.")
    images = settings.images
    split = [_split_of(image.number, settings.images_per_class) for image in images]
    names = {
        part: [image.name for image, own in zip(images, split, strict=True) if own == part] for part in SPLIT_SHARES
    }
    write_split(names, out / SPLITS_FOLDER, about=f"an8Flower {settings.variant}, seed {settings.seed}")
    coco = {part: _CocoFile(settings) for part in SPLIT_SHARES}
    progress.start("flowers", len(images))
    written = write_all(images, out, settings.flowers, processes=processes)
    for image, part, annotated in zip(images, split, written, strict=True):
        coco[part].add(image, annotated)
        progress.advance(1)
    for part, file in coco.items():
        file.write(out / ANNOTATIONS_FOLDER / f"{part}.json")
    progress.finish()
    return FlowerCounts(
        classes=tuple(entry.name for entry in flower_classes(settings.variant)),
        images={part: len(own) for part, own in names.items()},
        annotations={part: len(file.annotations) for part, file in coco.items()},
    )


def _require_same(file: Path, expected: dict[str, Any]) -> None:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{str(file)!r} is damaged: {error}; remove its folder, or name another one.") from error
    if not isinstance(found, dict) or not isinstance(found.get("flowers"), dict) or found.keys() != expected.keys():
        raise ValueError(f"{str(file)!r} describes something else than rendered flowers; name another folder.")
    found, expected = ({**values.pop("flowers"), **values} for values in (found, expected))
    changed = [name for name in expected if found.get(name) != expected[name]]
    if changed:
        # A variant has its classes with it: its name says enough.
        told = [f"{name} {found.get(name)}" for name in changed if name != "classes"] or changed
        raise ValueError(
            f"{str(file.parent)!r} holds flowers of other settings: {', '.join(told)}; name another folder."
        )


def _split_of(number: int, images_per_class: int) -> str:
    """The split of a class's picture: pictures are independent draws, so that their order will do."""
    test = max(1, round(SPLIT_SHARES["test"] * images_per_class))
    val = max(1, round(SPLIT_SHARES["val"] * images_per_class))
    if number >= images_per_class - test:
        return "test"
    return "val" if number >= images_per_class - test - val else "train"


class _CocoFile:
    """Images and annotations of a split; ids count from 1, as COCO's tools want them."""

    def __init__(self, settings: FlowerSettings) -> None:
        self._settings = settings
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []

    def add(self, image: FlowerImage, annotated: Sequence[dict[str, Any]]) -> None:
        """Add a picture."""
        size = self._settings.flowers.size
        self.images.append(
            {
                "id": len(self.images) + 1,
                "file_name": image.name,
                "width": size,
                "height": size,
                "class_index": image.class_number,
                "class_name": image.flower_class.name,
            }
        )
        for annotation in annotated:
            self.annotations.append({"id": len(self.annotations) + 1, "image_id": len(self.images), **annotation})

    def write(self, path: Path) -> None:
        """Write the file, an annotation a line."""
        rest = {
            "info": {"description": f"an8Flower {self._settings.variant}", **self._settings.plain()},
            "licenses": [],
            "categories": list(CATEGORIES),
            "images": self.images,
        }
        lines = ",\n".join(json.dumps(annotation) for annotation in self.annotations)
        write_atomically(path, f'{{"annotations": [\n{lines}\n],\n{json.dumps(rest)[1:]}\n'.encode("ascii"))
