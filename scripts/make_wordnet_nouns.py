"""Write what vissum_jax needs of WordNet 3.0 into vissum_jax/analysis/resources.

wordnet_synonyms.txt.gz: nouns that share their first sense, a line a synset, apart by tabs, in WordNet's order.
imagenet_nouns.tsv: the noun that each ImageNet class is reduced to.

The database ships with the package in this form because no package of the Python index carries it: NLTK and wn, the
kept-up readers, fetch it from elsewhere when they are first used, and NLTK's cannot open Debian's folder, which lacks
files that it asks for. What is needed is small, and two fields of two files, whose format wndb(5) describes:

    apt-get download wordnet-base && dpkg-deb -x wordnet-base_*.deb wordnet
    python scripts/make_wordnet_nouns.py --wordnet wordnet/usr/share/wordnet
"""

import argparse
import gzip
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from vissum_jax.models.imagenet import imagenet_classes

DESTINATION = Path(__file__).parents[1] / "vissum_jax" / "analysis" / "resources"
HYPERNYMS = ("@", "@i")


class Synset(NamedTuple):
    """Words of a noun synset, the commonest first, and offsets of what it is a kind of."""

    words: tuple[str, ...]
    hypernyms: tuple[str, ...]


def entries(path: Path) -> Iterator[list[str]]:
    """Fields of each line after the licence, whose lines are indented."""
    for line in path.read_text(encoding="ascii").splitlines():
        if not line.startswith(" "):
            yield line.split("|")[0].split()


def first_senses(index: Path) -> dict[str, str]:
    """Offset of the first synset of each noun.

    A line of `index.noun`: lemma, part of speech, number of synsets, p, p symbols, number of synsets, number that are
    tagged, the synsets' offsets in order of frequency.
    """
    return {fields[0]: fields[6 + int(fields[3])] for fields in entries(index)}


def synsets(data: Path) -> dict[str, Synset]:
    """All noun synsets by offset.

    A line of `data.noun`: offset, lexicographer's file, part of speech, number of words in hexadecimal, for each word
    the word and its number in that file, number of pointers, for each pointer symbol, offset, part of speech, words.
    """
    found = {}
    for fields in entries(data):
        end = 4 + 2 * int(fields[3], 16)
        pointers = fields[end + 1 :]
        found[fields[0]] = Synset(
            words=tuple(fields[4:end:2]),
            hypernyms=tuple(
                target for symbol, target in zip(pointers[::4], pointers[1::4], strict=True) if symbol in HYPERNYMS
            ),
        )
    return found


def plain(word: str) -> str:
    """A word as tags are compared: small letters, spaces."""
    return word.replace("_", " ").replace("-", " ").casefold()


def head_noun(offset: str, known: Mapping[str, Synset]) -> str:
    """The noun that a synset is reduced to: the last word of its first name if WordNet says that it is a kind of that.

    A golden retriever is a retriever; a German shepherd is no shepherd, and keeps its name.
    """
    name = plain(known[offset].words[0])
    last = name.split()[-1]
    above, seen = list(known[offset].hypernyms), set()
    while above:
        offset = above.pop()
        if offset not in seen:
            seen.add(offset)
            above += known[offset].hypernyms
            if last in map(plain, known[offset].words):
                return last
    return name


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"), help="folder of WordNet 3.0")
    folder = parser.parse_args().wordnet
    groups: dict[str, list[str]] = defaultdict(list)
    senses: dict[str, str] = {}
    for noun, offset in first_senses(folder / "index.noun").items():
        senses.setdefault(plain(noun), offset)  # a few are there with a hyphen and with a space
    for noun, offset in senses.items():
        groups[offset].append(noun)
    known = synsets(folder / "data.noun")

    def line(offset: str) -> str:
        words = [plain(word) for word in known[offset].words]
        return "\t".join(sorted(groups[offset], key=words.index))

    lines = sorted(line(offset) for offset, nouns in groups.items() if len(nouns) > 1)
    labels = [f"{name}\t{head_noun(name[1:], known)}" for name in imagenet_classes().wordnet_ids]
    DESTINATION.mkdir(exist_ok=True)
    synonyms = gzip.compress("".join(f"{line}\n" for line in lines).encode("ascii"), mtime=0)
    (DESTINATION / "wordnet_synonyms.txt.gz").write_bytes(synonyms)
    (DESTINATION / "imagenet_nouns.tsv").write_text("".join(f"{line}\n" for line in labels), encoding="ascii")


if __name__ == "__main__":
    main()
