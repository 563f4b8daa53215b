"""Write vissum_jax/models/resources/imagenet_classes.tsv: index, WordNet id and name of every ImageNet class.

The index of a class in every public ImageNet network is the rank of its WordNet id. The ids come from the
list that tensorflow-datasets carries; an id is a part of speech and an offset into WordNet 3.0's `data.noun`,
whose entry names the class: the first word of the synset.

WordNet 3.0 comes, for example, as Debian's package `wordnet-base`:

    apt-get download wordnet-base && dpkg-deb -x wordnet-base_*.deb wordnet
    python scripts/make_imagenet_names.py --wordnet wordnet/usr/share/wordnet
"""

import argparse
import importlib.util
from pathlib import Path

DESTINATION = Path(__file__).parents[1] / "vissum_jax" / "models" / "resources" / "imagenet_classes.tsv"
FIRST_WORD = 4  # fields of a synset's line: offset, lexicographer file, part of speech, word count, first word


def imagenet_ids() -> list[str]:
    """The 1000 WordNet ids in index order."""
    package = importlib.util.find_spec("tensorflow_datasets")
    if package is None or package.origin is None:
        raise SystemExit("tensorflow-datasets is not installed")
    labels = Path(package.origin).parent / "datasets" / "imagenet2012" / "labels.txt"
    ids = labels.read_text().split()
    if len(ids) != 1000 or ids != sorted(set(ids)):
        raise SystemExit(f"{labels} does not hold 1000 sorted WordNet ids")
    return ids


def first_words(data_noun: Path) -> dict[str, str]:
    """The first word of every noun synset, by WordNet id."""
    words = {}
    for line in data_noun.read_text().splitlines():
        if not line.startswith(" "):  # the licence at the head of the file is indented
            fields = line.split(maxsplit=FIRST_WORD + 1)
            words[f"n{fields[0]}"] = fields[FIRST_WORD]
    return words


def main() -> None:
    """Read both sources and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"), help="folder of data.noun")
    words = first_words(parser.parse_args().wordnet / "data.noun")
    rows = [f"{index}\t{wordnet_id}\t{words[wordnet_id]}\n" for index, wordnet_id in enumerate(imagenet_ids())]
    DESTINATION.write_text("index\twordnet_id\tname\n" + "".join(rows))


if __name__ == "__main__":
    main()
