"""Do the labels and the network's answers fit at all? Asked on a few photographs before a long run.

A wrong label order or a wrong normalisation gives beautiful nonsense: every mask explains an answer that the
network does not give. Far below its known accuracy a network is not itself, so the run stops, with the likely reason.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, UInt8
from scipy.stats import binomtest

from vissum_jax.data import Decoded, ImageEntry, ImageSource
from vissum_jax.types import Classifier

MOST_IMAGES = 64
FAR_BELOW = 0.5
"""The share of the known accuracy that the upper end of the 95 % interval must reach."""
CLEAR_GAIN = 0.5
"""By how much another reading of labels or input must be more accurate to be named without a known accuracy."""
_FEWEST_IMAGES = 8
_BATCH = 16

_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)

INPUTS: Mapping[str, Callable[[Array], Array]] = {
    "its channels are read as blue, green, red": lambda x: x[..., ::-1],
    "its input is taken for 0..255 where it is 0..1 (multiply by 255 first)": lambda x: 255 * x,
    "its input is divided by 255 once too often": lambda x: x / 255,
    "ImageNet's mean and deviation are not applied": lambda x: (x - _MEAN) / _DEVIATION,
    "ImageNet's mean and deviation are applied twice": lambda x: x * _DEVIATION + _MEAN,
    "its input is not brought to -1..1": lambda x: 2 * x - 1,
    "its input is brought to -1..1 twice": lambda x: (x + 1) / 2,
}
"""Ways to get a normalisation wrong, and what undoes each."""


class LabelCheckError(ValueError):
    """The network answers the labels far less often than it should."""


@dataclass(frozen=True)
class LabelCheck:
    """What the check found.

    Attributes:
        images: Photographs looked at.
        correct: Those whose label is the network's answer.
        known_top1: The network's published accuracy, or None.
        reason: Why the answers do not fit, or empty where they do.
    """

    images: int
    correct: int
    known_top1: float | None
    reason: str

    @property
    def top1(self) -> float | None:
        """Share of correct answers; None where nothing was looked at."""
        return self.correct / self.images if self.images else None


def check_labels(classifier: Classifier, source: ImageSource, *, most: int = MOST_IMAGES) -> LabelCheck:
    """Compare the network's answers with the labels of a few photographs, spread over the classes.

    The check fails where the upper end of top-1's 95 % interval (Wilson 1927) is below half the network's known
    accuracy; where that is not known, where another reading of labels or input is right by half the images more.

    Args:
        classifier: The network.
        source: Labelled photographs; those that cannot be read are passed over.
        most: Photographs looked at, at most.
    """
    entries = _spread(source.entries, most)
    decoded = source.read(entries, classifier.spec, workers=os.cpu_count() or 1)
    readable = [
        (entry, found.image) for entry, found in zip(entries, decoded, strict=True) if isinstance(found, Decoded)
    ]
    known = classifier.spec.known_top1
    if not readable:
        return LabelCheck(0, 0, known, "")
    labels = np.array([entry.class_index for entry, _ in readable])
    images = np.stack([image for _, image in readable])
    answers = _answers(classifier, images)
    correct = int(np.sum(answers == labels))
    upper = binomtest(correct, len(labels)).proportion_ci(method="wilson").high
    if known is not None:
        suspicious = upper < FAR_BELOW * known
    else:
        suspicious = len(labels) >= _FEWEST_IMAGES and correct / len(labels) <= 1 - CLEAR_GAIN
    if not suspicious:
        return LabelCheck(len(labels), correct, known, "")
    gain = 1 / len(labels) if known is not None else CLEAR_GAIN
    reason = _explanation(classifier, images, labels, answers, at_least=correct / len(labels) + gain)
    if not reason and known is not None:
        reason = "labels and network do not fit (labels.csv, or the weights, may be another data set's)"
    return LabelCheck(len(labels), correct, known, reason)


def require_fitting_labels(classifier: Classifier, source: ImageSource) -> LabelCheck:
    """`check_labels`, as an error where it fails.

    Raises:
        LabelCheckError: With top-1, what is known of the network, and the likely reason.
    """
    check = check_labels(classifier, source)
    if check.reason:
        known = "" if check.known_top1 is None else f", known for {check.known_top1:.3f} on ImageNet"
        raise LabelCheckError(
            f"label check: {classifier.spec.name!r}{known}, answers {check.correct} of {check.images} labelled images "
            f"correctly; likely: {check.reason}. Correct it, or go on with --no-preflight."
        )
    return check


def _spread(entries: Sequence[ImageEntry], most: int) -> list[ImageEntry]:
    """The first of every class, then the second of every class, and so on."""
    by_class = itertools.groupby(sorted(entries, key=lambda entry: entry.class_index), key=lambda e: e.class_index)
    rounds = itertools.zip_longest(*(list(group)[:most] for _, group in by_class))
    return [entry for row in rounds for entry in row if entry is not None][:most]


def _answers(
    classifier: Classifier, images: UInt8[np.ndarray, "n h w 3"], change: Callable[[Array], Array] = lambda x: x
) -> Int[np.ndarray, " n"]:
    """The network's answers to changed images."""

    @jax.jit
    def answer(classifier: Classifier, batch: UInt8[Array, "b h w 3"]) -> Int[Array, " b"]:
        return jnp.argmax(classifier(change(batch.astype(jnp.float32) / 255)).logits, axis=1)

    filled = np.concatenate([images, images[-1:].repeat(-len(images) % _BATCH, axis=0)])
    batches = [filled[start : start + _BATCH] for start in range(0, len(filled), _BATCH)]
    return np.concatenate([np.asarray(answer(classifier, jnp.asarray(batch))) for batch in batches])[: len(images)]


def _explanation(
    classifier: Classifier,
    images: UInt8[np.ndarray, "n h w 3"],
    labels: Int[np.ndarray, " n"],
    answers: Int[np.ndarray, " n"],
    *,
    at_least: float,
) -> str:
    """The likeliest reason why answers and labels do not fit, or nothing where none explains more than `at_least`."""
    as_text = np.array(sorted(range(len(classifier.spec.class_names)), key=str))
    texts = "the classes were numbered by folders 0, 1, 2, .. sorted as text (0, 1, 10, 100, ..)"
    shares = {
        f"{texts} where the labels come from": np.mean(as_text[labels] == answers),
        f"{texts} where the network was trained": np.mean(np.argsort(as_text)[labels] == answers),
    }
    for fault, undo in INPUTS.items():
        shares[f"wrong normalisation: {fault}"] = np.mean(_answers(classifier, images, undo) == labels)
    best = max(shares, key=lambda reason: shares[reason])
    if shares[best] >= max(at_least, FAR_BELOW * (classifier.spec.known_top1 or 0.0)):
        return f"{best} (so read, {shares[best]:.0%} would be right)"
    if _one_wrong_answer_a_label(labels, answers):
        return (
            "the labels are in another order than the network's answers: images of one label get one and the same "
            "other answer (ImageNet's networks count WordNet ids in sorted order, the ILSVRC development kit does not)"
        )
    return ""


def _one_wrong_answer_a_label(labels: Int[np.ndarray, " n"], answers: Int[np.ndarray, " n"]) -> bool:
    """Whether most images of a label get one and the same answer, and most labels one of their own."""
    several = [group for group in (answers[labels == label] for label in np.unique(labels)) if len(group) > 1]
    usual = [Counter(group.tolist()).most_common(1)[0] for group in several]
    # The first image of a label agrees with itself.
    agreeing = sum(count - 1 for _, count in usual) > FAR_BELOW * sum(len(group) - 1 for group in several)
    own = len({answer for answer, _ in usual}) > FAR_BELOW * len(several)
    return len(several) > 1 and agreeing and own
