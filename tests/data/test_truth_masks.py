import re

import numpy as np
import pytest
from PIL import Image

from vissum_jax.data.an8flower import FlowerConfig, flower_classes, render_flower, write_dataset
from vissum_jax.data.an8flower.annotated import FlowerImage, write_annotated
from vissum_jax.data.truth_masks import in_mask_geometry, open_part_labels, open_truth_masks
from vissum_jax.types import Crop

SMALL = FlowerConfig(size=48, supersampling=1)
CLASS = flower_classes("double-12c")[1]
IMAGE = FlowerImage(flower_class=CLASS, class_number=1, number=0, seed=3)


@pytest.fixture(scope="module")
def flowers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flowers")
    write_annotated(IMAGE, folder, SMALL)
    (folder / "an8flower.json").write_text('{"variant": "double-12c"}')
    return folder


def test_masks_are_those_that_were_rendered(flowers):
    flower = render_flower(CLASS, (3, 1, 0), SMALL)
    for folder in (flowers, flowers / "discriminative"):
        np.testing.assert_array_equal(open_truth_masks(folder).of(IMAGE.name), flower.discriminative)
    assert open_truth_masks(flowers).of("red_petals_blue_pot/0001.png") is None


def test_masks_of_photographs_have_their_names_whatever_the_format(tmp_path):
    (tmp_path / "dogs").mkdir()
    Image.fromarray(np.array([[0, 127, 128, 255]], np.uint8)).save(tmp_path / "dogs" / "a.png")
    np.testing.assert_array_equal(open_truth_masks(tmp_path).of("dogs/a.jpg"), [[False, False, True, True]])


def test_labels_and_the_parts_that_make_the_class(flowers):
    labels = open_part_labels(flowers)
    np.testing.assert_array_equal(labels.of(IMAGE.name), render_flower(CLASS, (3, 1, 0), SMALL).labels)
    assert [labels.names[part] for part in labels.own_parts(IMAGE.name)] == ["petals", "pot"]
    assert labels.own_parts("crane/1.png") == ()
    assert labels.of("crane/1.png") is None


def test_the_demo_s_flowers_have_labels_too(tmp_path):
    write_dataset(tmp_path, variant="demo", images_per_class=1, seed=0, config=SMALL)
    labels = open_part_labels(tmp_path)
    for entry in flower_classes("demo"):
        assert [labels.names[part] for part in labels.own_parts(f"{entry.name}/0000.png")] == list(entry.parts)
    assert labels.of("red_petals/0000.png") is not None


def test_truth_is_read_under_the_centres_of_the_mask_s_pixels():
    labels = np.arange(36, dtype=np.uint8).reshape(6, 6)
    inner = in_mask_geometry(labels, Crop(1.0, 2.0, 4.0, 4.0), 2, 2)
    np.testing.assert_array_equal(inner, labels[[3, 5]][:, [2, 4]])


def test_what_is_missing_or_damaged_is_named(tmp_path):
    def complaint(kind, message: str):
        return pytest.raises(kind, match=f"^{re.escape(message)}")

    with complaint(FileNotFoundError, f"No folder {str(tmp_path / 'none')!r} of masks."):
        open_truth_masks(tmp_path / "none")
    with complaint(FileNotFoundError, f"{str(tmp_path)!r} holds no rendered flowers: no file an8flower.json; make"):
        open_part_labels(tmp_path)
    for text in ("{", "{}", "[]", '{"variant": "triple"}'):
        (tmp_path / "an8flower.json").write_text(text)
        with complaint(ValueError, f"{str(tmp_path / 'an8flower.json')!r} is damaged: "):
            open_part_labels(tmp_path)
    (tmp_path / "an8flower.json").write_text('{"variant": "single-6c"}')
    (tmp_path / "truth").mkdir()
    for folder, read in ((tmp_path, open_truth_masks(tmp_path)), (tmp_path / "truth", open_part_labels(tmp_path))):
        (folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
        with complaint(ValueError, f"{str(folder / 'a.png')!r} is no "):
            read.of("a.png")
