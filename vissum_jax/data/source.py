"""What a source of photographs is: a frozen list of names and classes, and the bytes behind each name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from vissum_jax.data.decode import Decoded, DecodeLimits, UnreadableImage, decode_bytes
from vissum_jax.data.labels import LabelIndex, UnknownLabelError, normalise, printable
from vissum_jax.types import ClassifierSpec

_CHUNK = 64  # files of records held in memory at once


@dataclass(frozen=True, kw_only=True)
class ImageEntry:
    """One photograph, readable or not.

    Attributes:
        image: Its name: a relative path with forward slashes that leads nowhere out of the place it starts from.
        class_index: The class it is labelled with.
        class_name: That class's name.
    """

    image: str
    class_index: int
    class_name: str


class ImageSource(Protocol):
    """Photographs with labels, wherever they are kept."""

    @property
    def entries(self) -> tuple[ImageEntry, ...]:
        """All photographs, by class index, in an order of the source's own within a class."""
        ...

    @property
    def classes(self) -> dict[int, str]:
        """Names of the classes present, by index."""
        ...

    def of_class(self, class_index: int) -> tuple[ImageEntry, ...]:
        """The photographs of one class."""
        ...

    def where(self, image: str) -> str:
        """Where a photograph is kept; differs for any two, and is absolute."""
        ...

    def fetch(self, images: Sequence[str], limits: DecodeLimits) -> list[bytes | UnreadableImage]:
        """The files of photographs as they are stored, in order; where one is unreadable, the reason."""
        ...

    def read(
        self, entries: Sequence[ImageEntry], spec: ClassifierSpec, *, workers: int, limits: DecodeLimits | None = None
    ) -> list[Decoded | UnreadableImage]:
        """Decode some of the photographs, in order; see `decode_batch`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Listed:
    """What all sources have in common: the list.

    Attributes:
        entries: By class index, then in the source's order.
    """

    entries: tuple[ImageEntry, ...]

    @property
    def classes(self) -> dict[int, str]:
        """Names of the classes present, by index."""
        return {entry.class_index: entry.class_name for entry in self.entries}

    def of_class(self, class_index: int) -> tuple[ImageEntry, ...]:
        """The photographs of one class."""
        return self._by_class.get(class_index, ())

    @cached_property
    def _by_class(self) -> dict[int, tuple[ImageEntry, ...]]:
        found: dict[int, list[ImageEntry]] = {}
        for entry in self.entries:
            found.setdefault(entry.class_index, []).append(entry)
        return {index: tuple(entries) for index, entries in found.items()}


@dataclass(frozen=True, kw_only=True)
class RecordSource(Listed):
    """Photographs that are records of larger files."""

    def fetch(self, images: Sequence[str], limits: DecodeLimits) -> list[bytes | UnreadableImage]:
        """The photographs' files as they are stored."""
        raise NotImplementedError

    def read(
        self, entries: Sequence[ImageEntry], spec: ClassifierSpec, *, workers: int, limits: DecodeLimits | None = None
    ) -> list[Decoded | UnreadableImage]:
        """Decode some of the photographs, in order; see `decode_batch`."""
        limits = limits or DecodeLimits()
        found: list[Decoded | UnreadableImage] = []
        for start in range(0, len(entries), _CHUNK):
            files = self.fetch([entry.image for entry in entries[start : start + _CHUNK]], limits)
            found += decode_bytes(files, spec, workers=workers, limits=limits)
        return found


def choose(
    wanted: Sequence[str], groups: Sequence[str], class_of: Callable[[str], int], labels: LabelIndex, what: str
) -> dict[str, int]:
    """The class of each group of photographs that a selection names; other groups need not stand for any class.

    Args:
        wanted: Each a group's name, or a class's name, WordNet id or index (all groups of that class). Empty: all.
        groups: Names of the groups: class folders, or labels.
        class_of: The class that a group stands for; raises UnknownLabelError.
        labels: The network's classes.
        what: What a group is called in messages.

    Raises:
        ValueError: A selected group or, of an empty selection, any group stands for no class; one line.
    """
    if not wanted:
        return {group: class_of(group) for group in groups}
    known: dict[str, int] = {}
    for group in groups:
        try:
            known[group] = class_of(group)
        except UnknownLabelError:
            continue  # an error only where it is selected, below
    chosen: dict[str, int] = {}
    for name in wanted:
        exact = [group for group in groups if group == name]
        named = exact or [group for group in groups if normalise(group) == normalise(name)]
        if named:
            chosen |= {group: class_of(group) for group in named}
            continue
        index = labels.resolve(name, suggest=groups)
        of_class = [group for group, class_index in known.items() if class_index == index]
        if not of_class:
            raise ValueError(f"No {what} stands for {printable(name)!r} (class {index}, {labels.name(index)}).")
        chosen |= dict.fromkeys(of_class, index)
    return chosen
