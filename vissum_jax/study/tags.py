"""Names that people gave to summaries, as a file in the RUN folder that reports and exports read.

``RUN/study/tags.json`` is one object::

    {"format": "vissum-tags", "version": 1,
     "fingerprint": "...",                           of the run's configuration
     "study": "...",                                 id of the study: which summaries were shown
     "tags": [{"class_index": 207, "summary": 0,     number of the summary, from 0; those without a noun that is
                                                     more common than all others are left out
               "tag": "ear",                         the noun that most participants gave
               "share": 0.8, "participants": 5}]}    share of the participants who were asked that gave it
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FOLDER, FILE = "study", "tags.json"
FORMAT, VERSION = "vissum-tags", 1


@dataclass(frozen=True, kw_only=True)
class Tag:
    """What people call a summary.

    Attributes:
        class_index: Class of the summary.
        summary: Its number, from 0.
        tag: The noun that most participants gave.
        share: Share of the participants asked that gave it.
        participants: Number of participants asked.
    """

    class_index: int
    summary: int
    tag: str
    share: float
    participants: int


def tags_object(tags: Iterable[Tag], *, fingerprint: str, study: str) -> dict[str, Any]:
    """The object that ``tags.json`` holds."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "fingerprint": fingerprint,
        "study": study,
        "tags": [asdict(tag) for tag in tags],
    }


def read_tags(run: Path, *, fingerprint: str) -> dict[tuple[int, int], Tag]:
    """What people call a run's summaries, by class and number of the summary.

    Args:
        run: The RUN folder.
        fingerprint: Of the run's configuration: names of another one's summaries are not given to these.

    Returns:
        Nothing where nobody was asked.

    Raises:
        ValueError: The file is damaged.
    """
    path = run / FOLDER / FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{str(path)!r} is damaged: {error}.") from error
    try:
        if (values["format"], values["version"]) != (FORMAT, VERSION):
            raise ValueError(f"{str(path)!r} has another format than {FORMAT} {VERSION}; score the study again.")
        if values["fingerprint"] != fingerprint:
            return {}
        tags = [Tag(**entry) for entry in values["tags"]]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{str(path)!r} is damaged: {error}.") from error
    return {(tag.class_index, tag.summary): tag for tag in tags}
