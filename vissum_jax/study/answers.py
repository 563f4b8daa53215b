"""Answers of participants, read from files that strangers send: everything is checked, nothing is trusted."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vissum_jax.study.nouns import MAX_LETTERS, MAX_NOUNS

FORMAT, VERSION = "vissum-study-answers", 1
MAX_BYTES = 4 * 2**20
MAX_PARTICIPANT = 60

_STUDY = re.compile(r"[0-9a-f]{16}")
_QUESTION = re.compile(r"(0|[1-9][0-9]{0,8})-(0|[1-9][0-9]{0,5})")
_KEYS = {"format", "version", "study", "participant", "order", "answers"}


@dataclass(frozen=True, kw_only=True)
class Answers:
    """One participant's answers.

    Attributes:
        file: Name of their file.
        study: Id of the study.
        participant: What the participant calls themself.
        nouns: For each question answered, by (class, summary), the nouns; none where they had no idea.
    """

    file: str
    study: str
    participant: str
    nouns: Mapping[tuple[int, int], tuple[str, ...]]


def read_answers(folder: Path) -> list[Answers]:
    """Read all answers in a folder, ``*.json``, by file name.

    Raises:
        ValueError: A file is none that the study's page wrote, two are of one participant, or they are of different
            studies; one line that names the file.
    """
    if not folder.is_dir():
        raise ValueError(f"{str(folder)!r} is not a folder of answers.")
    files = sorted(path for path in folder.iterdir() if path.suffix == ".json")
    if not files:
        raise ValueError(f"{str(folder)!r} holds no answers: no file ends in .json.")
    read = [_read(path) for path in files]
    first, by_participant = read[0], {}
    for answers in read:
        if answers.study != first.study:
            raise ValueError(
                f"{answers.file!r} answers study {answers.study}, {first.file!r} study {first.study}: score them apart."
            )
        other = by_participant.setdefault(answers.participant, answers)
        if other is not answers:
            raise ValueError(f"{other.file!r} and {answers.file!r} are both of participant {answers.participant!r}.")
    return read


def _read(path: Path) -> Answers:
    def refuse(why: str) -> ValueError:
        return ValueError(f"{path.name!r} is not a file of answers: {why}.")

    if not path.is_file():  # a pipe would block
        raise refuse("it is not a regular file")
    if path.stat().st_size > MAX_BYTES:
        raise refuse(f"it has {path.stat().st_size} bytes; at most {MAX_BYTES} are read")
    try:
        values = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:  # ValueError: not JSON, or not UTF-8
        raise refuse(f"it is not JSON ({' '.join(str(error).split())})") from error
    try:
        return _checked(path.name, values)
    except _SchemaError as error:
        raise refuse(str(error)) from error


class _SchemaError(Exception):
    """A file has another form than the page gives it."""


def _checked(file: str, values: Any) -> Answers:
    _check(isinstance(values, dict) and values.get("format") == FORMAT, f"its `format` is not {FORMAT!r}")
    _check(values.get("version") == VERSION, f"its `version` is {values.get('version')!r}, not {VERSION}")
    _check(set(values) == _KEYS, f"its names are {sorted(values)}, not {sorted(_KEYS)}")
    _check(_matches(_STUDY, values["study"]), "its `study` is not 16 hexadecimal digits")
    participant = values["participant"]
    _check(
        _is_text(participant, MAX_PARTICIPANT) and participant == participant.strip(),
        f"its `participant` is not a text of 1 to {MAX_PARTICIPANT} characters",
    )
    order, answers = values["order"], values["answers"]
    _check(
        isinstance(order, list) and all(_matches(_QUESTION, name) for name in order),
        "its `order` is no list of questions",
    )
    _check(len(set(order)) == len(order), "its `order` asks a question twice")
    _check(
        isinstance(answers, dict) and set(answers) <= set(order), "its `answers` are not to questions of its `order`"
    )
    nouns = {}
    for name, answer in answers.items():
        known = isinstance(answer, dict) and set(answer) == {"nouns", "no_idea"}
        _check(known and isinstance(answer["no_idea"], bool), f"its answer to {name} is not {{nouns, no_idea}}")
        given = answer["nouns"]
        _check(
            isinstance(given, list) and len(given) <= MAX_NOUNS and all(_is_text(noun, MAX_LETTERS) for noun in given),
            f"its answer to {name} is not a list of at most {MAX_NOUNS} nouns of at most {MAX_LETTERS} characters",
        )
        _check(answer["no_idea"] != bool(given), f"its answer to {name} has both nouns and no idea, or neither")
        class_index, summary = name.split("-")
        nouns[int(class_index), int(summary)] = tuple(given)
    return Answers(file=file, study=values["study"], participant=participant, nouns=nouns)


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise _SchemaError(otherwise)


def _matches(pattern: re.Pattern, value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_text(value: Any, longest: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= longest and value.isprintable() and bool(value.strip())
