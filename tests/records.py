"""Small data sets in the formats that photographs are kept in by the thousand."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from vissum_jax.data import Decoded, ImageEntry, ImageSource
from vissum_jax.types import ClassifierSpec

SPEC = ClassifierSpec(
    name="net",
    input_height=32,
    input_width=32,
    resize_short_side=32,
    class_names=("tench", "golden_retriever", "crane"),
    wordnet_ids=("n01440764", "n02099601", "n02012849"),
    feature_endpoint="pool",
)
"""Takes a record's picture as it is, of one of three classes."""


class Sample(NamedTuple):
    """One record: a file's bytes and the number of its label."""

    name: str
    data: bytes
    label: int


def png(pixels: np.ndarray) -> bytes:
    """An image's file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def grey(value: int) -> bytes:
    """The file of a picture that `SPEC` takes as it is."""
    return png(np.full((32, 32, 3), value, np.uint8))


def colours(source: ImageSource, entries: Sequence[ImageEntry]) -> list[int | str]:
    """Which grey each photograph is; where one is unreadable, why."""
    return [
        int(result.image[0, 0, 0]) if isinstance(result, Decoded) else str(result)
        for result in source.read(entries, SPEC, workers=2)
    ]


def write_tfds(
    place: Path, names: Sequence[str] | int, samples: Sequence[Sample], *, split: str = "validation", **features
) -> Path:
    """Prepare a data set as TensorFlow Datasets does, without TensorFlow; its folder.

    Args:
        place: Where data sets are prepared (TFDS_DATA_DIR); this one is called "tiny".
        names: Names of the labels, or their number.
        samples: The records.
        split: Name of the split.
        features: Other features of every record, which are texts; "file_name" is the sample's own name.
    """
    import tensorflow_datasets as tfds

    label = tfds.features.ClassLabel(**{"num_classes" if isinstance(names, int) else "names": names})

    class Tiny(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            kinds = {name: tfds.features.Text() for name in features}
            image = tfds.features.Image(shape=(None, None, 3), encoding_format="png")
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict({"image": image, "label": label, **kinds})
            )

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples()}

        def _generate_examples(self):
            for number, sample in enumerate(samples):
                texts = {name: sample.name for name in features}
                yield number, {"image": io.BytesIO(sample.data), "label": sample.label, **texts}

    builder = Tiny(data_dir=str(place), file_format="array_record")
    builder.download_and_prepare()
    tfds.core.registered._DATASET_REGISTRY.pop("tiny", None)  # so that only what was written is found
    return Path(builder.data_dir)


def write_tar(path: Path, files: Mapping[str, bytes]) -> Path:
    """A tar file."""
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path
