"""``vissum study``: ask people what the summaries show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from vissum_jax.cli.errors import DONE, running, user_mistakes
from vissum_jax.cli.groups import group
from vissum_jax.cli.options import Flag, optional
from vissum_jax.cli.output import print_json
from vissum_jax.cli.progress import make_progress
from vissum_jax.cli.stages import RunFolder


def build(run: RunFolder, /, *, out: Annotated[Path | None, optional("DIR")] = None, json: Flag = False) -> int:
    """Write the user study of a run as a page that opens from disk.

    It shows one summary after another, in an order of each participant's own, and asks for nouns. Progress stays in
    the browser; participants download their answers as a file and send it to you. The page tells neither the classes
    nor the names of the photographs. An earlier study in DIR is replaced; anything else there is kept.

    For instance:
      vissum study build runs/photos
      vissum study build runs/photos --out study

    Args:
        run: Folder of a run whose summaries are done.
        out: Folder of the page; by default RUN/study/pages.
        json: Print one JSON object.
    """
    with user_mistakes():
        from vissum_jax import pipeline
        from vissum_jax.pipeline import study as stage
        from vissum_jax.pipeline.finished import open_finished

        finished = open_finished(run)
        place = stage.default_pages(run) if out is None else out
        stage.check_study(place)
        opened = pipeline.open_run(run)
        with running():
            values = stage.build_study(opened, finished, place, make_progress())
    if json:
        print_json(values)
    else:
        print(f"Questions: {values['questions']}\nPage: {values['page']}")
    return DONE


def score(
    answers: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="ANSWERS")],
    /,
    *,
    run: Annotated[Path | None, optional("RUN")] = None,
    out: Annotated[Path | None, optional("DIR")] = None,
    json: Flag = False,
) -> int:
    """Score the answers of a study: how far people agree, and what they call each summary.

    muU is the mean Jaccard distance between the nouns of two participants. Writes score.json, score.md and
    agreement.png, and with --run also RUN/study/tags.json: the most used noun of each summary, its name from then on.

    For instance:
      vissum study score answers --run runs/photos
      vissum study score answers --out scores --json

    Args:
        answers: Folder of the files that participants downloaded.
        run: Folder of the run that the study was built from; the answers are checked against it.
        out: Folder of the scores; by default RUN/study, or without a run ANSWERS/score.
        json: Print one JSON object.
    """
    with user_mistakes():
        from vissum_jax.pipeline import study as stage
        from vissum_jax.pipeline.finished import open_finished
        from vissum_jax.study.answers import read_answers
        from vissum_jax.study.tags import FOLDER

        given = read_answers(answers)
        finished = None if run is None else open_finished(run)
        if finished is not None:
            stage.check_answers(given, finished)
        place = out or (answers / "score" if run is None else run / FOLDER)
    with running():
        values = stage.score_study(given, place, run=finished)
    if json:
        print_json({"scores": str(place), **values})
    else:
        print((place / stage.TABLE).read_text(encoding="utf-8"))
        print(f"Scores: {place}")
    return DONE


study = group("Ask people what the summaries show, and score what they answer.", {"build": build, "score": score})
