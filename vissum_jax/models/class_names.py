"""Class names from a file: one a line, a JSON list, or a JSON object from index to name."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def read_class_names(path: Path | str) -> tuple[str, ...]:
    """Read the names of a network's classes, in the order of its logits.

    Args:
        path: Text in UTF-8: one name a line; or JSON, a list of names or an object from "0", "1", .. to names.

    Returns:
        The names.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is something else, or a name is empty or occurs twice (a lost or doubled line
            shifts every class after it).
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"`class_names`: there is no file {path}.")
    try:
        text = path.read_text(encoding="utf-8-sig")
        names = _from_json(text) if text.lstrip().startswith(("[", "{")) else text.rstrip().split("\n")
    except ValueError as error:  # of text and JSON both
        raise ValueError(f"`class_names`: {path} cannot be read: {error}.") from error
    stripped = [name.strip() for name in names]
    check_class_names(stripped, str(path))
    return tuple(stripped)


def check_class_names(names: Sequence[str], source: str) -> None:
    """Check that every class has a name of its own.

    Raises:
        ValueError: If a name is empty or occurs twice.
    """
    if "" in names:
        raise ValueError(f"`class_names`: name {names.index('') + 1} of {len(names)} in {source} is empty.")
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        where = " and ".join(str(number) for number, other in enumerate(names, start=1) if other == name)
        raise ValueError(f"`class_names`: {name!r} is twice in {source} (names {where}); every class needs its own.")


def _from_json(text: str) -> list[str]:
    content = json.loads(text, object_pairs_hook=_unique)
    if isinstance(content, dict):
        missing = [str(index) for index in range(len(content)) if str(index) not in content]
        if missing:
            raise ValueError(f"its keys must be the indices 0 to {len(content) - 1}, and {missing[0]} is missing")
        content = [content[str(index)] for index in range(len(content))]
    if not content or not all(isinstance(name, str) for name in content):
        raise ValueError("neither a list of names nor an object from index to name")
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise ValueError(f"its key {Counter(keys).most_common(1)[0][0]!r} occurs twice")
    return dict(pairs)
