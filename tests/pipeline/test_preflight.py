import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from vissum_jax.data import open_folder
from vissum_jax.pipeline.preflight import INPUTS, LabelCheckError, check_labels, require_fitting_labels
from vissum_jax.types import Classifier, ClassifierSpec, Outputs

COUNT, SIDE = 30, 32
# Colours so near to each other that no wrong normalisation leaves the answers as they are.
PALETTE = np.random.default_rng(0).uniform(0.55, 0.8, (COUNT, 3)).astype(np.float32)


def classifier(change=lambda x: x, *, order=None, known_top1: float | None = 0.9) -> Classifier:
    """Answers the class whose colour is nearest to the image's mean; sees the image through `change`."""
    order = np.arange(COUNT) if order is None else order

    def apply(params, images):
        mean = change(images).mean(axis=(1, 2))
        return Outputs(logits=-jnp.sum((mean[:, None] - params[order]) ** 2, axis=-1), endpoints={})

    spec = ClassifierSpec(
        name="palette",
        input_height=SIDE,
        input_width=SIDE,
        resize_short_side=SIDE,
        class_names=tuple(f"colour {number}" for number in range(COUNT)),
        feature_endpoint="none",
        known_top1=known_top1,
    )
    return Classifier(params=jnp.asarray(PALETTE), apply=apply, spec=spec)


def photographs(root, label=lambda number: number, *, images=2, classes=COUNT):
    """A folder of flat pictures, labelled by a labels.csv."""
    lines = ["folder,imagenet_index"]
    for number in range(classes):
        (root / f"c{number}").mkdir(parents=True)
        lines.append(f"c{number},{label(number)}")
        for copy in range(images):
            pixels = np.rint(255 * PALETTE[number]).astype(np.uint8) + np.uint8(copy)
            Image.fromarray(np.broadcast_to(pixels, (SIDE, SIDE, 3))).save(root / f"c{number}" / f"{copy}.png")
    (root / "labels.csv").write_text("\n".join(lines))
    return root


def source(root, **values):
    return open_folder(photographs(root, **values), classifier().spec)


def test_fitting_labels_pass(tmp_path):
    check = check_labels(classifier(), source(tmp_path))
    assert (check.images, check.correct, check.reason) == (60, 60, "")
    assert check.top1 == 1


def test_at_most_so_many_images_are_looked_at_and_all_classes_have_their_share(tmp_path):
    photos = source(tmp_path, images=5)
    assert check_labels(classifier(), photos).images == 64
    assert check_labels(classifier(), photos, most=30).correct == 30  # one of each class, whatever the order


TEXT_ORDER = np.array(sorted(range(COUNT), key=str))


def test_labels_numbered_in_text_order_are_recognised(tmp_path):
    photos = source(tmp_path, label=lambda number: np.argsort(TEXT_ORDER)[number])
    with pytest.raises(LabelCheckError) as caught:
        require_fitting_labels(classifier(), photos)
    assert "sorted as text (0, 1, 10, 100, ..) where the labels come from (so read, 100% would be right)" in str(
        caught.value
    )
    assert str(caught.value).endswith("Correct it, or go on with --no-preflight.")


def test_a_network_trained_in_text_order_is_recognised(tmp_path):
    check = check_labels(classifier(order=TEXT_ORDER), source(tmp_path))
    assert "where the network was trained (so read, 100% would be right)" in check.reason


def test_any_other_consistent_order_is_recognised(tmp_path):
    shuffled = np.random.default_rng(1).permutation(COUNT)
    check = check_labels(classifier(), source(tmp_path, label=lambda number: shuffled[number]))
    assert "the ILSVRC development kit does not" in check.reason


UNDONE = {
    "its channels are read as blue, green, red": lambda x: x[..., ::-1],
    "its input is taken for 0..255 where it is 0..1 (multiply by 255 first)": lambda x: x / 255,
    "its input is divided by 255 once too often": lambda x: 255 * x,
    "ImageNet's mean and deviation are not applied": lambda x: x * np.array([0.229, 0.224, 0.225]) + MEAN,
    "ImageNet's mean and deviation are applied twice": lambda x: (x - MEAN) / np.array([0.229, 0.224, 0.225]),
    "its input is not brought to -1..1": lambda x: (x + 1) / 2,
    "its input is brought to -1..1 twice": lambda x: 2 * x - 1,
}
MEAN = np.array([0.485, 0.456, 0.406])


@pytest.mark.parametrize("fault", INPUTS)
@pytest.mark.parametrize("known", [0.9, None])
def test_every_wrong_normalisation_is_recognised(tmp_path, fault, known):
    check = check_labels(classifier(UNDONE[fault], known_top1=known), source(tmp_path))
    assert check.reason == f"wrong normalisation: {fault} (so read, 100% would be right)"


def test_a_network_that_answers_at_random_is_stopped_without_a_made_up_reason(tmp_path):
    def noise(images):
        spread = jnp.sin(1e5 * images.sum(axis=(1, 2, 3)))[:, None, None, None]
        return 0 * images + 0.5 + 0.4 * jnp.concatenate([spread, jnp.sin(77 * spread), jnp.sin(991 * spread)], axis=-1)

    check = check_labels(classifier(noise), source(tmp_path))
    assert check.correct < 20
    assert check.reason.startswith("labels and network do not fit")


def test_a_network_with_one_answer_for_everything_is_not_taken_for_another_order(tmp_path):
    check = check_labels(classifier(lambda x: 0 * x), source(tmp_path))
    assert check.reason.startswith("labels and network do not fit")


def test_few_images_and_hard_classes_are_not_enough_to_stop_a_run(tmp_path):
    wrong = source(tmp_path, label=lambda number: (number + 1) % COUNT, images=1, classes=3)
    assert check_labels(classifier(), wrong).reason == ""
    unknown = dataclasses.replace(classifier().spec, known_top1=None)
    assert check_labels(dataclasses.replace(classifier(), spec=unknown), wrong).reason == ""


def test_pictures_that_cannot_be_read_are_passed_over(tmp_path):
    root = photographs(tmp_path, classes=2)
    for path in root.glob("c*/*.png"):
        path.write_bytes(b"no picture")
    check = check_labels(classifier(), open_folder(root, classifier().spec))
    assert (check.images, check.top1, check.reason) == (0, None, "")
