import re
from pathlib import Path

import pytest

from vissum_jax.data.labels import LabelIndex, UnknownLabelError, printable, read_labels
from vissum_jax.types import ClassifierSpec

NAMES = ("tench", "golden_retriever", "crane", "Windsor tie", "crane", "German_short-haired_pointer")
WORDNET_IDS = ("n01440764", "n02099601", "n02012849", "n04591157", "n03126707", "n02100236")


def make_spec(names=NAMES, wordnet_ids=WORDNET_IDS) -> ClassifierSpec:
    return ClassifierSpec(
        name="net",
        input_height=32,
        input_width=32,
        resize_short_side=36,
        class_names=names,
        wordnet_ids=wordnet_ids,
        feature_endpoint="pool",
    )


@pytest.fixture
def labels() -> LabelIndex:
    return LabelIndex(make_spec())


@pytest.mark.parametrize(
    ("label", "index"),
    [
        ("golden_retriever", 1),
        ("Golden Retriever", 1),
        ("golden-retriever", 1),
        ("windsor_tie", 3),
        ("german_short_haired_pointer", 5),
        ("n02099601", 1),
        ("N02099601", 1),
        ("n02099601-golden_retriever", 1),
        ("n02012849_crane", 2),
        ("4", 4),
        ("004", 4),
    ],
)
def test_names_wordnet_ids_and_indices_find_their_class(labels, label, index):
    assert labels.resolve(label) == index


def test_a_class_named_by_a_number_is_found_by_its_name():
    assert LabelIndex(make_spec(("zero", "0"), ())).resolve("0") == 1


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("golden_retreiver", "'golden_retreiver' names no class of net; did you mean 'golden_retriever'?"),
        ("xylophone9", "'xylophone9' names no class of net."),
        ("Crane", "'Crane' names 2 classes of net: say n02012849 (2) or n03126707 (4)."),
        ("n09999999", "'n09999999' is the WordNet id of no class of net."),
        ("6", "net has no class 6: its indices are 0 to 5."),
        ("", "'' names no class of net."),
        ("²", "'²' names no class of net."),
    ],
)
def test_what_names_no_class_is_an_error_of_one_line(labels, label, message):
    with pytest.raises(UnknownLabelError, match=f"^{re.escape(message)}$"):
        labels.resolve(label)


def test_shared_names_are_told_apart_by_index_where_there_are_no_wordnet_ids():
    with pytest.raises(UnknownLabelError, match=r"say 2 or 4\.$"):
        LabelIndex(make_spec(NAMES, ())).resolve("crane")


def test_a_wordnet_id_for_a_network_without_them_says_so():
    message = r"^'n02099601' is a WordNet id, and net has none: use class names or indices\.$"
    with pytest.raises(UnknownLabelError, match=message):
        LabelIndex(make_spec(NAMES, ())).resolve("n02099601")


def test_labels_csv_maps_several_folders_to_one_class(labels, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("\ufefffolder,note,imagenet_index\nmy dogs,x,1\nDogs 2,,1\n\ntench,,0\n", encoding="utf-8")
    assert read_labels(table, labels) == {"my dogs": 1, "Dogs 2": 1, "tench": 0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("folder,index\na,1\n", "labels.csv: no column 'imagenet_index'; needed are folder, imagenet_index."),
        ("", "labels.csv: no column 'folder'; needed are folder, imagenet_index."),
        (
            "folder,imagenet_index\na,dog\n",
            "labels.csv, line 2: needs a folder and an index, got folder 'a', index 'dog'.",
        ),
        (
            "folder,imagenet_index\na\n",
            "labels.csv, line 2: needs a folder and an index, got folder 'a', index ''.",
        ),
        (
            "folder,imagenet_index\na,1\nb,6\n",
            "labels.csv, line 3: net has no class 6: its indices are 0 to 5.",
        ),
        ("folder,imagenet_index\na,1\na,2\n", "labels.csv, line 3: folder 'a' is both 1 and 2."),
    ],
)
def test_errors_in_labels_csv_name_the_line(labels, tmp_path, text, message):
    table = tmp_path / "labels.csv"
    table.write_text(text)
    with pytest.raises(ValueError, match=f"{re.escape(message)}$"):
        read_labels(table, labels)


@pytest.mark.parametrize("content", [b"folder,imagenet_index\n\xff,1\n", b'folder,imagenet_index\n"a,1\n'])
def test_what_is_no_csv_is_an_error(labels, tmp_path, content):
    table = tmp_path / "labels.csv"
    table.write_bytes(content)
    with pytest.raises(ValueError, match=r"labels.csv is not a CSV file in UTF-8: .*\.$"):
        read_labels(table, labels)


def test_file_names_that_are_not_utf8_become_printable():
    assert printable("dog\udcff") == "dog\\xff"
    assert printable("h\u00fcnd") == "h\u00fcnd"


@pytest.mark.shared
def test_the_shared_photographs_resolve_against_imagenet(shared_data: Path):
    rows = [line.split() for line in (shared_data / "imagenet_names.txt").read_text().splitlines()]
    labels = LabelIndex(make_spec(tuple(row[2] for row in rows), tuple(row[1] for row in rows)))
    folders = read_labels(shared_data / "images" / "labels.csv", labels)
    assert len(folders) == 19
    assert folders["golden_retriever"] == labels.resolve("n02099601") == 207
    for photograph in (shared_data / "one_per_class").iterdir():
        wordnet_id, name = photograph.stem.split("_", 1)
        assert labels.name(labels.resolve(photograph.stem)) == name
        assert labels.resolve(wordnet_id) == labels.resolve(photograph.stem)
