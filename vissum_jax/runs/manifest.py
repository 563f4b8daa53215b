"""The frozen description of a run, written before its first result."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from vissum_jax.runs.place import open_place
from vissum_jax.runs.store import Storage

FILE = "manifest.json"
FORMAT = 1
"""Version of the layout of a RUN folder."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a run computes, from what, with what.

    Attributes:
        configuration: Resolved configuration, nested plain values.
        fingerprint: Hash of `configuration`.
        request: What the user asked for, from which the configuration resolves.
        model: Name, weights hash and input size of the network.
        versions: Version of each package.
        device: What the run computes on.
        entries: (image, class_index, class_name) of every image, in the order of the rows.
        shards: (start, stop) into `entries` of every mask part.
    """

    configuration: Mapping[str, Any]
    fingerprint: str
    request: Mapping[str, Any]
    model: Mapping[str, Any]
    versions: Mapping[str, str]
    device: str
    entries: tuple[tuple[str, int, str], ...]
    shards: tuple[tuple[int, int], ...]
    format: int = FORMAT

    @property
    def classes(self) -> dict[int, str]:
        """Names of the classes, by index."""
        return {index: name for _, index, name in self.entries}

    def images_of(self, class_index: int) -> tuple[str, ...]:
        """The images of a class, in the order of its rows; summaries count them."""
        return self._images.get(class_index, ())

    def parts_of(self, class_index: int) -> tuple[int, ...]:
        """The mask parts that hold any image of a class."""
        return self._parts.get(class_index, ())

    @cached_property
    def _images(self) -> dict[int, tuple[str, ...]]:
        found: dict[int, list[str]] = {}
        for image, index, _ in self.entries:
            found.setdefault(index, []).append(image)
        return {index: tuple(images) for index, images in found.items()}

    @cached_property
    def _parts(self) -> dict[int, tuple[int, ...]]:
        found: dict[int, list[int]] = {}
        for number, (start, stop) in enumerate(self.shards):
            for index in {index for _, index, _ in self.entries[start:stop]}:
                found.setdefault(index, []).append(number)
        return {index: tuple(parts) for index, parts in found.items()}

    def save(self, run: Path | str | Storage) -> None:
        """Write it into a RUN folder, or object store."""
        data = json.dumps(dataclasses.asdict(self), indent=1, ensure_ascii=False)
        open_place(run).write(FILE, data.encode())


def load_manifest(run: Path | str | Storage) -> Manifest:
    """Read the manifest of a RUN folder, or object store.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If the manifest is damaged or of another format.
    """
    storage = open_place(run)
    path = f"{storage}/{FILE}"
    try:
        values = json.loads(storage.read(FILE).decode())
    except FileNotFoundError:
        raise FileNotFoundError(f"{str(storage)!r} is not a RUN folder: it holds no {FILE}.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path!r} is damaged: {error}.") from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        found = values.get("format") if isinstance(values, dict) else None
        raise ValueError(f"{path!r} has format {found!r}; this version reads {FORMAT}.")
    try:
        entries = tuple((image, index, name) for image, index, name in values.pop("entries"))
        shards = tuple((start, stop) for start, stop in values.pop("shards"))
        return Manifest(**values, entries=entries, shards=shards)
    except KeyError as error:
        raise ValueError(f"{path!r} is damaged: no {error}.") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path!r} is damaged: {error}.") from error


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested values as dotted names."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def differences(old: Manifest, new: Manifest) -> list[str]:
    """What differs between two runs' results-deciding values, a line each: ``name: old -> new``."""
    before = dict(flat({**old.configuration, "model": old.model}))
    after = dict(flat({**new.configuration, "model": new.model}))
    lines = [
        f"{name}: {before.get(name, '(unset)')!r} -> {after.get(name, '(unset)')!r}"
        for name in sorted({*before, *after})
        if before.get(name, "(unset)") != after.get(name, "(unset)")
    ]
    if old.entries != new.entries:
        gone = len({entry[:2] for entry in old.entries} - {entry[:2] for entry in new.entries})
        added = len({entry[:2] for entry in new.entries} - {entry[:2] for entry in old.entries})
        lines.append(f"images: {len(old.entries)} -> {len(new.entries)} ({gone} gone, {added} added)")
    return lines
