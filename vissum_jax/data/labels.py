"""From what people write to a class of a network: names, WordNet ids, indices, `labels.csv`."""

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from vissum_jax.data.csv_rows import csv_rows
from vissum_jax.types import ClassifierSpec

LABELS_FILE = "labels.csv"
_COLUMNS = ("folder", "imagenet_index")
# ImageNet's folders and some data sets append the name: n02099601, n02099601_golden_retriever, n02099601-...
_WORDNET_ID = re.compile(r"(n\d{8})(?:[-_ ].*)?", re.IGNORECASE)


class UnknownLabelError(ValueError):
    """A label that names no class, or more than one; the message is one line."""


def normalise(name: str) -> str:
    """A name as it is compared: no case, and space, underscore and hyphen alike."""
    return re.sub(r"[\s_-]+", " ", printable(name)).strip().casefold()


def printable(name: str) -> str:
    """A file name as text that can be printed and stored: bytes that are not UTF-8 are spelt out."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """The end of a sentence: the choice most like the name, or a full stop where none is."""
    by_normal = {normalise(choice): choice for choice in choices}
    found = difflib.get_close_matches(normalise(name), list(by_normal), n=1)
    return f"; did you mean {printable(by_normal[found[0]])!r}?" if found else "."


class LabelIndex:
    """The classes of one network, found by what people call them.

    A label is tried as a class name, then as a WordNet id (alone or followed by a name, as in
    ``n02099601-golden_retriever``), then as an index. Names match whatever the case, with space, underscore
    and hyphen alike.
    """

    def __init__(self, spec: ClassifierSpec) -> None:
        self._spec = spec
        self._by_name: dict[str, list[int]] = defaultdict(list)
        for index, name in enumerate(spec.class_names):
            self._by_name[normalise(name)].append(index)
        self._by_wordnet_id = {wordnet_id.lower(): index for index, wordnet_id in enumerate(spec.wordnet_ids)}

    def resolve(self, label: str, *, suggest: Sequence[str] = ()) -> int:
        """The index of the class that a label names.

        Args:
            label: A class name, a WordNet id or an index.
            suggest: What else an error may suggest, beside class names.

        Raises:
            UnknownLabelError: The label names no class (the message names the nearest), or a name that
                several classes share (the message names them).
        """
        named = self._by_name.get(normalise(label), [])
        if len(named) == 1:
            return named[0]
        if named:
            choices = " or ".join(self._describe(index) for index in named)
            raise UnknownLabelError(
                f"{printable(label)!r} names {len(named)} classes of {self._spec.name}: say {choices}."
            )
        if wordnet_id := _WORDNET_ID.fullmatch(label.strip()):
            return self._resolve_wordnet_id(wordnet_id[1].lower())
        if re.fullmatch(r"[0-9]+", label.strip()):
            return self._check(int(label))
        hint = did_you_mean(label, [*self._spec.class_names, *suggest])
        raise UnknownLabelError(f"{printable(label)!r} names no class of {self._spec.name}{hint}")

    def name(self, index: int) -> str:
        """The name of a class."""
        return self._spec.class_names[self._check(index)]

    def _resolve_wordnet_id(self, wordnet_id: str) -> int:
        if not self._by_wordnet_id:
            raise UnknownLabelError(
                f"{wordnet_id!r} is a WordNet id, and {self._spec.name} has none: use class names or indices."
            )
        if wordnet_id not in self._by_wordnet_id:
            raise UnknownLabelError(f"{wordnet_id!r} is the WordNet id of no class of {self._spec.name}.")
        return self._by_wordnet_id[wordnet_id]

    def _check(self, index: int) -> int:
        last = len(self._spec.class_names) - 1
        if not 0 <= index <= last:
            raise UnknownLabelError(f"{self._spec.name} has no class {index}: its indices are 0 to {last}.")
        return index

    def _describe(self, index: int) -> str:
        return f"{self._spec.wordnet_ids[index]} ({index})" if self._spec.wordnet_ids else str(index)


def read_labels(path: Path, labels: LabelIndex) -> dict[str, int]:
    """Read a `labels.csv`: a header with the columns ``folder`` and ``imagenet_index``, a row a folder.

    Several folders may map to one class. Folders that do not exist are allowed: the table may describe more
    than is at hand.

    Returns:
        The class index of each folder named.

    Raises:
        ValueError: No such table, or a row that names no class or contradicts another; names the line.
    """
    folders: dict[str, int] = {}
    for where, row in csv_rows(path, _COLUMNS):
        folder, text = (row["folder"] or "").strip(), (row["imagenet_index"] or "").strip()
        if not folder or not re.fullmatch(r"[0-9]+", text):
            raise ValueError(f"{where}: needs a folder and an index, got folder {folder!r}, index {text!r}.")
        index = int(text)
        try:
            labels.name(index)
        except UnknownLabelError as error:
            raise ValueError(f"{where}: {error}") from error
        if folders.setdefault(folder, index) != index:
            raise ValueError(f"{where}: folder {folder!r} is both {folders[folder]} and {index}.")
    return folders
