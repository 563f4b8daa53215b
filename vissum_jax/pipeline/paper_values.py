"""What evaluations left in RUN folders, read again: only what belongs to the runs' present configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vissum_jax.pipeline.evaluate_coherency import CROPS, WHOLE
from vissum_jax.pipeline.evaluate_specialize import VALUES as SPECIALIZE
from vissum_jax.pipeline.finished import FinishedRun
from vissum_jax.pipeline.study import VALUES as STUDY
from vissum_jax.report.evaluation import DROP_VALUES, FOLDER
from vissum_jax.study.questions import study_id
from vissum_jax.study.tags import FOLDER as STUDY_FOLDER


@dataclass(frozen=True, kw_only=True)
class RunValues:
    """One run and what is known of it.

    Attributes:
        label: What tables call it.
        run: The run.
        counts: Kept summaries by class index.
        names: Names of the classes, by index.
        drop: ``drop.json``, or None.
        coherency: ``coherency.json``, or None.
        crops: ``coherency_crops.json``, or None.
        specialize: ``specialize.json``, or None.
        study: ``study/score.json``, or None.
    """

    label: str
    run: FinishedRun
    counts: Mapping[int, int]
    names: Mapping[int, str]
    drop: Mapping[str, Any] | None
    coherency: Mapping[str, Any] | None
    crops: Mapping[str, Any] | None
    specialize: Mapping[str, Any] | None
    study: Mapping[str, Any] | None

    def plot(self, name: str) -> bytes | None:
        """A plot that an evaluation left beside its values."""
        path = self.run.folder / FOLDER / f"{name}.png"
        return path.read_bytes() if path.is_file() else None


@dataclass(frozen=True, kw_only=True)
class PaperValues:
    """All runs, and what was measured over several of them.

    Attributes:
        runs: In the order named.
        counts: ``counts.json``, or None.
        counts_plot: ``counts.png`` beside it.
        comparisons: ``compare.json`` of each comparison of two networks found, by its folder.
    """

    runs: Sequence[RunValues]
    counts: Mapping[str, Any] | None = None
    counts_plot: bytes | None = None
    comparisons: Mapping[Path, Mapping[str, Any]] = field(default_factory=dict)


def read_paper_values(runs: Sequence[FinishedRun], *, counts: Path | None = None) -> PaperValues:
    """Read what was measured.

    Args:
        runs: Finished runs.
        counts: The ``counts.json`` of `vissum evaluate counts`.

    Raises:
        FileNotFoundError: `counts` is not there.
        ValueError: A run is named twice, a file is damaged, or `counts` is about other runs.
    """
    folders = [run.folder.resolve() for run in runs]
    for number, folder in enumerate(folders):
        if folder in folders[:number]:
            raise ValueError(f"{str(runs[number].folder)!r} is named twice; name each run once.")
    counted = None
    if counts is not None:
        counted = _read(counts)
        if counted is None:
            raise FileNotFoundError(f"No file {str(counts)!r}.")
        known = [Path(each["run"]).resolve() for each in counted["runs"]]
        strangers = [str(run.folder) for run, folder in zip(runs, folders, strict=True) if folder not in known]
        if strangers:
            raise ValueError(f"{str(counts)!r} does not count {strangers[0]!r}; count all runs that are named.")
    plot = None if counts is None else counts.with_suffix(".png")
    models = [run.manifest.model["name"] for run in runs]
    return PaperValues(
        runs=[
            _read_run(run, model if models.count(model) == 1 else f"{model} ({run.folder})")
            for run, model in zip(runs, models, strict=True)
        ],
        counts=counted,
        counts_plot=plot.read_bytes() if plot is not None and plot.is_file() else None,
        comparisons={
            path.parent: found
            for run in runs
            for path in sorted((run.folder / FOLDER).glob("compare-*/compare.json"))
            if (found := _read(path)) is not None
        },
    )


def _read_run(run: FinishedRun, label: str) -> RunValues:
    folder = run.folder / FOLDER
    results = {index: run.summaries(index) for index in sorted(run.manifest.classes)}

    def of_this_run(path: Path) -> Mapping[str, Any] | None:
        values = _read(path)
        return values if values is not None and values.get("fingerprint") == run.manifest.fingerprint else None

    study = _read(run.folder / STUDY_FOLDER / STUDY)
    if study is not None and study.get("study") != study_id(run.manifest.fingerprint, results.values()):
        study = None
    return RunValues(
        label=label,
        run=run,
        counts={index: len(result.kept) for index, result in results.items()},
        names=run.manifest.classes,
        drop=of_this_run(folder / DROP_VALUES),
        coherency=of_this_run(folder / f"{WHOLE}.json"),
        crops=of_this_run(folder / f"{CROPS}.json"),
        specialize=of_this_run(folder / SPECIALIZE),
        study=study,
    )


def _read(path: Path) -> dict[str, Any] | None:
    """A JSON object, or None where there is no file."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{str(path)!r} is damaged: {error}; measure it again.") from error
    if not isinstance(values, dict):
        raise ValueError(f"{str(path)!r} is damaged: it holds no object; measure it again.")
    return values
