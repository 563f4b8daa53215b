"""``vissum study``: ask people what the summaries show, and score what they answer (VS 4.2, table 1)."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vissum_jax.pipeline.finished import FinishedRun
from vissum_jax.pipeline.progress import Progress
from vissum_jax.pipeline.run import Run
from vissum_jax.pipeline.stages import class_report
from vissum_jax.report.agreement_plot import agreement_picture
from vissum_jax.report.study_page import PAGE, StudyWriter
from vissum_jax.runs.folder import check_place, whole_folder
from vissum_jax.runs.store import write_atomically
from vissum_jax.study.answers import Answers
from vissum_jax.study.markdown import study_markdown
from vissum_jax.study.questions import questions_of, study_id
from vissum_jax.study.score import StudyScore, score
from vissum_jax.study.tags import FILE as TAGS_FILE
from vissum_jax.study.tags import FOLDER, Tag, tags_object

PAGES, MARKER = "pages", ".vissum-study"
VALUES, TABLE, PLOT = "score.json", "score.md", "agreement.png"
_WHAT = "an earlier study"


@dataclass(frozen=True, kw_only=True)
class ScoreConfig:
    """How answers are scored.

    Attributes:
        chance_pairs: Pairs of answers to different summaries that are drawn to say what chance gives.
        seed: Of these draws.
    """

    chance_pairs: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the range."""
        if self.chance_pairs < 1:
            raise ValueError(f"`chance_pairs` must be positive, got {self.chance_pairs}.")


def default_pages(run: Path) -> Path:
    """Where the study of a run goes, if nothing else is said."""
    return run / FOLDER / PAGES


def check_study(out: Path) -> None:
    """Check the place of a study before work begins.

    Raises:
        ValueError: It holds something else.
    """
    check_place(out, MARKER, _WHAT)


def build_study(run: Run, finished: FinishedRun, out: Path, progress: Progress) -> dict[str, Any]:
    """Write the page that asks about a run's kept summaries; an earlier one is replaced once the new one is whole.

    Args:
        run: The run, with its photographs.
        finished: The same run's results.
        out: Folder of the study.
        progress: Counts classes.

    Returns:
        The page, the number of questions, and the study's id.

    Raises:
        ValueError: The folder holds something else, or no class has a summary.
    """
    run.require_masks()
    classes = sorted(run.manifest.classes)
    identity = study_id(run.manifest.fingerprint, (finished.summaries(index) for index in classes))
    with whole_folder(out, MARKER, _WHAT) as folder:
        writer = StudyWriter(folder)
        progress.start("study", len(classes))
        for class_index in classes:
            writer.add_class(class_report(run, class_index))
            progress.advance(1)
        writer.finish(identity)
        progress.finish()
    return {"page": str(out / PAGE), "questions": writer.questions, "study": identity}


def check_answers(answers: Sequence[Answers], run: FinishedRun) -> None:
    """Check that answers are about a run's summaries.

    Raises:
        ValueError: They are about others; one line that names the file.
    """
    results = [run.summaries(index) for index in sorted(run.manifest.classes)]
    identity = study_id(run.manifest.fingerprint, results)
    asked = {name for result in results for name in questions_of(result)}
    for entry in answers:
        if entry.study != identity:
            raise ValueError(f"{entry.file!r} answers study {entry.study}; that of {str(run.folder)!r} is {identity}.")
        unknown = sorted({f"{index}-{number}" for index, number in entry.nouns} - asked)
        if unknown:
            raise ValueError(f"{entry.file!r} answers {unknown[0]}, which {str(run.folder)!r} does not have.")


def score_study(
    answers: Sequence[Answers], out: Path, *, run: FinishedRun | None, config: ScoreConfig | None = None
) -> dict[str, Any]:
    """Score answers; writes ``score.json``, ``score.md`` and ``agreement.png``, and the run's ``study/tags.json``.

    Args:
        answers: Of all participants, about one study.
        out: Folder of the results.
        run: The run asked about, if it is at hand: it names the classes and gets the tags.
        config: How.

    Returns:
        What ``score.json`` holds.
    """
    config = config or ScoreConfig()
    found = score(answers, chance_pairs=config.chance_pairs, seed=config.seed)
    names = {} if run is None else run.manifest.classes
    values = {"study": answers[0].study, **_plain(found, names), "config": asdict(config)}
    write_atomically(out / VALUES, json.dumps(values, indent=1, allow_nan=False).encode())
    write_atomically(out / TABLE, study_markdown(found, names).encode("utf-8", "backslashreplace"))
    write_atomically(out / PLOT, agreement_picture(found, names))
    if run is not None:
        tags = tags_object(_tags(found), fingerprint=run.manifest.fingerprint, study=answers[0].study)
        write_atomically(run.folder / FOLDER / TAGS_FILE, json.dumps(tags, indent=1).encode())
    return values


def _tags(found: StudyScore) -> list[Tag]:
    return [
        Tag(
            class_index=each.class_index,
            summary=each.summary,
            tag=each.tag,
            share=each.tag_share,
            participants=each.participants,
        )
        for each in found.summaries
        if each.tag and not each.ties  # one of several that are as common would be no name
    ]


def _plain(found: StudyScore, names: dict[int, str]) -> dict[str, Any]:
    """Plain values for JSON, which has no NaN; classes with their names where these are known."""
    values = asdict(found)
    values["agreement"] = [
        [value if math.isfinite(value) else None for value in row] for row in found.agreement.tolist()
    ]
    for entry in values["classes"]:
        entry["class_name"] = names.get(entry["class_index"])
    return values
