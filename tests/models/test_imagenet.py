"""ImageNet's class names and ids."""

from pathlib import Path

import pytest

from vissum_jax.models.imagenet import imagenet_classes


def test_there_are_1000_classes_in_sorted_wordnet_order():
    names, wordnet_ids = imagenet_classes()
    assert len(names) == len(wordnet_ids) == 1000
    assert list(wordnet_ids) == sorted(set(wordnet_ids))


@pytest.mark.parametrize(
    ("index", "wordnet_id", "name"),
    [(15, "n01558993", "robin"), (207, "n02099601", "golden_retriever"), (776, "n04141076", "sax")],
)
def test_known_classes_are_at_their_index(index: int, wordnet_id: str, name: str):
    names, wordnet_ids = imagenet_classes()
    assert (wordnet_ids[index], names[index]) == (wordnet_id, name)


@pytest.mark.shared
def test_agrees_with_the_shared_list(shared_data: Path):
    rows = [line.split("\t") for line in (shared_data / "imagenet_names.txt").read_text().splitlines()]
    names, wordnet_ids = imagenet_classes()
    assert list(zip(wordnet_ids, names, strict=True)) == [(row[1], row[2]) for row in rows]
