"""Does a network with these weights recognise labelled photographs as well as its makers say?

Wrong channel order, normalisation or class order leaves a network that runs and answers nonsense; its accuracy is
what shows it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8
from scipy.stats import binomtest

from vissum_jax.data import FolderSource, ImageEntry, LabelIndex, UnreadableImage, open_folder
from vissum_jax.data.folder import EXTENSIONS
from vissum_jax.pipeline.memory import default_batch_size
from vissum_jax.pipeline.progress import Progress
from vissum_jax.types import Classifier, ClassifierSpec

TOP = 5
CONFIDENCE = 0.95
MARGIN = 0.15
"""How far below the published accuracy the interval's upper end must lie to be called far below. Photographs from
elsewhere are easier or harder than ImageNet's by about as much; a wrong normalisation costs more."""

_LABELLED_FILE = re.compile(r"(n\d{8})[-_ .].*", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """How many of some photographs a network recognises.

    Attributes:
        images: Photographs that could be read.
        top1: How many have the right class as the first answer.
        top5: How many have it among the first five.
    """

    images: int
    top1: int
    top5: int

    @property
    def top1_interval(self) -> tuple[float, float]:
        """Wilson's interval of the share of right first answers, at 95 %; (0, 1) without photographs."""
        if self.images == 0:
            return 0.0, 1.0
        interval = binomtest(self.top1, self.images).proportion_ci(CONFIDENCE, method="wilson")
        return float(interval.low), float(interval.high)

    def plain(self) -> dict[str, Any]:
        """Counts and shares for JSON."""
        low, high = self.top1_interval
        shares = {name: getattr(self, name) / self.images if self.images else None for name in ("top1", "top5")}
        return {"images": self.images, **shares, "top1_low": low, "top1_high": high}


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What a network recognises.

    Attributes:
        total: Over all photographs.
        by_class: Over the photographs of each class, by index.
        class_names: Names of these classes, by index.
        unreadable: Photographs that could not be read, and why.
        known_top1: Published top-1 accuracy on ImageNet's validation images, as a share, or None.
    """

    total: Recognised
    by_class: dict[int, Recognised]
    class_names: dict[int, str]
    unreadable: tuple[tuple[str, str], ...]
    known_top1: float | None

    @property
    def far_below(self) -> bool:
        """Whether the interval's upper end + `MARGIN` is below the published accuracy."""
        return self.known_top1 is not None and self.total.top1_interval[1] + MARGIN < self.known_top1

    def plain(self) -> dict[str, Any]:
        """All figures for JSON."""
        return {
            **self.total.plain(),
            "known_top1": self.known_top1,
            "far_below": self.far_below,
            "unreadable": [{"image": image, "reason": reason} for image, reason in self.unreadable],
            "classes": [
                {"class_index": index, "class_name": self.class_names[index], **counts.plain()}
                for index, counts in self.by_class.items()
            ],
        }


def open_labelled(
    root: Path | str, spec: ClassifierSpec, *, classes: Sequence[str] = (), limit: int | None = None
) -> FolderSource:
    """List labelled photographs: class folders, or one folder of files that begin with their WordNet id.

    Args:
        root: The image folder; see `open_folder`.
        spec: The network whose classes the labels name.
        classes: Classes to take: names, WordNet ids or indices. Empty: all.
        limit: The most photographs of a class; None: all.

    Raises:
        FileNotFoundError: No such folder.
        ValueError: A label that names no class, or nothing to take.
    """
    root = Path(root)
    if limit is not None and limit < 1:
        raise ValueError(f"`limit` must be at least 1, got {limit}.")
    files = sorted(path.name for path in root.iterdir() if path.suffix.lower() in EXTENSIONS) if root.is_dir() else []
    files = [name for name in files if not name.startswith(".") and not (root / name).is_dir()]
    if not files or any(path.is_dir() and not path.name.startswith(".") for path in root.iterdir()):
        return open_folder(root, spec, classes=classes, limit=limit)
    labels = LabelIndex(spec)
    wanted = {labels.resolve(name) for name in classes}
    by_class: dict[int, list[str]] = {}
    for name in files:
        stated = _LABELLED_FILE.fullmatch(name)
        if stated is None:
            raise ValueError(
                f"{str(root)!r} has no class folders, and its file {name!r} does not begin with a WordNet id."
            )
        by_class.setdefault(labels.resolve(stated[1]), []).append(name)
    entries = tuple(
        ImageEntry(image=name, class_index=index, class_name=labels.name(index))
        for index in sorted(by_class)
        if not wanted or index in wanted
        for name in by_class[index][:limit]
    )
    if not entries:
        raise ValueError(f"{str(root)!r} holds no photograph of {', '.join(classes)}.")
    return FolderSource(root=root, entries=entries)


def verify_classifier(
    classifier: Classifier, source: FolderSource, progress: Progress, *, batch_size: int | None = None
) -> Verification:
    """Count what a network recognises among labelled photographs.

    Args:
        classifier: The network.
        source: The photographs.
        progress: Told of every photograph.
        batch_size: Photographs at once; by default what suits the device.
    """
    size = default_batch_size() if batch_size is None else batch_size
    rank = jax.jit(_rank)
    labels: list[int] = []
    ranks: list[int] = []
    unreadable: list[tuple[str, str]] = []
    progress.start("verify", len(source.entries))
    for start in range(0, len(source.entries), size):
        entries = source.entries[start : start + size]
        images = np.zeros((size, classifier.spec.input_height, classifier.spec.input_width, 3), np.uint8)
        answers = np.zeros(size, np.int32)
        readable = np.zeros(size, bool)
        decoded = source.read(entries, classifier.spec, workers=os.cpu_count() or 1)
        for row, (entry, result) in enumerate(zip(entries, decoded, strict=True)):
            if isinstance(result, UnreadableImage):
                unreadable.append((entry.image, str(result)))
                continue
            images[row], answers[row], readable[row] = result.image, entry.class_index, True
        found = np.asarray(rank(classifier, images, answers))
        labels += answers[readable].tolist()
        ranks += found[readable].tolist()
        progress.advance(len(entries))
    progress.finish()
    label, place = np.array(labels, int), np.array(ranks, int)
    return Verification(
        total=_count(place),
        by_class={index: _count(place[label == index]) for index in source.classes},
        class_names=source.classes,
        unreadable=tuple(unreadable),
        known_top1=classifier.spec.known_top1,
    )


def _rank(classifier: Classifier, images: UInt8[Array, "b h w 3"], labels: Int[Array, " b"]) -> Int[Array, " b"]:
    """How many classes come before the right one or level with it; beyond the last where a logit is no number."""
    logits: Float[Array, "b classes"] = classifier(images.astype(jnp.float32) / 255).logits
    own = jnp.take_along_axis(logits, labels[:, None], axis=1)
    before = (logits >= own).sum(axis=1) - 1
    sound: Bool[Array, " b"] = jnp.isfinite(logits).all(axis=1)
    return jnp.where(sound, before, logits.shape[1])


def _count(ranks: Int[np.ndarray, " n"]) -> Recognised:
    return Recognised(images=len(ranks), top1=int((ranks < 1).sum()), top5=int((ranks < TOP).sum()))
