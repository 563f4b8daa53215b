import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from oracles import measures as oracle

from vissum_jax.masks.measures import (
    CurveConfig,
    area_under,
    curve_counts,
    drop,
    judge,
    perturbation_curves,
    redrawn,
)
from vissum_jax.masks.perturbation import TRANSFERS

CLASSES = np.array([0, 1, 2, 0])
CURVES = CurveConfig(steps=7)


@pytest.fixture(scope="module")
def classifier():
    return toys.make_classifier()


@pytest.fixture(scope="module")
def images():
    return np.stack([toys.photograph(index, seed) for seed, index in enumerate(CLASSES)])


@pytest.fixture(scope="module")
def salient():
    """Smooth random masks of different areas."""
    noise = np.random.default_rng(0).normal(size=(len(CLASSES), 4, 4))
    fields = np.kron(noise, np.ones((16, 16)))
    return fields > np.array([0.0, -0.5, 0.5, 1.0])[:, None, None]


def probability(classifier, image, class_index):
    """Of one image with float values in [0, 1]."""
    logits = classifier(jnp.asarray(image, jnp.float32)[None]).logits[0]
    return float(jax.nn.softmax(logits)[class_index])


# Judging binary masks.


def test_binary_masks_are_judged_under_the_full_blur_and_the_mean_colour(classifier, images, salient):
    judged = judge(classifier, images, CLASSES, salient)
    transfers = dict(zip(TRANSFERS, np.asarray(judged.p_transfers).T, strict=True))
    for row, image in enumerate(images / 255.0):
        mean = np.broadcast_to(image.mean(axis=(0, 1)), image.shape)
        fills = {"binary": oracle.blurred(image), "mean_colour": mean}
        wanted = {
            name: probability(classifier, oracle.composite(image, fill, salient[row]), CLASSES[row])
            for name, fill in fills.items()
        }
        assert judged.p_original[row] == pytest.approx(probability(classifier, image, CLASSES[row]), rel=1e-5)
        assert judged.p_binary[row] == pytest.approx(wanted["binary"], rel=2e-2)
        assert transfers["mean_colour"][row] == pytest.approx(wanted["mean_colour"], rel=1e-3)


@pytest.mark.parametrize("name", TRANSFERS)
def test_every_transfer_has_its_own_column(classifier, images, salient, name):
    column = judge(classifier, images, CLASSES, salient).p_transfers[:, list(TRANSFERS).index(name)]
    perturbation = TRANSFERS[name]
    for row, image in enumerate(jnp.asarray(images, jnp.float32) / 255):
        perturbed = perturbation.apply(image, perturbation.prepare(image), jnp.asarray(1.0 - salient[row]))
        assert column[row] == pytest.approx(probability(classifier, perturbed, CLASSES[row]), rel=1e-3)


def test_a_mask_without_a_pixel_changes_nothing(classifier, images):
    judged = judge(classifier, images, CLASSES, np.zeros(images.shape[:3], bool))
    np.testing.assert_allclose(judged.p_binary, judged.p_original, rtol=1e-5)
    np.testing.assert_allclose(judged.p_transfers, np.tile(judged.p_original, (len(TRANSFERS), 1)).T, rtol=1e-5)


def test_a_mask_of_all_pixels_leaves_the_blurred_image(classifier, images):
    judged = judge(classifier, images, CLASSES, np.ones(images.shape[:3], bool))
    wanted = [probability(classifier, oracle.blurred(x / 255), c) for x, c in zip(images, CLASSES, strict=True)]
    np.testing.assert_allclose(judged.p_binary, wanted, rtol=2e-2)


def test_images_of_a_batch_do_not_meet(classifier, images, salient):
    together = judge(classifier, images, CLASSES, salient)
    order = np.array([2, 0, 3, 1])
    shuffled = judge(classifier, images[order], CLASSES[order], salient[order])
    for one, other in zip(together, shuffled, strict=True):
        np.testing.assert_allclose(np.asarray(one)[order], other, rtol=1e-6)


def test_an_image_that_breaks_the_network_leaves_the_others_alone(images, salient):
    broken = images.copy()
    broken[1] = 0
    broken[1, :32, :, 0] = 255  # its colour is out of bounds
    sound = judge(toys.make_classifier(), images, CLASSES, salient)
    judged = judge(toys.make_classifier(breaks_above=60.0), broken, CLASSES, salient)
    assert np.isnan(judged.p_original[1])
    np.testing.assert_array_equal(np.asarray(judged.p_binary)[[0, 2, 3]], np.asarray(sound.p_binary)[[0, 2, 3]])


def test_drop_is_the_share_that_is_lost():
    np.testing.assert_allclose(drop(np.array([0.8, 0.5, 0.1]), np.array([0.2, 0.5, 0.2])), [0.75, 0.0, -1.0])


# Deletion and insertion.


@pytest.fixture(scope="module")
def importance(images):
    """A map with ties: how far a pixel's strongest channel stands out, in coarse steps."""
    return np.floor((images.max(axis=-1).astype(np.float32) - images.min(axis=-1)) / 40)


def test_curves_equal_those_of_one_image_at_a_time(classifier, images, importance):
    found = perturbation_curves(classifier, images, CLASSES, importance, CURVES)
    for row, image in enumerate(images / 255.0):
        deletion, insertion = oracle.curves(
            lambda x, row=row: probability(classifier, x, CLASSES[row]), image, importance[row], CURVES.steps
        )
        np.testing.assert_allclose(found.deletion[row], deletion, rtol=2e-2, atol=1e-4)
        np.testing.assert_allclose(found.insertion[row], insertion, rtol=2e-2, atol=1e-4)


def test_only_the_order_of_importance_counts(classifier, images, importance):
    one = perturbation_curves(classifier, images, CLASSES, importance, CURVES)
    other = perturbation_curves(classifier, images, CLASSES, 3.0 * importance - 7.0, CURVES)
    for first, second in zip(one, other, strict=True):
        np.testing.assert_array_equal(first, second)


def test_insertion_begins_where_deletion_ends_and_the_reverse(classifier, images, importance):
    found = perturbation_curves(classifier, images, CLASSES, importance, CURVES)
    np.testing.assert_array_equal(found.insertion[:, 0], found.deletion[:, -1])
    np.testing.assert_array_equal(found.insertion[:, -1], found.deletion[:, 0])
    clean = judge(classifier, images, CLASSES, np.zeros(images.shape[:3], bool)).p_original
    np.testing.assert_allclose(found.deletion[:, 0], clean, rtol=1e-5)


def test_a_curve_of_one_step_has_its_two_ends(classifier, images, importance):
    found = perturbation_curves(classifier, images, CLASSES, importance, CurveConfig(steps=1))
    assert found.deletion.shape == found.insertion.shape == (4, 2)
    np.testing.assert_array_equal(found.insertion, np.asarray(found.deletion)[:, ::-1])


def test_a_good_ranking_deletes_early_and_inserts_early(classifier, images, importance):
    good = perturbation_curves(classifier, images, CLASSES, importance, CURVES)
    bad = perturbation_curves(classifier, images, CLASSES, -importance, CURVES)
    assert np.all(area_under(np.asarray(good.deletion)) < area_under(np.asarray(bad.deletion)))
    assert np.all(area_under(np.asarray(good.insertion)) > area_under(np.asarray(bad.insertion)))


def test_pixels_go_in_equal_portions():
    np.testing.assert_array_equal(curve_counts(100, 4), [0, 25, 50, 75, 100])
    assert list(curve_counts(3, 2)) == [0, 2, 3]


def test_the_area_under_a_curve_is_a_share():
    curves = np.array([[1.0, 1.0, 1.0], [1.0, 0.5, 0.0], [0.0, 1.0, 0.0]])
    np.testing.assert_allclose(area_under(curves), [1.0, 0.5, 0.5])
    np.testing.assert_allclose(area_under(np.array([0.2, 0.6])), 0.4)


def test_no_step_is_refused():
    with pytest.raises(ValueError, match=r"^`steps` must be positive, got 0\.$"):
        CurveConfig(steps=0)


# Meaningless weights.


def test_weights_drawn_anew_keep_their_values_and_lose_their_places():
    values = {"matrix": jnp.arange(20.0).reshape(4, 5), "bias": jnp.arange(5.0), "scale": jnp.float32(3.0)}
    classifier = toys.make_classifier()
    before = type(classifier)(values, classifier.apply, classifier.spec)
    after = redrawn(before, seed=0)
    for name, array in values.items():
        assert after.params[name].shape == array.shape
        np.testing.assert_array_equal(np.sort(np.ravel(after.params[name])), np.sort(np.ravel(array)))
    assert not np.array_equal(after.params["matrix"], values["matrix"])
    assert not np.array_equal(after.params["matrix"], redrawn(before, seed=1).params["matrix"])
    np.testing.assert_array_equal(after.params["matrix"], redrawn(before, seed=0).params["matrix"])
    assert after.apply is before.apply
