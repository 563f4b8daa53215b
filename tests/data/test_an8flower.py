import cv2
import numpy as np
import pytest
from PIL import Image

from vissum_jax.data.an8flower import (
    PART_NAMES,
    PLAIN,
    FlowerClass,
    FlowerConfig,
    flower_classes,
    read_labels,
    render_flower,
    write_dataset,
)

CONFIG = FlowerConfig(size=112)
CLASSES = flower_classes("demo")


def saturation(pixels: np.ndarray) -> np.ndarray:
    pixels = pixels.astype(float)
    return 1 - pixels.min(axis=-1) / np.maximum(pixels.max(axis=-1), 1)


@pytest.mark.parametrize("size", [64, 112, 301])
def test_pictures_and_truth_have_the_size_asked_for(size: int):
    flower = render_flower(CLASSES[0], 0, FlowerConfig(size=size))
    assert flower.image.shape == (size, size, 3)
    assert flower.image.dtype == flower.labels.dtype == np.uint8
    assert flower.labels.shape == flower.discriminative.shape == (size, size)
    assert flower.parts.shape == (len(PART_NAMES), size, size)


def test_same_seed_same_bytes():
    first, second, other = (render_flower(CLASSES[2], seed, CONFIG) for seed in ((1, 2), (1, 2), (1, 3)))
    assert first.image.tobytes() == second.image.tobytes()
    assert first.labels.tobytes() == second.labels.tobytes()
    assert first.image.tobytes() != other.image.tobytes()


@pytest.mark.parametrize("flower_class", CLASSES, ids=lambda c: c.name)
def test_one_seed_in_two_classes_differs_only_where_the_coloured_part_is(flower_class: FlowerClass):
    for seed in range(3):
        vivid, plain = render_flower(flower_class, seed, CONFIG), render_flower(PLAIN, seed, CONFIG)
        np.testing.assert_array_equal(vivid.labels, plain.labels)
        differs = (vivid.image != plain.image).any(axis=-1)
        reach = cv2.dilate(vivid.discriminative.astype(np.uint8), np.ones((3, 3))) > 0  # edges are averaged
        assert not (differs & ~reach).any()
        # The pattern is fine, so that only part of the part is inked, all over it.
        assert 0.3 < differs[vivid.discriminative].mean() < 0.95


@pytest.mark.parametrize("flower_class", CLASSES, ids=lambda c: c.name)
def test_only_the_discriminative_part_is_vivid(flower_class: FlowerClass):
    flower = render_flower(flower_class, 5, CONFIG)
    own = flower.discriminative
    others = cv2.dilate(own.astype(np.uint8), np.ones((3, 3))) == 0
    assert np.quantile(saturation(flower.image[own]), 0.8) > 0.6
    assert np.quantile(saturation(flower.image[others]), 0.98) < 0.5


def test_every_part_is_visible_and_parts_do_not_overlap():
    for seed in range(20):
        flower = render_flower(PLAIN, seed, CONFIG)
        pixels = dict(zip(PART_NAMES, flower.parts.sum(axis=(1, 2)), strict=True))
        assert pixels["stem"] > 5
        assert min(pixels[part] for part in ("petals", "core", "leaves", "pot")) > 200
        assert flower.parts.sum(axis=0).max() == 1
        assert not flower.discriminative.any()


def test_flowers_vary():
    flowers = [render_flower(PLAIN, seed, CONFIG) for seed in range(8)]
    pots = [np.argwhere(flower.parts[PART_NAMES.index("pot")]).mean(axis=0) for flower in flowers]
    corners = [flower.image[:8, :8].mean(axis=(0, 1)) for flower in flowers]
    assert np.std(pots, axis=0).min() > 0.5
    assert np.std(corners, axis=0).min() > 10


def test_the_demo_relies_on_different_parts_and_no_colour_gives_the_part_away():
    parts_of = {}
    for flower_class in CLASSES:
        parts_of.setdefault(flower_class.colour, set()).add(flower_class.part)
    assert len({flower_class.part for flower_class in CLASSES}) >= 3
    assert all(len(parts) > 1 for parts in parts_of.values())
    assert len({flower_class.name for flower_class in CLASSES}) == len(CLASSES)


def test_a_data_set_is_a_folder_of_class_folders_with_the_truth_beside_it(tmp_path):
    done = []
    write_dataset(
        tmp_path, variant="demo", images_per_class=2, seed=3, config=FlowerConfig(size=64), progress=done.append
    )
    names = sorted(flower_class.name for flower_class in CLASSES)
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == names
    assert sum(done) == 2 * len(CLASSES)
    for number, flower_class in enumerate(CLASSES):
        flower = render_flower(flower_class, (3, number, 1), FlowerConfig(size=64))
        with Image.open(tmp_path / "images" / flower_class.name / "0001.png") as picture:
            np.testing.assert_array_equal(np.asarray(picture), flower.image)
        labels = read_labels(tmp_path / "truth" / flower_class.name / "0001.png")
        np.testing.assert_array_equal(labels, flower.labels)


def test_a_data_set_has_the_same_bytes_again_and_within_a_larger_one(tmp_path):
    for folder, count in (("first", 1), ("second", 1), ("larger", 2)):
        write_dataset(tmp_path / folder, variant="demo", images_per_class=count, seed=0, config=FlowerConfig(size=32))
    files = [path.relative_to(tmp_path / "first") for path in (tmp_path / "first").rglob("*") if path.is_file()]
    assert len(files) == 2 * len(CLASSES) + 1
    for file in files:
        content = (tmp_path / "first" / file).read_bytes()
        assert (tmp_path / "second" / file).read_bytes() == content
        if file.suffix == ".png":
            assert (tmp_path / "larger" / file).read_bytes() == content


def test_a_picture_is_not_taken_for_a_label_image(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "picture.png")
    with pytest.raises(ValueError, match=r"^`path` must be a palette image of part labels, .* has mode RGB\.$"):
        read_labels(tmp_path / "picture.png")


def test_wrong_arguments_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"^`variant` must be one of demo, got 'dem'\.$"):
        flower_classes("dem")
    with pytest.raises(ValueError, match=r"^`part` must be one of petals, .*, got 'root'\.$"):
        FlowerClass("red_root", "root", "red")
    with pytest.raises(ValueError, match=r"^`colour` must be one of red, .*, got 'puce'\.$"):
        FlowerClass("puce_pot", "pot", "puce")
    with pytest.raises(ValueError, match=r"^`part` and `colour` must both be given or both be None"):
        FlowerClass("pot", "pot", None)
    with pytest.raises(ValueError, match=r"^`size` must be positive, got 0\.$"):
        FlowerConfig(size=0)
    with pytest.raises(ValueError, match=r"^`scale` must be \(low, high\) with low <= high, got \(2, 1\)\.$"):
        FlowerConfig(scale=(2, 1))
    with pytest.raises(ValueError, match=r"^`noise` must be non-negative, got -1\.$"):
        FlowerConfig(noise=-1)
    for arguments, message in (
        ({"images_per_class": 0, "seed": 0}, r"^`images_per_class` must be positive, got 0\.$"),
        ({"images_per_class": 1, "seed": -1}, r"^`seed` must not be negative, got -1\.$"),
    ):
        with pytest.raises(ValueError, match=message):
            write_dataset(tmp_path, variant="demo", config=CONFIG, **arguments)
