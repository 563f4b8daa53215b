"""Nouns through WordNet 3.0: which mean the same, and what ImageNet's labels come down to.

Both tables ship with the package, see `scripts/make_wordnet_nouns.py`.
"""

from __future__ import annotations

import functools
import gzip
import importlib.resources
from importlib.resources.abc import Traversable


def fused(noun: str) -> str:
    """One noun for all that share its first sense: ``"automobile"`` and ``"motorcar"`` become ``"car"``.

    Two nouns are fused where the first of WordNet's noun synsets of the one is that of the other (VS 4.2).

    Args:
        noun: In small letters, words apart by spaces (see `vissum_jax.study.nouns.normalise`).

    Returns:
        The first of those nouns in WordNet's order, which is that of use; a noun without synonyms, and one that
        WordNet does not know, itself.
    """
    return _synonyms().get(noun, noun)


def label_noun(wordnet_id: str) -> str:
    """The noun that an ImageNet class is reduced to: of "golden retriever" "retriever", of "pug" itself.

    It is the last word of the class's name where WordNet says that the class is a kind of that, else the name.

    Raises:
        ValueError: If there is no such class.
    """
    nouns = _label_nouns()
    if wordnet_id not in nouns:
        raise ValueError(f"`wordnet_id` must be one of ImageNet's, got {wordnet_id!r}.")
    return nouns[wordnet_id]


@functools.cache
def _synonyms() -> dict[str, str]:
    lines = gzip.decompress(_resource("wordnet_synonyms.txt.gz").read_bytes()).decode("ascii").splitlines()
    groups = [line.split("\t") for line in lines]
    return {noun: group[0] for group in groups for noun in group}


@functools.cache
def _label_nouns() -> dict[str, str]:
    lines = _resource("imagenet_nouns.tsv").read_text(encoding="ascii").splitlines()
    pairs = [line.split("\t") for line in lines]
    return {wordnet_id: noun for wordnet_id, noun in pairs}


def _resource(name: str) -> Traversable:
    return importlib.resources.files("vissum_jax.analysis") / "resources" / name
