import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scripts.train_flowernet import beliefs
from vissum_jax.data.an8flower import DATASET_VARIANTS, PLAIN, FlowerConfig, flower_classes, render_flower
from vissum_jax.models import load_classifier
from vissum_jax.ops.blur import gaussian_blur

CLASSES = flower_classes("demo")
SEEDS = range(900, 904)  # not seen in training, whose seeds are triples


@pytest.fixture(scope="module")
def answers() -> dict[str, np.ndarray]:
    """Probabilities (class, seed, answer): clear, with the vivid part blurred, with as much blurred elsewhere."""
    classifier = load_classifier("flowernet")
    config = FlowerConfig(size=112)
    flowers = [[render_flower(flower_class, seed, config) for seed in SEEDS] for flower_class in (*CLASSES, PLAIN)]
    clear = np.array([[flower.image for flower in row] for row in flowers], np.float32) / 255
    own = np.array([[cv2.dilate(f.discriminative.astype(np.uint8), np.ones((7, 7))) for f in row] for row in flowers])
    # The part of the class three further on, which is another part for all of them.
    other = np.concatenate([np.roll(own[:-1], 3, axis=0), own[-1:]]) & ~own & 1
    assert (other[:-1].sum(axis=(2, 3)) > 200).all()

    @jax.jit
    def probabilities(images: jax.Array, hidden: jax.Array) -> jax.Array:
        blurred = jax.vmap(lambda image: gaussian_blur(image, 10.0))(images)
        return jax.nn.softmax(classifier(jnp.where(hidden[..., None] > 0, blurred, images)).logits)

    def answer(hidden: np.ndarray) -> np.ndarray:
        flat = probabilities(clear.reshape(-1, *clear.shape[2:]), hidden.reshape(-1, *hidden.shape[2:]))
        return np.asarray(flat).reshape(*clear.shape[:2], -1)

    return {"clear": answer(np.zeros_like(own)), "own": answer(own), "other": answer(other)}


def test_it_knows_the_demo_classes_and_plain_flowers():
    names = load_classifier("flowernet").spec.class_names
    assert names == (*(flower_class.name for flower_class in CLASSES), PLAIN.name)


def test_it_recognises_every_class(answers: dict[str, np.ndarray]):
    expected = np.arange(len(CLASSES) + 1)[:, None].repeat(len(SEEDS), axis=1)
    np.testing.assert_array_equal(answers["clear"].argmax(axis=-1), expected)


def test_blurring_the_vivid_part_and_nothing_else_destroys_the_score(answers: dict[str, np.ndarray]):
    for index in range(len(CLASSES)):
        clear, own, other = (answers[name][index, :, index] for name in ("clear", "own", "other"))
        assert ((clear - own) / clear >= 0.99).all()
        assert ((clear - other) / clear < 0.2).all()
        assert (answers["own"][index].argmax(axis=-1) == len(CLASSES)).all()  # then it looks plain


@pytest.mark.parametrize("variant", DATASET_VARIANTS)
def test_each_variant_of_the_data_set_has_a_network_that_knows_its_classes(variant: str):
    classes = flower_classes(variant)
    classifier = load_classifier(f"flowernet-{variant}")
    assert classifier.spec.class_names == (*(flower_class.name for flower_class in classes), PLAIN.name)
    flowers = [render_flower(flower_class, 901, FlowerConfig(size=112)) for flower_class in (*classes, PLAIN)]
    answers = classifier(jnp.asarray(np.array([flower.image for flower in flowers], np.float32) / 255)).logits
    np.testing.assert_array_equal(np.argmax(answers, axis=1), np.arange(len(flowers)))


def test_with_one_of_two_vivid_parts_hidden_a_flower_may_be_what_still_looks_so():
    classes = (*flower_classes("double-12c"), PLAIN)
    table = beliefs(classes)
    names = [flower_class.name for flower_class in classes]
    own = names.index("red_petals_blue_pot")
    neither, petals, pot, both = table[own]
    assert names[int(np.argmax(neither))] == "red_petals_blue_pot"
    assert neither.max() == 1.0
    assert {names[k] for k in np.flatnonzero(petals)} == {name for name in names if name.endswith("blue_pot")}
    assert {names[k] for k in np.flatnonzero(pot)} == {"red_petals_blue_pot", "red_petals_yellow_pot"}
    assert names[int(np.argmax(both))] == PLAIN.name
    np.testing.assert_allclose(table.sum(axis=-1), 1.0, rtol=1e-6)
