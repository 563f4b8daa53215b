import cv2
import numpy as np
import pytest
from PIL import Image

from vissum_jax.data.an8flower import (
    DATASET_VARIANTS,
    PART_NAMES,
    PLAIN,
    FlowerClass,
    FlowerConfig,
    flower_classes,
    read_labels,
    render_flower,
    write_dataset,
)
from vissum_jax.data.an8flower.classes import COLOUR_HUES

CONFIG = FlowerConfig(size=112)
CLASSES = flower_classes("demo")
SIX = ("red", "yellow", "green", "cyan", "blue", "magenta")
POTS = ("yellow", "blue")
DATASET_CLASSES = [entry for variant in DATASET_VARIANTS for entry in flower_classes(variant)]


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


def test_the_variants_have_exactly_these_classes():
    double = {f"{petals}_petals_{pot}_pot": (("petals", petals), ("pot", pot)) for petals in SIX for pot in POTS}
    expected = {
        "single-6c": {f"{colour}_petals": (("petals", colour),) for colour in SIX},
        "double-12c": double,
        "part-2c": {"red_petals": (("petals", "red"),), "red_pot": (("pot", "red"),)},
    }
    assert tuple(expected) == DATASET_VARIANTS
    for variant, classes in expected.items():
        assert {entry.name: entry.vivid for entry in flower_classes(variant)} == classes


def hue_distance(hue: float, other: float) -> float:
    return abs((hue - other + 180) % 360 - 180)


def test_colours_are_apart_whatever_their_deviation():
    low, high = CONFIG.vivid_hue
    for colour, hue in COLOUR_HUES.items():
        for other, other_hue in COLOUR_HUES.items():
            assert colour == other or hue_distance(hue, other_hue) > 2 * (high - low)


@pytest.mark.parametrize("flower_class", DATASET_CLASSES, ids=lambda c: c.name)
def test_the_truth_is_where_the_colours_are(flower_class: FlowerClass):
    for seed in range(2):
        vivid, plain = (render_flower(entry, seed, CONFIG) for entry in (flower_class, PLAIN))
        np.testing.assert_array_equal(vivid.labels, plain.labels)
        differs = (vivid.image != plain.image).any(axis=-1)
        reach = cv2.dilate(vivid.discriminative.astype(np.uint8), np.ones((3, 3))) > 0  # edges are averaged
        assert not (differs & ~reach).any()
        expected = np.zeros_like(differs)
        hues = cv2.cvtColor(vivid.image, cv2.COLOR_RGB2HSV)[..., 0] * 2.0  # OpenCV counts half degrees
        for part, colour in flower_class.vivid:
            own = vivid.parts[PART_NAMES.index(part)]
            expected |= own
            assert 0.3 < differs[own].mean() < 0.95
            inked = own & (saturation(vivid.image) > 0.7)
            assert inked.sum() > 0.15 * own.sum()
            assert np.median([hue_distance(hue, COLOUR_HUES[colour]) for hue in hues[inked]]) < 14
        np.testing.assert_array_equal(vivid.discriminative, expected)


def test_the_colours_of_two_parts_vary_apart_from_each_other():
    flower_class = FlowerClass("both", (("petals", "red"), ("pot", "red")))
    values = []
    for seed in range(12):
        flower = render_flower(flower_class, seed, FlowerConfig(size=64, noise=0.0, exposure=(1.0, 1.0)))
        pixels = [flower.image[flower.parts[PART_NAMES.index(part)]] for part in ("petals", "pot")]
        values.append([np.quantile(saturation(own), 0.9) for own in pixels])
    assert abs(np.corrcoef(np.transpose(values))[0, 1]) < 0.8


def test_a_class_of_one_part_names_it_and_a_class_of_two_has_no_single_one():
    assert (CLASSES[1].part, CLASSES[1].colour, PLAIN.part, PLAIN.colour) == ("core", "blue", None, None)
    double = flower_classes("double-12c")[0]
    assert double.parts == ("petals", "pot")
    message = r"^class 'red_petals_yellow_pot' has several discriminative parts: petals, pot\.$"
    for ask in (lambda: double.part, lambda: double.colour):
        with pytest.raises(ValueError, match=message):
            ask()


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
    with pytest.raises(ValueError, match=r"^`variant` must be one of single-6c, .*, demo, got 'dem'\.$"):
        flower_classes("dem")
    with pytest.raises(ValueError, match=r"^`vivid`: a part must be one of petals, .*, got 'root'\.$"):
        FlowerClass("red_root", (("root", "red"),))
    with pytest.raises(ValueError, match=r"^`vivid`: a colour must be one of red, .*, got 'puce'\.$"):
        FlowerClass("puce_pot", (("pot", "puce"),))
    with pytest.raises(ValueError, match=r"^`vivid` must name a part once, got pot, pot\.$"):
        FlowerClass("pot", (("pot", "red"), ("pot", "blue")))
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
