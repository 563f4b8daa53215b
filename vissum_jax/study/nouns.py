"""Nouns as people type them, made comparable."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

MAX_LETTERS = 40
"""Longest noun that is accepted."""
MAX_NOUNS = 10
"""Most nouns of one answer."""

SUGGESTIONS = (
    *("arm", "back", "background", "beak", "belly", "body", "branch", "bumper", "button", "cheek", "chest", "chimney"),
    *("claw", "collar", "door", "ear", "edge", "eye", "face", "feather", "fence", "finger", "foot", "frame", "fur"),
    *("grass", "grille", "hair", "hand", "handle", "hat", "head", "headlight", "heel", "horn", "keys", "knot", "lace"),
    *("leaf", "leg", "letters", "light", "logo", "mouth", "mouthpiece", "muzzle", "neck", "nose", "paw", "person"),
    *("petal", "plate", "pocket", "rail", "rim", "roof", "scale", "seam", "shadow", "shoulder", "sky", "sleeve"),
    *("smoke", "sole", "stem", "strap", "string", "stripe", "tail", "throat", "tooth", "tube", "water", "wheel"),
    *("window", "windscreen", "wing"),
)
"""Parts of animals, vehicles, instruments and clothes that the page suggests, whatever the class is."""

_APART = re.compile(r"[^\w']+|_+")
_ARTICLES = frozenset({"a", "an", "the", "some"})


def normalise(noun: str) -> str:
    """A noun's common form: ``" The  Dog-Ears! "`` becomes ``"dog ear"``.

    Compatibility characters become plain, letters small; anything but letters, digits and apostrophes within words
    becomes a space; articles in front go; the last word becomes singular where lemminflect's lexicon of English knows
    it as a plural (a word that is its own singular, such as "glasses" or "bus", stays, and so do unknown words). A
    plural of two words becomes the shorter one ("leaves": "leaf"). Spelling is not corrected.

    Returns:
        Empty where nothing is left.
    """
    text = unicodedata.normalize("NFKC", noun).casefold().replace("\u2019", "'")
    words = [word for part in _APART.sub(" ", text).split() if (word := part.strip("'"))]
    while len(words) > 1 and words[0] in _ARTICLES:
        words = words[1:]
    if not words:
        return ""
    return " ".join([*words[:-1], _singular(words[-1])])


def normalise_all(nouns: Iterable[str]) -> frozenset[str]:
    """The common forms of an answer's nouns."""
    return frozenset(form for noun in nouns if (form := normalise(noun)))


def _singular(word: str) -> str:
    import lemminflect  # its lexicon takes a moment to load

    lemmas = lemminflect.getAllLemmas(word, upos="NOUN").get("NOUN", ())
    return word if not lemmas or word in lemmas else min(lemmas, key=len)
