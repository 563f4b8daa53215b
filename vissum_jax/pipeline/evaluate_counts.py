"""``vissum evaluate counts``: numbers of summaries beside the accuracy of several networks (VS table 3)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from vissum_jax.analysis.bootstrap import BootstrapConfig
from vissum_jax.analysis.count_accuracy import LEAST_RUNS, count_correlation
from vissum_jax.analysis.drop import MISSING, markdown
from vissum_jax.pipeline.finished import open_finished
from vissum_jax.pipeline.run import open_run
from vissum_jax.report.counts_plot import CountPoint, counts_picture
from vissum_jax.runs.store import write_atomically
from vissum_jax.types import MaskStatus

COUNTS_VALUES, COUNTS_TABLE, COUNTS_PLOT = "counts.json", "counts.md", "counts.png"


@dataclass(frozen=True, kw_only=True)
class RunCounts:
    """What one run says of its network.

    Attributes:
        folder: The run.
        model: Its network.
        preset: How its masks were found.
        known_top1: Published accuracy of the network, if there is one.
        counts: Kept summaries of each class, by name.
        correct: Photographs of each class that the network answers rightly.
        readable: Photographs of each class that could be read.
    """

    folder: Path
    model: str
    preset: str
    known_top1: float | None
    counts: Mapping[str, int]
    correct: Mapping[str, int]
    readable: Mapping[str, int]


def count_run(folder: Path) -> RunCounts:
    """Count a run's summaries and the right answers of its network.

    Raises:
        FileNotFoundError: If there is no such run, or what it was made from is gone.
        ValueError: If it is not finished.
    """
    finished, run = open_finished(folder), open_run(folder)
    counts: dict[str, int] = {}
    correct: Counter[str] = Counter()
    readable: Counter[str] = Counter()
    for found in finished.classes():
        counts[found.class_name] = len(found.summaries.kept)
        statuses, predicted = (found.rows[name].to_pylist() for name in ("status", "predicted_index"))
        readable[found.class_name] = sum(status != MaskStatus.UNREADABLE for status in statuses)
        # Not "not skipped": a run may have been asked to explain wrong answers, too.
        correct[found.class_name] = sum(index == found.class_index for index in predicted)
    return RunCounts(
        folder=folder,
        model=run.classifier.spec.name,
        preset=run.config.preset,
        known_top1=run.classifier.spec.known_top1,
        counts=counts,
        correct=correct,
        readable=readable,
    )


def read_counts(folders: Sequence[Path]) -> list[RunCounts]:
    """Count the runs.

    Raises:
        FileNotFoundError: If there is no such run.
        ValueError: If a run comes twice or is not finished, or the runs share no class.
    """
    for number, folder in enumerate(folders):
        if folder.resolve() in [other.resolve() for other in folders[:number]]:
            raise ValueError(f"{str(folder)!r} is named twice; name each run once.")
    runs = [count_run(folder) for folder in folders]
    if not _shared(runs):
        classes = "; ".join(f"{run.folder}: {', '.join(list(run.counts)[:3])}, .." for run in runs)
        raise ValueError(f"the runs share no class ({classes}); name runs of the same classes.")
    return runs


def evaluate_counts(runs: Sequence[RunCounts], *, config: BootstrapConfig | None = None) -> dict[str, Any]:
    """Mean counts on the classes that all runs share, accuracies, and their rank correlation.

    Args:
        runs: Result of `read_counts`.
        config: Constants of the bootstrap.

    Returns:
        Plain values.
    """
    shared = _shared(runs)
    config = config or BootstrapConfig()
    counts, correct, readable = (
        np.array([[getattr(run, name)[label] for label in shared] for run in runs], float)
        for name in ("counts", "correct", "readable")
    )
    tried = readable.sum(axis=1)
    measured = [float(hits / of) if of else None for hits, of in zip(correct.sum(axis=1), tried, strict=True)]
    known = [run.known_top1 for run in runs]
    with_known = [row for row, value in enumerate(known) if value is not None]
    published = np.array([[known[row]] * len(shared) for row in with_known], float).reshape(-1, len(shared))
    labels = _labels(runs)
    return {
        "classes": list(shared),
        "runs": [
            {
                "run": str(run.folder),
                "label": labels[row],
                "model": run.model,
                "preset": run.preset,
                "mean_summaries": float(counts[row].mean()),
                "summaries": {name: run.counts[name] for name in shared},
                "known_top1": run.known_top1,
                "measured_top1": measured[row],
                "photographs": int(tried[row]),
                "other_classes": [name for name in run.counts if name not in shared],
            }
            for row, run in enumerate(runs)
        ],
        "correlation": {
            "known_top1": _correlation(counts[with_known], published, np.ones_like(published), config),
            "measured_top1": _correlation(counts, correct, readable, config),
        },
    }


def write_counts(values: Mapping[str, Any], out: Path) -> None:
    """Write values, table and plot into a folder."""
    points = [
        CountPoint(run["label"], run["mean_summaries"], run["known_top1"], run["measured_top1"])
        for run in values["runs"]
    ]
    write_atomically(out / COUNTS_TABLE, counts_markdown(values).encode("utf-8", "backslashreplace"))
    write_atomically(out / COUNTS_PLOT, counts_picture(points))
    write_atomically(out / COUNTS_VALUES, json.dumps(values, indent=1, allow_nan=False).encode())


def counts_markdown(values: Mapping[str, Any]) -> str:
    """The table for people, and what it says."""

    def share(value: float | None) -> str:
        return MISSING if value is None else f"{value:.1%}"

    lines = [
        [
            run["label"],
            f"{run['mean_summaries']:.2f}",
            share(run["known_top1"]),
            share(run["measured_top1"]),
            str(run["photographs"]),
        ]
        for run in values["runs"]
    ]
    table = markdown(["network", "summaries a class", "known top-1", "top-1 here", "photographs"], lines)
    classes = values["classes"]
    notes = [f"On {len(classes)} shared class{'' if len(classes) == 1 else 'es'}: {', '.join(classes)}."]
    notes += [
        f"Left out of {run['label']}, since another run has no such class: {', '.join(run['other_classes'])}."
        for run in values["runs"]
        if run["other_classes"]
    ]
    for name, title in (("known_top1", "known top-1"), ("measured_top1", "top-1 here")):
        found = values["correlation"][name]
        if found["value"] is None:
            notes.append(f"No rank correlation with {title}: {found['reason']}.")
            continue
        notes.append(
            f"Spearman's rank correlation with {title}: {found['value']:.2f} (95 % interval over classes "
            f"{found['low']:.2f} to {found['high']:.2f}, {found['runs']} runs)."
        )
    return table + "\n" + "\n".join(notes) + "\n"


def _shared(runs: Sequence[RunCounts]) -> tuple[str, ...]:
    """Classes of all runs, as the first one orders them; by name, since networks may number them differently."""
    return tuple(name for name in runs[0].counts if all(name in run.counts for run in runs))


def _labels(runs: Sequence[RunCounts]) -> list[str]:
    """What tells the runs apart: the network, or the network and the folder."""
    models = Counter(run.model for run in runs)
    return [run.model if models[run.model] == 1 else f"{run.model} ({run.folder})" for run in runs]


def _correlation(
    counts: Float[np.ndarray, "r c"],
    hits: Float[np.ndarray, "r c"],
    trials: Float[np.ndarray, "r c"],
    config: BootstrapConfig,
) -> dict[str, Any]:
    """Plain values of the correlation, or why there is none."""
    if len(counts) < LEAST_RUNS:
        why = f"it needs at least {LEAST_RUNS} runs whose network has such a figure, and {len(counts)} have one"
        return {"value": None, "reason": why}
    found = count_correlation(counts, hits, trials, config)
    if not np.isfinite([found.value, found.low, found.high]).all():
        return {"value": None, "reason": "all runs have the same mean count, or the same accuracy"}
    return {**asdict(found), "confidence": config.confidence, "reason": ""}
