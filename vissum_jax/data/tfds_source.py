"""Photographs of a data set that TensorFlow Datasets has prepared, read without TensorFlow."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from vissum_jax.data.decode import DecodeLimits, UnreadableImage
from vissum_jax.data.labels import LabelIndex, UnknownLabelError, printable
from vissum_jax.data.source import ImageEntry, RecordSource, choose
from vissum_jax.types import ClassifierSpec

_CHUNK = 256  # records asked for at once while labels are listed
_PLAIN_NAME = re.compile(r"[\w-][\w.-]{0,99}", re.ASCII)  # of a file: no folder, not hidden


@dataclass(frozen=True, kw_only=True)
class TfdsSource(RecordSource):
    """A frozen list of records of one split, named ``NUMBER`` or ``NUMBER_FILE``.

    Attributes:
        records: The split.
    """

    records: _Records = field(repr=False)

    def where(self, image: str) -> str:
        """The data set and the record's name."""
        return f"{self.records.place}/{image}"

    def fetch(self, images: Sequence[str], limits: DecodeLimits) -> list[bytes | UnreadableImage]:
        """The encoded images of some records, in order; `limits` are the decoder's to check."""
        found: list[bytes | UnreadableImage] = []
        numbers = [int(image.partition("_")[0]) for image in images]
        for image, record in zip(images, self.records.read(numbers), strict=True):
            if isinstance(record, UnreadableImage):
                found.append(record)
            elif self.records.name(int(image.partition("_")[0]), record) != image or (
                # Both None where the split was opened for its files alone.
                self._index_of.get(image) != self.records.classes.get(int(record[self.records.label]))
            ):
                found.append(UnreadableImage("the record is another one now: the data set was prepared anew"))
            else:
                found.append(record[self.records.image])
        return found

    @cached_property
    def _index_of(self) -> dict[str, int]:
        return {entry.image: entry.class_index for entry in self.entries}


@dataclass(frozen=True, kw_only=True)
class _Records:
    """A split, whose images stay encoded.

    Attributes:
        place: What the user called it.
        data: The records.
        image: Name of the feature that holds the image.
        label: Name of the feature that holds the label.
        classes: The network's class of each of the data set's labels that is taken.
    """

    place: str
    data: Any
    image: str
    label: str
    classes: dict[int, int]

    def read(self, numbers: Sequence[int]) -> list[dict[str, Any] | UnreadableImage]:
        """Some records, in order; where one cannot be read, the reason."""
        if any(number >= len(self.data) for number in numbers):
            return [self._one(number) for number in numbers]
        try:
            return list(self.data.__getitems__(list(numbers)))
        except Exception:  # of damaged files the library speaks in whatever way; once more, to learn which record it is
            return [self._one(number) for number in numbers]

    def _one(self, number: int) -> dict[str, Any] | UnreadableImage:
        try:
            return self.data[number]
        except Exception as error:
            return UnreadableImage(f"the record cannot be read: {_first_line(error)}")

    @staticmethod
    def name(number: int, record: dict[str, Any]) -> str:
        """What a record is called: its number, and its file's name where it has one that is no path."""
        file = record.get("file_name", b"")
        text = file.decode("ascii", "replace") if isinstance(file, bytes) else ""
        return f"{number:08d}_{text}" if _PLAIN_NAME.fullmatch(text) else f"{number:08d}"


def open_tfds(
    place: str,
    spec: ClassifierSpec,
    *,
    classes: Sequence[str] = (),
    limit: int | None = None,
    known: Sequence[ImageEntry] | None = None,
) -> TfdsSource:
    """List the photographs of a split that was prepared as ArrayRecord.

    Labels stand for the classes that their names name: class names, WordNet ids or indices.

    Args:
        place: ``NAME/SPLIT``, where NAME is what `tfds.builder` takes (prepared in TFDS_DATA_DIR) or the folder of a
            prepared data set.
        spec: The network whose classes the labels stand for.
        classes: Labels to take: each a label's name, or a class's name, WordNet id or index. Empty: all.
        limit: The most photographs of a class, the first in the split; None: all.
        known: What an earlier call with the same arguments listed, which is then not read through again.

    Raises:
        FileNotFoundError: No such data set is prepared.
        ValueError: It has no images with labels, or is damaged; or a label or a selected class names no class.
    """
    labels = LabelIndex(spec)
    records, stated = _open(place)
    names = stated.names or [str(index) for index in range(stated.num_classes)]

    def class_of(text: str) -> int:
        try:
            return labels.resolve(text)
        except UnknownLabelError as error:
            raise UnknownLabelError(f"Label of 'tfds:{printable(place)}': {error}") from error

    chosen = choose(classes, names, class_of, labels, "label")
    taken = {number: chosen[text] for number, text in enumerate(names) if text in chosen}
    records = dataclasses.replace(records, classes=taken)
    if known is not None:
        return TfdsSource(entries=tuple(known), records=records)
    by_class: dict[int, list[str]] = {}
    for found, index in _listed(records):
        of_class = by_class.setdefault(index, [])
        if limit is None or len(of_class) < limit:
            of_class.append(found)
    return TfdsSource(
        entries=tuple(
            ImageEntry(image=found, class_index=index, class_name=labels.name(index))
            for index, images in sorted(by_class.items())
            for found in images
        ),
        records=records,
    )


def open_tfds_files(place: str) -> TfdsSource:
    """The photographs of a split by their names alone, none listed; errors as of `open_tfds`."""
    return TfdsSource(entries=(), records=_open(place)[0])


def _open(place: str) -> tuple[_Records, Any]:
    """The records of a split, of whose labels none is taken yet, and the feature of the label."""
    name, _, split = place.rpartition("/")
    if not name or not split:
        raise ValueError(f"'tfds:{printable(place)}' does not name a data set and a split; write tfds:NAME/SPLIT.")
    builder = _builder(name, place)
    image, label = _features(builder, place)
    data = _data(builder, split, image, place)
    records = _Records(place=f"tfds:{place}", data=data, image=image, label=label, classes={})
    return records, builder.info.features[label]


def _listed(records: _Records) -> Iterator[tuple[str, int]]:
    """Name and class of every record that is taken: one pass through the whole split, which keeps labels nowhere else.

    Raises:
        ValueError: If a record cannot be read or has no label.
    """
    for start in range(0, len(records.data), _CHUNK):
        numbers = range(start, min(start + _CHUNK, len(records.data)))
        for number, record in zip(numbers, records.read(numbers), strict=True):
            if isinstance(record, UnreadableImage):
                raise ValueError(f"{records.place!r}, record {number}: {record}.")
            label = int(record[records.label])
            if label < 0:
                raise ValueError(f"{records.place!r}, record {number} has no label; take a split that has labels.")
            if label in records.classes:
                yield records.name(number, record), records.classes[label]


def _builder(name: str, place: str) -> Any:
    """What reads the data set."""
    # Takes a second, and other sources have no use for it.
    import tensorflow_datasets as tfds

    folder = Path(name).expanduser()
    try:
        return tfds.builder_from_directory(folder) if folder.is_dir() else tfds.builder(name)
    except Exception as error:  # a damaged or hostile folder fails in whatever way the library meets first
        raise FileNotFoundError(f"'tfds:{printable(place)}': {_first_line(error)}") from error


def _features(builder: Any, place: str) -> tuple[str, str]:
    """Names of the features that hold the image and the label."""
    import tensorflow_datasets as tfds

    features = builder.info.features
    kinds = dict(features.items()) if isinstance(features, tfds.features.FeaturesDict) else {}
    images = [key for key, kind in kinds.items() if isinstance(kind, tfds.features.Image)]
    labels = [key for key, kind in kinds.items() if isinstance(kind, tfds.features.ClassLabel)]
    if len(images) != 1 or len(labels) != 1:
        raise ValueError(
            f"'tfds:{printable(place)}' must have one image and one class label a record, got {len(images)} and "
            f"{len(labels)}."
        )
    return images[0], labels[0]


def _data(builder: Any, split: str, image: str, place: str) -> Any:
    """The records, their images encoded."""
    import tensorflow_datasets as tfds

    where = f"'tfds:{printable(place)}'"
    decoders: Any = {image: tfds.decode.SkipDecoding()}
    try:
        return builder.as_data_source(split, decoders=decoders)
    except NotImplementedError as error:
        raise ValueError(
            f"{where} is prepared in a format without random access; prepare it with file_format='array_record'."
        ) from error
    except AssertionError as error:
        raise FileNotFoundError(
            f"{where} is not prepared; run download_and_prepare with file_format='array_record' first, and set "
            "TFDS_DATA_DIR if it lies elsewhere."
        ) from error
    except Exception as error:
        raise ValueError(f"{where}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return " ".join(lines[0].split()) if lines else type(error).__name__
