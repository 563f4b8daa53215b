import dataclasses
import hashlib
import json

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from toys import Recorder

from vissum_jax.data.an8flower import PART_NAMES, FlowerConfig, flower_classes, read_labels, render_flower
from vissum_jax.pipeline import flowers
from vissum_jax.pipeline.flowers import FlowerSettings, make_flowers, start_flowers
from vissum_jax.pipeline.splits import read_split

SETTINGS = FlowerSettings(variant="double-12c", images_per_class=4, seed=5, flowers=FlowerConfig(size=40))
SMALL = FlowerSettings(variant="part-2c", images_per_class=3, seed=1, flowers=FlowerConfig(size=24))


def make(settings, out, processes=1):
    start_flowers(settings, out)
    return make_flowers(settings, out, Recorder(), processes=processes)


def contents(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A data set that two processes made; not to be changed."""
    out = tmp_path_factory.mktemp("flowers") / "double"
    return out, make(SETTINGS, out, processes=2)


def test_pictures_and_truth_are_what_is_rendered(finished):
    out, _ = finished
    for number, flower_class in enumerate(flower_classes("double-12c")):
        name = f"{flower_class.name}/0003.png"
        flower = render_flower(flower_class, (5, number, 3), SETTINGS.flowers)
        with Image.open(out / "images" / name) as picture, Image.open(out / "discriminative" / name) as mask:
            np.testing.assert_array_equal(np.asarray(picture), flower.image)
            np.testing.assert_array_equal(np.asarray(mask), flower.discriminative)
        np.testing.assert_array_equal(read_labels(out / "truth" / name), flower.labels)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
def test_coco_decodes_to_the_masks(finished):
    out, counts = finished
    for split in flowers.SPLIT_SHARES:
        coco = COCO(str(out / "annotations" / f"{split}.json"))
        assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == list(PART_NAMES)
        assert len(coco.imgs) == counts.images[split]
        assert len(coco.anns) == counts.annotations[split]
        for image_id, image in coco.imgs.items():
            labels = read_labels(out / "truth" / image["file_name"])
            assert (image["height"], image["width"]) == labels.shape
            assert image["class_name"] == image["file_name"].split("/")[0]
            vivid = dict(flower_classes("double-12c")[image["class_index"]].vivid)
            truth = np.zeros(labels.shape, bool)
            annotations = coco.loadAnns(coco.getAnnIds(imgIds=image_id))
            assert {entry["category_id"] for entry in annotations} == set(np.unique(labels)) - {0}
            for entry in annotations:
                mask = coco.annToMask(entry).astype(bool)
                np.testing.assert_array_equal(mask, labels == entry["category_id"])
                assert entry["area"] == mask.sum()
                rows, columns = np.nonzero(mask)
                x, y, width, height = entry["bbox"]
                assert (x, x + width, y, y + height) == (columns.min(), columns.max() + 1, rows.min(), rows.max() + 1)
                part = PART_NAMES[entry["category_id"] - 1]
                assert entry["discriminative"] == (part in vivid)
                assert entry["colour"] == vivid.get(part)
                assert entry["class_name"] == image["class_name"]
                if entry["discriminative"]:
                    truth |= mask
            with Image.open(out / "discriminative" / image["file_name"]) as mask:
                np.testing.assert_array_equal(np.asarray(mask), truth)


def test_splits_are_disjoint_whole_and_alike_in_every_class(finished):
    out, counts = finished
    split = read_split(out / "splits")
    names = [name for part in split.values() for name in part]
    assert sorted(names) == sorted(str(path.relative_to(out / "images")) for path in (out / "images").rglob("*.png"))
    assert len(set(names)) == len(names) == 48
    assert {part: len(own) for part, own in split.items()} == counts.images == {"train": 24, "val": 12, "test": 12}
    for part, own in split.items():
        coco = json.loads((out / "annotations" / f"{part}.json").read_text())
        assert [image["file_name"] for image in coco["images"]] == list(own)
        assert {name.split("/")[0] for name in own} == set(counts.classes)


def test_splits_of_many_have_their_shares():
    parts = [flowers._split_of(number, 1000) for number in range(1000)]
    assert {part: parts.count(part) for part in parts} == {"train": 700, "val": 100, "test": 200}


def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_processes(finished, tmp_path):
    out, _ = finished
    make(SETTINGS, tmp_path / "alone", processes=1)
    assert contents(tmp_path / "alone") == contents(out)


def test_no_two_pictures_are_alike_and_another_seed_gives_others(finished, tmp_path):
    def pictures(folder):
        return [value for name, value in contents(folder).items() if name.startswith("images")]

    own = pictures(finished[0])
    assert len(set(own)) == len(own) == 48
    make(dataclasses.replace(SMALL, seed=2), tmp_path / "second")
    make(SMALL, tmp_path / "first")
    assert not set(pictures(tmp_path / "first")) & set(pictures(tmp_path / "second"))


def test_what_is_missing_is_rendered_and_nothing_else_is_touched(tmp_path):
    make(SMALL, tmp_path)
    before = contents(tmp_path)
    kept = tmp_path / "images" / "red_pot" / "0000.png"
    stamp = kept.stat().st_mtime_ns
    for lost in ("images/red_pot/0002.png", "truth/red_petals/0001.png", "annotations/test.json", "splits/val.txt"):
        (tmp_path / lost).unlink()
    (tmp_path / "images" / "red_pot" / ".0002.png.partial").write_bytes(b"of a killed process")
    make(SMALL, tmp_path)
    assert contents(tmp_path) == before
    assert kept.stat().st_mtime_ns == stamp


def empty(path):
    path.write_bytes(b"")


def cut(path):
    path.write_bytes(path.read_bytes()[:-60])


def flip(path):
    data = bytearray(path.read_bytes())
    data[40] ^= 255
    path.write_bytes(data)


def colour(path):
    Image.new("RGB", (24, 24)).save(path)


@pytest.mark.parametrize("damage", [empty, cut, flip, colour])
def test_a_damaged_label_image_is_named(tmp_path, damage):
    make(SMALL, tmp_path)
    damage(tmp_path / "truth" / "red_pot" / "0001.png")
    with pytest.raises(OSError, match=r"red_pot/0001\.png' cannot be read \(.*\); remove it, so that it is rendered"):
        make(SMALL, tmp_path)


def test_progress_counts_every_picture(tmp_path):
    progress = Recorder()
    start_flowers(SMALL, tmp_path)
    make_flowers(SMALL, tmp_path, progress, processes=1)
    assert progress.stages == [["flowers", 6, 6]]


@pytest.mark.parametrize("kind", ["file", "folder", "dead link"])
def test_a_place_that_holds_something_else_is_refused_and_kept(tmp_path, kind):
    out = tmp_path / "out"
    if kind == "file":
        out.write_text("precious")
    elif kind == "folder":
        out.mkdir()
        (out / "precious").touch()
    else:
        out.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"out' holds something else than rendered flowers; name another folder\.$"):
        start_flowers(SMALL, out)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert not (out / "an8flower.json").exists()


def test_flowers_of_other_settings_are_refused(tmp_path):
    start_flowers(SMALL, tmp_path)
    with pytest.raises(ValueError, match=r"holds flowers of other settings: seed 1; name another folder\.$"):
        start_flowers(dataclasses.replace(SMALL, seed=2), tmp_path)
    with pytest.raises(ValueError, match=r"holds flowers of other settings: size 24; name another folder\.$"):
        start_flowers(dataclasses.replace(SMALL, flowers=FlowerConfig(size=25)), tmp_path)
    with pytest.raises(ValueError, match=r"holds flowers of other settings: variant part-2c; name another folder\.$"):
        start_flowers(dataclasses.replace(SMALL, variant="single-6c"), tmp_path)
    start_flowers(SMALL, tmp_path)


@pytest.mark.parametrize(("text", "message"), [("{", "is damaged: "), ("[]", "describes something else")])
def test_a_damaged_description_is_named(tmp_path, text, message):
    (tmp_path / "an8flower.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        start_flowers(SMALL, tmp_path)


def test_wrong_settings_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"^`variant` must be one of single-6c, double-12c, part-2c, got 'demo'\.$"):
        FlowerSettings(variant="demo")
    with pytest.raises(ValueError, match=r"^`images_per_class` must be at least 3, .* test, got 2\.$"):
        FlowerSettings(variant="part-2c", images_per_class=2)
    with pytest.raises(ValueError, match=r"^`seed` must not be negative, got -1\.$"):
        FlowerSettings(variant="part-2c", seed=-1)
    with pytest.raises(ValueError, match=r"^`processes` must be at least 1, got 0\.$"):
        make_flowers(SMALL, tmp_path, Recorder(), processes=0)
