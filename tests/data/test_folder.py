import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vissum_jax.data.decode import UnreadableImage
from vissum_jax.data.folder import open_folder
from vissum_jax.types import ClassifierSpec

SPEC = ClassifierSpec(
    name="net",
    input_height=32,
    input_width=32,
    resize_short_side=36,
    class_names=("tench", "golden_retriever", "crane", "saxophone", "crane"),
    wordnet_ids=("n01440764", "n02099601", "n02012849", "n04141076", "n03126707"),
    feature_endpoint="pool",
)


def add(root: Path, *images: str, colour: int = 120) -> None:
    for image in images:
        (root / image).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((40, 40, 3), colour, np.uint8)).save(root / image, format="PNG")


def listed(root: Path, **options) -> list[tuple[str, int]]:
    return [(entry.image, entry.class_index) for entry in open_folder(root, SPEC, **options).entries]


@pytest.fixture
def photographs(tmp_path) -> Path:
    add(tmp_path, "saxophone/b.jpg", "saxophone/a.PNG", "n02099601/x.jpeg", "0/t.webp", "n02099601/deep/y.jpg")
    return tmp_path


def test_folders_are_named_by_class_name_wordnet_id_or_index(photographs):
    source = open_folder(photographs, SPEC)
    assert source.classes == {0: "tench", 1: "golden_retriever", 3: "saxophone"}
    assert [entry.image for entry in source.entries] == [
        "0/t.webp",
        "n02099601/deep/y.jpg",
        "n02099601/x.jpeg",
        "saxophone/a.PNG",
        "saxophone/b.jpg",
    ]
    assert [entry.image for entry in source.of_class(3)] == ["saxophone/a.PNG", "saxophone/b.jpg"]


def test_hidden_files_other_files_and_hidden_folders_are_passed_over(photographs):
    add(photographs, "0/.hidden.jpg", "0/.cache/a.jpg", ".thumbnails/a.jpg")
    (photographs / "0" / "notes.txt").write_text("no picture")
    (photographs / "readme.md").write_text("no folder")
    assert listed(photographs, classes=["tench"]) == [("0/t.webp", 0)]
    assert len(listed(photographs)) == 5


def test_labels_csv_says_what_folders_stand_for(photographs):
    add(photographs, "my dogs/a.jpg", "sax2/c.jpg")
    (photographs / "labels.csv").write_text("folder,imagenet_index\nmy dogs,1\nsax2,3\nabsent,2\nsaxophone,3\n")
    assert listed(photographs, classes=["saxophone"]) == [("saxophone/a.PNG", 3), ("saxophone/b.jpg", 3)]
    assert [image for image, _ in listed(photographs, classes=["3"])] == [
        "sax2/c.jpg",
        "saxophone/a.PNG",
        "saxophone/b.jpg",
    ]
    assert [image for image, _ in listed(photographs, classes=["golden retriever"])] == [
        "my dogs/a.jpg",
        "n02099601/deep/y.jpg",
        "n02099601/x.jpeg",
    ]


def test_labels_csv_overrules_the_name(tmp_path):
    add(tmp_path, "tench/a.jpg")
    (tmp_path / "labels.csv").write_text("folder,imagenet_index\ntench,3\n")
    assert listed(tmp_path) == [("tench/a.jpg", 3)]


@pytest.mark.parametrize("wanted", ["saxophone", "Saxophone", "n04141076", "3", "n04141076_saxophone"])
def test_classes_are_chosen_by_folder_name_wordnet_id_or_index(photographs, wanted):
    assert listed(photographs, classes=[wanted]) == [("saxophone/a.PNG", 3), ("saxophone/b.jpg", 3)]


def test_the_order_does_not_depend_on_the_selection(photographs):
    forth = listed(photographs, classes=["tench", "saxophone"])
    assert forth == listed(photographs, classes=["3", "saxophone", "0"])


def test_the_limit_is_a_class_over_all_its_folders(photographs):
    add(photographs, "golden_retriever/a.jpg", "golden_retriever/b.jpg")
    assert [image for image, _ in listed(photographs, limit=3)] == [
        "0/t.webp",
        "golden_retriever/a.jpg",
        "golden_retriever/b.jpg",
        "n02099601/deep/y.jpg",
        "saxophone/a.PNG",
        "saxophone/b.jpg",
    ]


def test_other_folders_need_not_stand_for_a_class_when_some_are_chosen(photographs):
    add(photographs, "holiday/a.jpg")
    assert len(listed(photographs, classes=["saxophone"])) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"classes": ["saxofone"]},
            "'saxofone' names no class of net; did you mean 'saxophone'?",
        ),
        ({"classes": ["holydays"]}, "'holydays' names no class of net; did you mean 'holidays'?"),
        ({"classes": ["crane"]}, "'crane' names 2 classes of net: say n02012849 (2) or n03126707 (4)."),
        ({"classes": ["4"]}, "No class folder stands for '4' (class 4, crane)."),
        ({"classes": ["77"]}, "net has no class 77: its indices are 0 to 4."),
        ({"classes": ["golden_retriever"]}, "Class folder 'golden_retriever' holds no pictures."),
        (
            {"classes": ["holidays"]},
            "Class folder: 'holidays' names no class of net. (labels.csv may say which class it is)",
        ),
        ({}, "Class folder: 'holidays' names no class of net. (labels.csv may say which class it is)"),
        ({"limit": 0}, "`limit` must be at least 1, got 0."),
    ],
)
def test_mistakes_are_errors_of_one_line(tmp_path, options, message):
    add(tmp_path, "saxophone/a.jpg", "holidays/a.jpg")
    (tmp_path / "golden_retriever").mkdir()
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        open_folder(tmp_path, SPEC, **options)


def test_a_missing_or_empty_image_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^No folder '.*nowhere'\.$"):
        open_folder(tmp_path / "nowhere", SPEC)
    with pytest.raises(ValueError, match=r"holds no class folders\.$"):
        open_folder(tmp_path, SPEC)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match=r"file' is not a folder of class folders\.$"):
        open_folder(tmp_path / "file", SPEC)


def test_a_class_folder_that_is_a_link_is_refused_where_it_is_chosen(photographs, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    add(elsewhere, "a.jpg")
    (photographs / "golden_retriever").symlink_to(elsewhere)
    assert len(listed(photographs, classes=["saxophone"])) == 2
    message = r"^Class folder 'golden_retriever' is a link; links to folders are not followed\.$"
    with pytest.raises(ValueError, match=message):
        open_folder(photographs, SPEC)


def test_every_photograph_is_read_or_says_why_not(tmp_path, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    add(outside, "secret.jpg", "more/a.jpg", colour=1)
    add(tmp_path, "tench/a.jpg", "tench/e.jpg", colour=200)
    (tmp_path / "tench" / "b.jpg").symlink_to(outside / "secret.jpg")
    (tmp_path / "tench" / "c").symlink_to(outside / "more")
    (tmp_path / "tench" / "d.jpg").write_text("not a picture")
    (tmp_path / "tench" / "f.jpg").symlink_to(tmp_path / "tench" / "a.jpg")
    source = open_folder(tmp_path, SPEC)
    results = source.read(source.entries, SPEC, workers=2)
    assert [
        (entry.image, str(result) if isinstance(result, UnreadableImage) else result.image.mean())
        for entry, result in zip(source.entries, results, strict=True)
    ] == [
        ("tench/a.jpg", 200),
        ("tench/b.jpg", "a link that leads out of the image folder is not followed"),
        ("tench/c", "a link that leads out of the image folder is not followed"),
        ("tench/d.jpg", "not a picture of a known kind (it begins with b'not a pictur')"),
        ("tench/e.jpg", 200),
        ("tench/f.jpg", 200),
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_that_is_not_utf8_is_a_row_that_can_be_stored(tmp_path):
    add(tmp_path, "tench/a.jpg")
    os.rename(tmp_path / "tench" / "a.jpg", os.fsencode(tmp_path / "tench") + b"/\xff.jpg")
    source = open_folder(tmp_path, SPEC)
    assert [entry.image for entry in source.entries] == ["tench/\\xff.jpg"]
    assert source.entries[0].image.encode("utf-8")
    assert "not UTF-8" in str(source.read(source.entries, SPEC, workers=1)[0])


def test_names_with_anything_in_them_are_read(tmp_path):
    names = [
        "tench/<script>.jpg",
        "tench/a b\n&'\".jpg",
        "tench/ünïcode 犬.jpg",
        "tench/-rf.jpg",
        "tench/%2e.jpg",
    ]
    add(tmp_path, *names)
    source = open_folder(tmp_path, SPEC)
    assert {entry.image for entry in source.entries} == set(names)
    assert not any(isinstance(x, UnreadableImage) for x in source.read(source.entries, SPEC, workers=2))


@pytest.mark.shared
def test_the_shared_photographs_all_decode(shared_data):
    rows = [line.split() for line in (shared_data / "imagenet_names.txt").read_text().splitlines()]
    spec = ClassifierSpec(
        name="imagenet",
        input_height=224,
        input_width=224,
        resize_short_side=256,
        class_names=tuple(row[2] for row in rows),
        wordnet_ids=tuple(row[1] for row in rows),
        feature_endpoint="pool",
    )
    source = open_folder(shared_data / "images", spec, classes=["golden_retriever", "n04141076", "608"], limit=8)
    assert [entry.class_index for entry in source.entries] == [207] * 8 + [608] * 8 + [776] * 8
    for decoded in source.read(source.entries, spec, workers=2):
        assert not isinstance(decoded, UnreadableImage)
        assert decoded.image.shape == (224, 224, 3)
