"""A classifier made better by its own summaries: a linear SVM for each, and how much that helps (VS 4.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
from jaxtyping import Bool, Float, Int
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC

from vissum_jax.analysis.bootstrap import BootstrapConfig, Difference, paired_difference
from vissum_jax.analysis.machines import Machines

LEAST_POSITIVES = 2
"""Calibration needs a positive in every fold, and two folds."""


@dataclass(frozen=True, kw_only=True)
class SpecializeConfig:
    """Constants of the specialisation.

    Attributes:
        penalty: C of the SVMs.
        folds: Most folds of the calibration; fewer where a summary has fewer images.
        weight_steps: The weight is tried at 0, 1/steps, .., 1.
        iterations: Most iterations of an SVM's solver.
        seed: Of folds, solvers and random sets.
    """

    penalty: float = 1.0
    folds: int = 5
    weight_steps: int = 50
    iterations: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        """Check ranges."""
        if not self.penalty > 0:
            raise ValueError(f"`penalty` must be positive, got {self.penalty}.")
        if self.folds < LEAST_POSITIVES:
            raise ValueError(f"`folds` must be at least {LEAST_POSITIVES}, got {self.folds}.")
        for name in ("weight_steps", "iterations"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be positive, got {getattr(self, name)}.")
        if self.seed < 0:
            raise ValueError(f"`seed` must not be negative, got {self.seed}.")


class SummarySet(NamedTuple):
    """What an SVM is to recognise: rows of the images of a summary, its class and its number there."""

    class_index: int
    summary: int
    rows: Int[np.ndarray, " p"]


class TriedWeight(NamedTuple):
    """A weight of the SVMs' scores, and what it gives on the images that it is chosen on.

    Attributes:
        weight: In [0, 1].
        accuracy: On images of classes with SVMs.
        others: On images of classes without, None where there are none.
    """

    weight: float
    accuracy: float
    others: float | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Before and after on some images.

    Attributes:
        images: How many.
        before: Share that the network answers rightly.
        after: Share that the specialised one does.
        corrected: Images that only the specialised one answers rightly.
        spoiled: Images that only the network does.
        difference: after - before, with its interval over images; NaN without images.
    """

    images: int
    before: float
    after: float
    corrected: int
    spoiled: int
    difference: Difference


def normalised(features: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Feature vectors of length 1; a zero vector stays."""
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.where(length > 0, length, 1.0)


def fit_machines(
    features: Float[np.ndarray, "n d"],
    class_index: Int[np.ndarray, " n"],
    sets: Sequence[SummarySet],
    config: SpecializeConfig,
) -> tuple[Machines, dict[tuple[int, int], str]]:
    """Train a calibrated linear SVM for each summary (VS 4.4).

    Positives are the summary's images. Negatives are all images of other classes and those of the class's other
    summaries, but never one of the positives. Images of the class that are in no summary are neither. Calibration is
    Platt's, on folds that their SVM did not see (scikit-learn's `CalibratedClassifierCV`); classes are weighted alike.

    Args:
        features: Of the training images, of length 1.
        class_index: Their classes.
        sets: What is to be recognised.
        config: Constants.

    Returns:
        The machines, in the order of the sets, and the reason for each (class, summary) that has none.
    """
    machines, reasons = [], {}
    for wanted in sets:
        of_class = [other.rows for other in sets if other.class_index == wanted.class_index]
        positive, negative = np.zeros(len(features), bool), class_index != wanted.class_index
        negative[np.concatenate(of_class)] = True
        positive[wanted.rows] = True
        negative &= ~positive
        count = (int(positive.sum()), int(negative.sum()))
        if min(count) < LEAST_POSITIVES:
            what = f"{count[0]} image{'' if count[0] == 1 else 's'} to recognise and {count[1]} others"
            reasons[wanted.class_index, wanted.summary] = f"{what}; an SVM needs {LEAST_POSITIVES} of each"
            continue
        taken = positive | negative
        machines.append((wanted, *_fit(features[taken], positive[taken], min(*count, config.folds), config)))
    dimensions = features.shape[1]
    return (
        Machines(
            weight=np.array([each[1] for each in machines], np.float32).reshape(len(machines), dimensions),
            bias=np.array([each[2] for each in machines], np.float32),
            slope=np.array([each[3] for each in machines], np.float32),
            offset=np.array([each[4] for each in machines], np.float32),
            class_index=np.array([each[0].class_index for each in machines], np.int32),
            summary=np.array([each[0].summary for each in machines], np.int32),
        ),
        reasons,
    )


def _fit(
    features: Float[np.ndarray, "n d"], positive: Bool[np.ndarray, " n"], folds: int, config: SpecializeConfig
) -> tuple[Float[np.ndarray, " d"], float, float, float]:
    """Normal, bias, and Platt's slope and offset of one machine."""
    machine = LinearSVC(
        C=config.penalty,
        class_weight="balanced",
        dual=True,  # pyright: ignore[reportArgumentType]
        max_iter=config.iterations,
        random_state=config.seed,
    )
    fitted = CalibratedClassifierCV(
        machine,
        method="sigmoid",
        cv=StratifiedKFold(folds, shuffle=True, random_state=config.seed),
        ensemble=False,  # pyright: ignore[reportArgumentType]
    ).fit(features, positive)
    (calibrated,) = cast(list[Any], fitted.calibrated_classifiers_)
    (platt,) = calibrated.calibrators
    return calibrated.estimator.coef_[0], float(calibrated.estimator.intercept_[0]), platt.a_, platt.b_


def per_class(sets: Sequence[SummarySet]) -> list[SummarySet]:
    """One set a class, all images of its summaries: the ablation without summaries."""
    classes = sorted({each.class_index for each in sets})
    return [
        SummarySet(index, 0, np.unique(np.concatenate([each.rows for each in sets if each.class_index == index])))
        for index in classes
    ]


def random_sets(
    sets: Sequence[SummarySet], class_index: Int[np.ndarray, " n"], usable: Bool[np.ndarray, " n"], *, seed: int
) -> list[SummarySet]:
    """Sets of equal sizes drawn from the usable images of each class: the ablation with meaningless summaries."""
    drawn = []
    for number, each in enumerate(sets):
        own = np.flatnonzero(usable & (class_index == each.class_index))
        rows = np.random.default_rng([seed, number]).permutation(own)[: len(each.rows)]
        drawn.append(SummarySet(each.class_index, each.summary, np.sort(rows)))
    return drawn


def mixed(
    probabilities: Float[np.ndarray, "n c"], scores: Float[np.ndarray, "n c"], weight: float
) -> Float[np.ndarray, "n c"]:
    """(1 - weight) softmax + weight score (VS 4.4)."""
    return (1.0 - weight) * probabilities + weight * scores


def choose_weight(
    probabilities: Float[np.ndarray, "n c"],
    scores: Float[np.ndarray, "n c"],
    labels: Int[np.ndarray, " n"],
    with_machines: Int[np.ndarray, " k"],
    config: SpecializeConfig,
) -> tuple[float, list[TriedWeight]]:
    """The weight, on images used for nothing else: best for classes with SVMs, at no cost to the others.

    Scores sum to 1 over the classes with SVMs whatever an image shows, so a large weight calls images of all other
    classes by one of their names. Of the weights at which images of classes without SVMs are answered rightly as often
    as by the network alone, the one with the best accuracy on the classes with SVMs is taken, the smallest of several.

    Args:
        probabilities: The network's own.
        scores: Of the SVMs.
        labels: The images' classes.
        with_machines: Classes that have an SVM.
        config: Constants.

    Returns:
        The weight, and all that were tried.

    Raises:
        ValueError: If there are no images of classes with SVMs.
    """
    own = np.isin(labels, with_machines)
    if not own.any():
        raise ValueError("`labels` must hold classes with SVMs: the weight is chosen on their images.")
    tried = []
    for weight in (step / config.weight_steps for step in range(config.weight_steps + 1)):
        right = mixed(probabilities, scores, weight).argmax(axis=1) == labels
        guard = float(right[~own].mean()) if not own.all() else None
        tried.append(TriedWeight(weight, float(right[own].mean()), guard))
    allowed = [each for each in tried if each.others is None or each.others >= tried[0].others]
    return max(allowed, key=lambda each: (each.accuracy, -each.weight)).weight, tried


def compare(before: Bool[np.ndarray, " n"], after: Bool[np.ndarray, " n"], config: BootstrapConfig) -> Comparison:
    """Accuracy before and after on the same images, as whether each is answered rightly."""
    count = len(before)
    return Comparison(
        images=count,
        before=float(before.mean()) if count else float("nan"),
        after=float(after.mean()) if count else float("nan"),
        corrected=int(np.count_nonzero(after & ~before)),
        spoiled=int(np.count_nonzero(before & ~after)),
        difference=paired_difference(after.astype(float), before.astype(float), config),
    )
