"""Do the selected filters matter? What switching them off costs, against equally many others (VE section 4.1)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from vissum_jax.data import Decoded, ImageEntry, ImageSource
from vissum_jax.interpretation.ablation import logits_without, random_others
from vissum_jax.interpretation.responses import Columns
from vissum_jax.interpretation.selection import FeatureSelection
from vissum_jax.masks.solve import to_unit
from vissum_jax.pipeline.contenders import in_batches
from vissum_jax.pipeline.progress import Progress
from vissum_jax.types import Classifier

_AT_ONCE = 64  # photographs in memory


class _Off(NamedTuple):
    """Filters that are switched off for photographs of each class."""

    relevant: Bool[np.ndarray, "classes columns"]
    random: Sequence[Bool[np.ndarray, "classes columns"]]


def check_selection(
    classifier: Classifier,
    selection: FeatureSelection,
    source: ImageSource,
    entries: Sequence[ImageEntry],
    used: frozenset[str],
    progress: Progress,
    *,
    draws: int,
    seed: int,
    batch_size: int,
) -> dict[str, Any] | None:
    """Accuracy and probability lost when relevant filters are switched off, or as many others of the same layers.

    Args:
        classifier: The network.
        selection: The relevant filters.
        source: Where the photographs are.
        entries: Photographs held out.
        used: SHA-256 of photographs that the selection saw: copies of these are passed over.
        progress: Counts photographs.
        draws: How often others are drawn.
        seed: Of the draws.
        batch_size: Photographs at once.

    Returns:
        Plain values: ``own``, each photograph without its class's relevant filters, and ``all``, without those of all
        classes; None if there is no photograph.
    """
    off = {"own": _own(selection, draws, seed), "all": _all(selection, draws, seed)}
    conditions = [np.zeros_like(off["own"].relevant)]
    conditions += [mask for each in off.values() for mask in (each.relevant, *each.random)]
    labels: list[int] = []
    passed_over, unreadable = 0, 0
    pieces: list[Float[np.ndarray, "conditions b 2"]] = []
    progress.start("check", len(entries))
    for start in range(0, len(entries), _AT_ONCE):
        some = entries[start : start + _AT_ONCE]
        decoded = source.read(some, classifier.spec, workers=os.cpu_count() or 1)
        found = [(entry, each) for entry, each in zip(some, decoded, strict=True) if isinstance(each, Decoded)]
        fresh = [(entry, each.image) for entry, each in found if each.content_hash not in used]
        unreadable += len(some) - len(found)
        passed_over += len(found) - len(fresh)
        if fresh:
            own = np.array([entry.class_index for entry, _ in fresh], np.int32)
            labels += own.tolist()
            images = np.stack([image for _, image in fresh])
            rows = np.array([selection.position(int(index)) for index in own])
            pieces.append(
                np.stack(
                    [_scored(classifier, images, own, mask[rows], selection.columns, batch_size) for mask in conditions]
                )
            )
        progress.advance(len(some))
    progress.finish()
    if not pieces:
        return None
    right, probability = np.moveaxis(np.concatenate(pieces, axis=1), -1, 0)
    values: dict[str, Any] = {
        "photographs": len(labels),
        "unreadable": unreadable,
        "passed_over": passed_over,
        "draws": draws,
        "accuracy": float(right[0].mean()),
        "probability": float(probability[0].mean()),
    }
    place = 1
    for name, each in off.items():
        here = slice(place, place + 1 + draws)
        values[name] = _losses(right[0], right[here], probability[0], probability[here])
        values[name]["filters"] = float(each.relevant.sum(1).mean())
        place += 1 + draws
    return values


def _losses(
    right: Float[np.ndarray, " n"],
    right_without: Float[np.ndarray, "conditions n"],
    probability: Float[np.ndarray, " n"],
    probability_without: Float[np.ndarray, "conditions n"],
) -> Mapping[str, Any]:
    """Losses of the first condition, the relevant filters, and of the others, the draws."""
    accuracy_lost = right.mean() - right_without.mean(1)
    probability_lost = probability.mean() - probability_without.mean(1)
    random = float(accuracy_lost[1:].mean())
    return {
        "accuracy_lost": float(accuracy_lost[0]),
        "random_accuracy_lost": random,
        "random_draws": accuracy_lost[1:].tolist(),
        "ratio": float(accuracy_lost[0]) / random if random > 0 else None,
        "probability_lost": float(probability_lost[0]),
        "random_probability_lost": float(probability_lost[1:].mean()),
    }


def _own(selection: FeatureSelection, draws: int, seed: int) -> _Off:
    """Each class's relevant filters."""
    relevant = (selection.weights != 0).T
    return _Off(
        relevant,
        [
            np.stack(
                [
                    random_others(mask, selection.columns, seed=(seed, draw, number))
                    for number, mask in enumerate(relevant)
                ]
            )
            for draw in range(draws)
        ],
    )


def _all(selection: FeatureSelection, draws: int, seed: int) -> _Off:
    """The relevant filters of all classes, whatever the class."""
    classes = selection.weights.shape[1]
    union = (selection.weights != 0).any(1)

    def everywhere(mask: Bool[np.ndarray, " columns"]) -> Bool[np.ndarray, "classes columns"]:
        return np.broadcast_to(mask, (classes, len(mask)))

    drawn = [random_others(union, selection.columns, seed=(seed, draw, classes)) for draw in range(draws)]
    return _Off(everywhere(union), [everywhere(mask) for mask in drawn])


def _scored(
    classifier: Classifier,
    images: UInt8[np.ndarray, "n h w 3"],
    class_index: Int[np.ndarray, " n"],
    off: Bool[np.ndarray, "n columns"],
    columns: Columns,
    batch_size: int,
) -> Float[np.ndarray, "n 2"]:
    """Whether the network answers each photograph rightly without some filters, and the class's probability."""

    def compute(images: Array, class_index: Array, off: Array) -> Array:
        logits = logits_without(classifier, to_unit(images), off, columns=columns)
        rows = jax.numpy.arange(len(class_index))
        probability = jax.nn.softmax(logits)[rows, class_index]
        return jax.numpy.stack([(logits.argmax(1) == class_index).astype(logits.dtype), probability], axis=1)

    return in_batches(compute, images, class_index, off, size=batch_size)
