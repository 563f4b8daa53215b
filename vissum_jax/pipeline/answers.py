"""What a network answers for lists of photographs: probabilities, and the feature vectors that SVMs look at."""

from __future__ import annotations

import os
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from vissum_jax.data import Decoded, FolderSource
from vissum_jax.masks.solve import to_unit
from vissum_jax.models.specialized import endpoint_features
from vissum_jax.pipeline.contenders import in_batches
from vissum_jax.pipeline.progress import Progress
from vissum_jax.types import Classifier

_AT_ONCE = 64  # photographs in memory


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Of n photographs.

    Attributes:
        images: Their names.
        class_index: Their classes.
        probabilities: Softmax.
        features: Of length 1.
        unreadable: Names of further ones that could not be read.
    """

    images: tuple[str, ...]
    class_index: Int[np.ndarray, " n"]
    probabilities: Float[np.ndarray, "n c"]
    features: Float[np.ndarray, "n d"]
    unreadable: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)


@jax.jit
def _answers(
    classifier: Classifier, images: UInt8[Array, "b h w 3"]
) -> tuple[Float[Array, "b classes"], Float[Array, "b d"]]:
    outputs = classifier(to_unit(images))
    features = endpoint_features(outputs.endpoints[classifier.spec.feature_endpoint])
    return jax.nn.softmax(outputs.logits), features


def answer(
    classifier: Classifier, images: UInt8[np.ndarray, "n h w 3"], *, batch_size: int
) -> tuple[Float[np.ndarray, "n classes"], Float[np.ndarray, "n d"]]:
    """Probabilities and features of photographs in the network's input geometry, at least one."""
    return in_batches(lambda batch: _answers(classifier, batch), images, size=batch_size)


def answer_source(classifier: Classifier, source: FolderSource, progress: Progress, *, batch_size: int) -> Answers:
    """Probabilities and features of all photographs that can be read."""
    spec = classifier.spec
    names, labels, pieces, unreadable = [], [], [], []
    for start in range(0, len(source.entries), _AT_ONCE):
        entries = source.entries[start : start + _AT_ONCE]
        decoded = source.read(entries, spec, workers=os.cpu_count() or 1)
        found = [(entry, each.image) for entry, each in zip(entries, decoded, strict=True) if isinstance(each, Decoded)]
        unreadable += [
            entry.image for entry, each in zip(entries, decoded, strict=True) if not isinstance(each, Decoded)
        ]
        if found:
            names += [entry.image for entry, _ in found]
            labels += [entry.class_index for entry, _ in found]
            pieces.append(answer(classifier, np.stack([image for _, image in found]), batch_size=batch_size))
        progress.advance(len(entries))
    if not pieces:
        raise ValueError(f"{str(source.root)!r}: none of its {len(source.entries)} photographs can be read.")
    probabilities, features = (np.concatenate(each) for each in zip(*pieces, strict=True))
    return Answers(
        images=tuple(names),
        class_index=np.array(labels, np.int64),
        probabilities=probabilities,
        features=features,
        unreadable=tuple(unreadable),
    )
