"""Names and WordNet ids of ImageNet's 1000 classes, in the order of every public network's logits."""

import functools
import importlib.resources
from typing import NamedTuple


class ImagenetClasses(NamedTuple):
    """The classes in index order.

    Attributes:
        names: First word of each class's WordNet synset; two names (crane, maillot) occur twice.
        wordnet_ids: WordNet id of each class, ``n`` and eight digits; sorted and unique.
    """

    names: tuple[str, ...]
    wordnet_ids: tuple[str, ...]


@functools.cache
def imagenet_classes() -> ImagenetClasses:
    """Read the table that `scripts/make_imagenet_names.py` wrote."""
    table = importlib.resources.files("vissum_jax.models") / "resources" / "imagenet_classes.tsv"
    rows = [line.split("\t") for line in table.read_text(encoding="utf-8").splitlines()[1:]]
    return ImagenetClasses(
        names=tuple(name for _, _, name in rows), wordnet_ids=tuple(wordnet_id for _, wordnet_id, _ in rows)
    )
