"""Photographs in tar files as WebDataset lays them out: ``KEY.jpg`` beside ``KEY.cls``, which says its class.

The tar files are untrusted: they are read where they lie, nothing is unpacked, linked or unpickled.
"""

from __future__ import annotations

import glob
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from vissum_jax.data.decode import DecodeLimits, UnreadableImage
from vissum_jax.data.folder import EXTENSIONS
from vissum_jax.data.labels import LabelIndex, UnknownLabelError, printable
from vissum_jax.data.source import ImageEntry, RecordSource, choose
from vissum_jax.types import ClassifierSpec

_LABEL = ".cls"
_MOST_LABEL_BYTES = 200  # a class's name, WordNet id or index
_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}|\{([^{}]*,[^{}]*)\}")
_MOST_SHARDS = 100_000


class Member(NamedTuple):
    """A file in a tar file.

    Attributes:
        shard: The tar file.
        start: Where its bytes begin there.
        size: Their number; -1 for what is no regular file.
    """

    shard: Path
    start: int
    size: int


@dataclass(frozen=True, kw_only=True)
class WebDatasetSource(RecordSource):
    """A frozen list of photographs in tar files, named ``SHARD/KEY.EXTENSION``.

    Attributes:
        place: The pattern of the tar files.
        members: Where each photograph is.
    """

    place: str
    members: Mapping[str, Member] = field(repr=False)

    def where(self, image: str) -> str:
        """The tar file and the member."""
        return f"{self.members[image].shard.parent}/{image}"

    def fetch(self, images: Sequence[str], limits: DecodeLimits) -> list[bytes | UnreadableImage]:
        """The bytes of some members, in order."""
        members = [self.members.get(image) for image in images]
        return [
            UnreadableImage("no tar file holds it") if member is None else _bytes_of(member, limits)
            for member in members
        ]


def open_webdataset(
    place: str, spec: ClassifierSpec, *, classes: Sequence[str] = (), limit: int | None = None
) -> WebDatasetSource:
    """List the photographs of tar files.

    Args:
        place: Path of the tar files; ``{000..049}``, ``{train,val}``, ``*`` and ``?`` stand for several.
        spec: The network whose classes the labels stand for.
        classes: Labels to take: each a label as ``.cls`` files write it, or a class's name, WordNet id or index.
            Empty: all.
        limit: The most photographs of a class, the first by shard and place in it; None: all.

    Raises:
        FileNotFoundError: No such tar files.
        ValueError: One is damaged or compressed, a member's name leads elsewhere, a photograph has no label, or a label
            or a selected class names no class; one line.
    """
    labels = LabelIndex(spec)
    members, texts = _listed(place)

    def class_of(text: str) -> int:
        try:
            return labels.resolve(text)
        except UnknownLabelError as error:
            raise UnknownLabelError(f"Label in 'webdataset:{printable(place)}': {error}") from error

    chosen = choose(classes, sorted(set(texts.values())), class_of, labels, "label")
    by_class: dict[int, list[str]] = {}
    for image, text in texts.items():
        if text in chosen:
            by_class.setdefault(chosen[text], []).append(image)
    return WebDatasetSource(
        entries=tuple(
            ImageEntry(image=image, class_index=index, class_name=labels.name(index))
            for index, images in sorted(by_class.items())
            for image in images[:limit]
        ),
        place=place,
        members=members,
    )


def open_webdataset_files(place: str) -> WebDatasetSource:
    """The photographs of tar files by their names alone, none listed; errors as of `open_webdataset`."""
    return WebDatasetSource(entries=(), place=place, members=_listed(place)[0])


def _listed(place: str) -> tuple[dict[str, Member], dict[str, str]]:
    """Place and label of every photograph, by name, in the tar files' order."""
    members: dict[str, Member] = {}
    texts: dict[str, str] = {}
    for shard in shards_of(place):
        for image, member, text in _samples(shard):
            if image in members:
                raise ValueError(
                    f"{str(member.shard)!r} holds {image!r}, which {str(members[image].shard)!r} holds too."
                )
            members[image], texts[image] = member, text
    if not members:
        raise ValueError(f"'webdataset:{printable(place)}' holds no pictures with labels.")
    return members, texts


def shards_of(pattern: str) -> list[Path]:
    """The tar files that a pattern stands for, in order.

    Raises:
        FileNotFoundError: There are none, or one that braces name is missing.
        ValueError: Braces that cannot be read, or that name too many.
    """
    found: list[Path] = []
    for path in _expanded(pattern):
        if glob.has_magic(path):
            found += map(Path, sorted(glob.glob(path)))
        elif Path(path).is_file():
            found.append(Path(path))
        else:
            raise FileNotFoundError(f"No tar file {printable(path)!r}.")
    if not found:
        raise FileNotFoundError(f"No tar files {printable(pattern)!r}.")
    return found


def _expanded(pattern: str) -> Iterator[str]:
    choices, end, count = [], 0, 1
    for braces in _BRACES.finditer(pattern):
        first, last, listed = braces.groups()
        if listed is not None:
            names = listed.split(",")
        elif int(first) <= int(last) < int(first) + _MOST_SHARDS:
            names = [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
        else:
            raise ValueError(f"{braces[0]!r} in 'webdataset:{printable(pattern)}' names no shards, or too many.")
        count *= len(names)
        choices += [[pattern[end : braces.start()]], names]
        end = braces.end()
    if count > _MOST_SHARDS:
        raise ValueError(f"'webdataset:{printable(pattern)}' names {count} shards; at most {_MOST_SHARDS} are read.")
    return ("".join(parts) for parts in product(*choices, [pattern[end:]]))


def _samples(shard: Path) -> Iterator[tuple[str, Member, str]]:
    """Name, place and label of every photograph of a tar file."""
    pictures: dict[str, tuple[str, Member]] = {}
    texts: dict[str, str] = {}
    for name, member in _members(shard):
        path = PurePosixPath(name)
        file, dot, extension = path.name.partition(".")
        if not file or not dot:  # hidden, or not of a sample
            continue
        key = str(path.with_name(file))
        if f".{extension}".lower() == _LABEL:
            texts[key] = _label(member, name)
        elif f".{extension}".lower() in EXTENSIONS:
            if key in pictures:
                raise ValueError(f"{str(shard)!r}: sample {key!r} holds two pictures.")
            pictures[key] = f"{printable(shard.name)}/{name}", member
    for key, (image, member) in pictures.items():
        if key not in texts:
            raise ValueError(f"{str(shard)!r}: picture {image!r} has no label; a {key + _LABEL!r} must say its class.")
        yield image, member, texts[key]


def _members(shard: Path) -> Iterator[tuple[str, Member]]:
    """Name and place of every member of a tar file.

    Raises:
        ValueError: If it is damaged or compressed, or a name leads out of the folder that it would be unpacked in.
    """
    try:
        with open(shard, "rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                name = printable(member.name)
                path = PurePosixPath(name)
                if member.isdir():
                    continue
                if path.is_absolute() or ".." in path.parts or "\\" in name or not name.isprintable():
                    raise ValueError(f"{str(shard)!r}: the name {name!r} leads elsewhere.")
                regular = member.isreg() and not member.issparse()
                yield str(path), Member(shard, member.offset_data, member.size if regular else -1)
            # The library takes a header that it cannot read for the end.
            file.seek(tar.offset)
            if any(file.read(tarfile.BLOCKSIZE)):
                raise ValueError(f"{str(shard)!r} is damaged at byte {tar.offset}.")
    except tarfile.TarError as error:
        raise ValueError(f"{str(shard)!r} is no tar file, or compressed, or damaged: {error}.") from error


def _label(member: Member, name: str) -> str:
    data = _bytes_of(member, DecodeLimits(max_bytes=_MOST_LABEL_BYTES))
    if isinstance(data, UnreadableImage):
        raise ValueError(f"{str(member.shard)!r}: label {name!r}: {data}.")
    return data.decode("utf-8", "backslashreplace").strip()


def _bytes_of(member: Member, limits: DecodeLimits) -> bytes | UnreadableImage:
    if member.size < 0:
        return UnreadableImage("not a regular file")
    if member.size > limits.max_bytes:
        return UnreadableImage(f"the file has {member.size} bytes; at most {limits.max_bytes} are read")
    try:
        with open(member.shard, "rb") as file:
            file.seek(member.start)
            data = file.read(member.size)
    except OSError as error:
        return UnreadableImage(f"the tar file cannot be read: {error.strerror}")
    return data if len(data) == member.size else UnreadableImage("the tar file ends before its member")
