"""What is in a picture, as nouns: a protocol, and a network's labels as the tagger that comes with the package."""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Array, Float, UInt8
from PIL import Image

from vissum_jax.analysis.wordnet import label_noun
from vissum_jax.data.decode import FILTERS, crop_of
from vissum_jax.masks.solve import to_unit
from vissum_jax.models import load_classifier
from vissum_jax.models.user_network import check_outputs
from vissum_jax.pipeline.contenders import in_batches
from vissum_jax.pipeline.open_clip_tagger import PREFIX as OPEN_CLIP
from vissum_jax.pipeline.open_clip_tagger import OpenClipTagger
from vissum_jax.types import Classifier

TAGS = 8
"""Nouns an image (VS 4.2)."""

DEFAULT_TAGGERS = ("efficientnet-lite0", "efficientnet-lite1")
"""Networks whose weights come with a package; the first that is not the one explained."""


@runtime_checkable
class Tagger(Protocol):
    """Says what is in pictures."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    def tag(self, images: Sequence[UInt8[np.ndarray, "h w 3"]]) -> list[tuple[str, ...]]:
        """Nouns for each picture, the surest first; none where it knows none.

        Args:
            images: RGB, of any sizes.
        """
        ...


@dataclass(frozen=True)
class LabelTagger:
    """The most probable labels of a network, as nouns: of ImageNet's labels what WordNet reduces them to.

    "Golden retriever" and "Labrador retriever" are both a retriever, so an image may get fewer nouns than labels.

    Attributes:
        classifier: The network.
        labels: How many labels count.
        batch_size: Images at once.
    """

    classifier: Classifier
    labels: int = TAGS
    batch_size: int = 16

    def __post_init__(self) -> None:
        """Check ranges."""
        if self.labels < 1:
            raise ValueError(f"`labels` must be positive, got {self.labels}.")

    @property
    def name(self) -> str:
        """The network's."""
        return self.classifier.spec.name

    def tag(self, images: Sequence[UInt8[np.ndarray, "h w 3"]]) -> list[tuple[str, ...]]:
        """Nouns of the most probable labels, each once."""
        if not images:
            return []
        seen = np.stack([self._as_input(image) for image in images])
        logits = in_batches(lambda batch: _logits(self.classifier, batch), seen, size=self.batch_size)
        best = np.argsort(-logits, axis=1, kind="stable")[:, : self.labels]
        return [tuple(dict.fromkeys(self._noun(int(label)) for label in row)) for row in best]

    def _as_input(self, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
        """A picture as the network is used to it: the short side resized, the centre cropped."""
        spec = self.classifier.spec
        height, width = image.shape[:2]
        x, y, w, h = crop_of(width, height, spec)
        size = (spec.input_width, spec.input_height)
        resized = Image.fromarray(image).resize(size, FILTERS[spec.interpolation], box=(x, y, x + w, y + h))
        return np.asarray(resized)

    def _noun(self, label: int) -> str:
        spec = self.classifier.spec
        return label_noun(spec.wordnet_ids[label]) if spec.wordnet_ids else spec.class_names[label]


@jax.jit
def _logits(classifier: Classifier, images: UInt8[Array, "b h w 3"]) -> Float[Array, "b classes"]:
    return classifier(to_unit(images)).logits


def load_tagger(
    name: str, *, weights: Path | str | None = None, vocabulary: Sequence[str] | None = None, batch_size: int = 16
) -> Tagger:
    """Make a tagger.

    Args:
        name: A network of the registry; ``package.module:function`` for a function of yours that takes nothing and
            returns a `Tagger` or a `Classifier`; or ``open-clip:MODEL/PRETRAINED``.
        weights: Of a network of the registry.
        vocabulary: Nouns that an open-vocabulary tagger chooses from; None for its own choice.
        batch_size: Images at once.

    Raises:
        FileNotFoundError: The weights are not there.
        ValueError: The name is unknown, an extra is not installed, or an option does not go with the tagger.
    """
    if name.startswith(OPEN_CLIP):
        if weights is not None:
            raise ValueError(f"`weights`: {name!r} names its own, as {OPEN_CLIP}MODEL/PRETRAINED.")
        return OpenClipTagger.load(
            name.removeprefix(OPEN_CLIP), tags=TAGS, vocabulary=vocabulary, batch_size=batch_size
        )
    if vocabulary is not None:
        raise ValueError(f"`vocabulary` is for open-vocabulary taggers; {name!r} has labels of its own.")
    if ":" not in name:
        return LabelTagger(load_classifier(name, weights=weights), batch_size=batch_size)
    if weights is not None:
        raise ValueError(f"`weights` are up to the function {name}.")
    made = _call(name)
    if isinstance(made, Classifier):
        check_outputs(made, name)
        return LabelTagger(made, batch_size=batch_size)
    if not isinstance(made, Tagger):
        raise ValueError(
            f"`tagger` {name!r} must return a Tagger (`name`, `tag(images)`) or a vissum_jax.Classifier, got "
            f"{type(made).__name__}."
        )
    return made


def _call(name: str) -> Any:
    """What the user's function returns."""
    try:
        return pkgutil.resolve_name(name)()
    except Exception as error:  # the user's code fails in whatever way it likes
        first = next(iter(str(error).splitlines()), "")
        raise ValueError(f"`tagger` {name!r} raises {type(error).__name__}: {first}".rstrip(": .") + ".") from error
