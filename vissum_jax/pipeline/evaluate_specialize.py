"""``vissum evaluate specialize``: does a network gain from its own summaries? (VS 4.4)."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from vissum_jax.analysis.bootstrap import BootstrapConfig
from vissum_jax.analysis.machines import Machines
from vissum_jax.analysis.specialize import (
    Comparison,
    SpecializeConfig,
    SummarySet,
    TriedWeight,
    choose_weight,
    compare,
    fit_machines,
    mixed,
    per_class,
    random_sets,
)
from vissum_jax.data import FolderSource
from vissum_jax.models.specialized import (
    Specialization,
    encode_specialization,
    log_answers,
    log_scores,
    machine_arrays,
)
from vissum_jax.pipeline.answers import Answers, answer, answer_source
from vissum_jax.pipeline.memory import default_batch_size
from vissum_jax.pipeline.progress import Progress
from vissum_jax.pipeline.specialize_plan import LEAST_CLASSES, ROLES, SpecializePlan
from vissum_jax.pipeline.specialize_report import specialize_markdown, write_corrections
from vissum_jax.pipeline.stages import read_class
from vissum_jax.report.pictures import PictureStyle, summary_picture
from vissum_jax.runs.store import write_atomically
from vissum_jax.types import HAS_MASK, Classifier

VALUES, TABLE, MODEL, PAGES = "specialize.json", "specialize.md", "specialized.safetensors", "specialize"


@dataclass(frozen=True, kw_only=True)
class _Training:
    """The photographs that SVMs are trained on: those of the run first.

    Attributes:
        features: Of length 1.
        class_index: Their classes.
        usable: Those of the run that have a mask; random sets are drawn from them.
        own: How many are the run's.
        sets: The summaries.
        pictures: The exemplar of each summary, by class and number.
    """

    features: Float[np.ndarray, "n d"]
    class_index: Int[np.ndarray, " n"]
    usable: Bool[np.ndarray, " n"]
    own: int
    sets: list[SummarySet]
    pictures: dict[tuple[int, int], UInt8[np.ndarray, "h w 3"]]


@dataclass(frozen=True, kw_only=True)
class _Fitted:
    """SVMs with their weight, and the test photographs' scores."""

    machines: Machines
    reasons: dict[tuple[int, int], str]
    weight: float
    tried: list[TriedWeight]
    after: Float[np.ndarray, "n c"]


def evaluate_specialize(plan: SpecializePlan, progress: Progress, *, batch_size: int | None = None) -> dict[str, Any]:
    """Train, choose the weight, measure, and write values, table, pictures and the specialised network.

    Returns:
        Plain values, as ``specialize.json`` holds them.

    Raises:
        ChangedError: If a photograph of the run is no longer the one that its mask was found on.
        ValueError: If no photograph of a list can be read, or fewer than two classes have an SVM.
    """
    size = default_batch_size() if batch_size is None else batch_size
    classifier, config = plan.run.classifier, plan.config
    total = len(plan.run.manifest.entries)
    total += sum(len(each.entries) for sources in (plan.negatives, plan.weight, plan.test) for each in sources)
    progress.start("answers", total)
    training = _training(plan, progress, size)
    weight, test = (_joined(sources, classifier, progress, size) for sources in (plan.weight, plan.test))
    progress.finish()

    variants: dict[str, list[list[SummarySet]]] = {
        "summaries": [training.sets],
        "per_class": [per_class(training.sets)],
    }
    variants["random"] = [
        random_sets(training.sets, training.class_index, training.usable, seed=config.train.seed + draw)
        for draw in range(config.random_draws)
    ]
    progress.start("SVMs", sum(len(each) for each in variants.values()))
    fitted: dict[str, list[_Fitted]] = {}
    for name, draws in variants.items():
        fitted[name] = []
        for sets in draws:
            fitted[name].append(_fit(sets, training, weight, test, config.train))
            progress.advance(1)
    progress.finish()

    (main,) = fitted["summaries"]
    values = {
        "run": str(plan.run.folder),
        "model": classifier.spec.name,
        "preset": plan.run.config.preset,
        "fingerprint": plan.run.manifest.fingerprint,
        "config": asdict(config),
        "photographs": dict(
            zip(ROLES, (training.own, len(training.features) - training.own, len(weight), len(test)), strict=True)
        ),
        "unreadable": [*weight.unreadable, *test.unreadable],
        "classes": _per_class_values(plan, main, test),
        "variants": {
            name: [_variant_values(plan, each, test, config.bootstrap) for each in draws]
            for name, draws in fitted.items()
            if draws
        },
        "guards": int(np.count_nonzero(~np.isin(weight.class_index, main.machines.class_index))),
        "weights_tried": [each._asdict() for each in main.tried],
        **_changed(plan, main, test),
    }
    write_atomically(plan.folder / MODEL, encode_specialization(_specialization(plan, main)))
    write_corrections(plan.folder / PAGES, values, plan.test, classifier.spec, training.pictures, config.pictures)
    write_atomically(plan.folder / TABLE, specialize_markdown(values).encode("utf-8", "backslashreplace"))
    write_atomically(plan.folder / VALUES, json.dumps(values, indent=1, allow_nan=False).encode())
    return values


def _count(sources: Sequence[FolderSource]) -> int:
    return sum(len(each.entries) for each in sources)


def _joined(sources: Sequence[FolderSource], classifier: Classifier, progress: Progress, batch_size: int) -> Answers:
    found = [answer_source(classifier, each, progress, batch_size=batch_size) for each in sources]
    return Answers(
        images=tuple(image for each in found for image in each.images),
        unreadable=tuple(image for each in found for image in each.unreadable),
        **{
            name: np.concatenate([getattr(each, name) for each in found])
            for name in ("class_index", "probabilities", "features")
        },
    )


def _training(plan: SpecializePlan, progress: Progress, batch_size: int) -> _Training:
    rows = plan.run.mask_rows()
    features, labels, usable, sets, pictures = [], [], [], [], {}
    start = 0
    for found in plan.finished.classes():
        _, images, masks = read_class(plan.run, rows, found.class_index)
        readable = np.array([content is not None for content in found.rows["content_sha256"].to_pylist()])
        if readable.any():
            features.append(answer(plan.run.classifier, images[readable], batch_size=batch_size)[1])
        place = start + np.cumsum(readable) - 1
        start += int(readable.sum())
        labels += [found.class_index] * int(readable.sum())
        statuses = np.array([status in HAS_MASK for status in found.rows["status"].to_pylist()])
        usable += statuses[readable].tolist()
        for summary in found.summaries.kept:
            members = summary.kept_members
            if not members:
                continue
            sets.append(
                SummarySet(found.class_index, summary.number, np.unique(place[[member.image for member in members]]))
            )
            shown = members[0]
            pictures[found.class_index, summary.number] = summary_picture(
                images[shown.image], masks.salient[shown.image], shown.box, PictureStyle()
            )
        progress.advance(len(images))
    for source in plan.negatives:
        more = answer_source(plan.run.classifier, source, progress, batch_size=batch_size)
        features.append(more.features)
        labels += more.class_index.tolist()
        usable += [False] * len(more)
    return _Training(
        features=np.concatenate(features),
        class_index=np.array(labels, np.int64),
        usable=np.array(usable, bool),
        own=start,
        sets=sets,
        pictures=pictures,
    )


def _fit(
    sets: Sequence[SummarySet], training: _Training, weight: Answers, test: Answers, config: SpecializeConfig
) -> _Fitted:
    machines, reasons = fit_machines(training.features, training.class_index, sets, config)
    if len(np.unique(machines.class_index)) < LEAST_CLASSES:
        why = "; ".join(f"class {index}, summary {number}: {reason}" for (index, number), reason in reasons.items())
        raise ValueError(f"fewer than {LEAST_CLASSES} classes can have an SVM ({why}); make a run of more photographs.")
    scores = [_scores(machines, each) for each in (weight, test)]
    try:
        chosen, tried = choose_weight(weight.probabilities, scores[0], weight.class_index, machines.class_index, config)
    except ValueError as error:
        raise ValueError(
            "the weight is chosen on photographs of classes that have an SVM, and none is among those for it; name "
            "some with --train or --weight."
        ) from error
    return _Fitted(
        machines=machines,
        reasons=reasons,
        weight=chosen,
        tried=tried,
        after=mixed(test.probabilities, scores[1], chosen),
    )


def _scores(machines: Machines, answers: Answers) -> Float[np.ndarray, "n c"]:
    logarithms = log_scores(
        machine_arrays(machines), jnp.asarray(answers.features), classes=answers.probabilities.shape[1]
    )
    return np.asarray(jnp.exp(logarithms))


def _rightly(probabilities: Float[np.ndarray, "n c"], test: Answers) -> Bool[np.ndarray, " n"]:
    return probabilities.argmax(axis=1) == test.class_index


def _variant_values(plan: SpecializePlan, fitted: _Fitted, test: Answers, config: BootstrapConfig) -> dict[str, Any]:
    """Accuracies before and after on the chosen classes, on all, and on the others."""
    before, after = _rightly(test.probabilities, test), _rightly(fitted.after, test)
    chosen = np.isin(test.class_index, list(plan.run.manifest.classes))
    groups = {"chosen": chosen, "all": np.ones_like(chosen), "others": ~chosen}
    return {
        "machines": len(fitted.machines),
        "weight": fitted.weight,
        **{name: _plain(compare(before[rows], after[rows], config)) for name, rows in groups.items()},
    }


def _plain(comparison: Comparison) -> dict[str, Any]:
    """Plain values for JSON, which has no NaN."""
    values = asdict(comparison)
    values |= {name: None if math.isnan(values[name]) else values[name] for name in ("before", "after")}
    if not comparison.images:
        values["difference"] = None
    return values


def _per_class_values(plan: SpecializePlan, main: _Fitted, test: Answers) -> list[dict[str, Any]]:
    before, after = _rightly(test.probabilities, test), _rightly(main.after, test)
    classes = []
    for index, name in sorted(plan.run.manifest.classes.items()):
        own = test.class_index == index
        kept = plan.finished.summaries(index)
        missing = {str(number): reason for (each, number), reason in main.reasons.items() if each == index}
        classes.append(
            {
                "class_index": index,
                "class_name": name,
                "summaries": len(kept.kept),
                "machines": int(np.count_nonzero(main.machines.class_index == index)),
                "images": int(own.sum()),
                "before": float(before[own].mean()) if own.any() else None,
                "after": float(after[own].mean()) if own.any() else None,
                "reason": "" if kept.kept else kept.reason or "it has no summaries",
                "without_machine": missing,
            }
        )
    return classes


def _changed(plan: SpecializePlan, main: _Fitted, test: Answers) -> dict[str, list[dict[str, Any]]]:
    """Photographs that are answered rightly only now, with the summary that did it, and those only before."""
    before, after = _rightly(test.probabilities, test), _rightly(main.after, test)
    answers = np.asarray(log_answers(machine_arrays(main.machines), jnp.asarray(test.features)))
    names = plan.run.classifier.spec.class_names

    def entry(row: int) -> dict[str, Any]:
        was, now = int(test.probabilities[row].argmax()), int(main.after[row].argmax())
        own = np.flatnonzero(main.machines.class_index == now)
        best = own[answers[row, own].argmax()] if len(own) else None
        return {
            "image": test.images[row],
            "class_index": int(test.class_index[row]),
            "class_name": names[test.class_index[row]],
            "before": names[was],
            "after": names[now],
            "now_index": now,
            "summary": None if best is None else int(main.machines.summary[best]),
            "answer": None if best is None else float(np.exp(answers[row, best])),
            "probability": float(test.probabilities[row, test.class_index[row]]),
        }

    return {
        "corrected": [entry(int(row)) for row in np.flatnonzero(after & ~before)],
        "spoiled": [entry(int(row)) for row in np.flatnonzero(before & ~after)],
    }


def _specialization(plan: SpecializePlan, main: _Fitted) -> Specialization:
    spec = plan.run.classifier.spec
    return Specialization(
        machines=main.machines,
        mixing=main.weight,
        model=plan.run.config.model,
        weights_sha256=spec.weights_sha256,
        endpoint=spec.feature_endpoint,
        classes=len(spec.class_names),
    )
