import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles.attribution import classifier_of, linear_net, most_important

from vissum_jax.masks.binarise import BisectionConfig, at_area, bisected, iebb_thresh, ranking
from vissum_jax.masks.perturbation import MeanColour
from vissum_jax.types import Outputs

SIDE = 8
RANDOM = np.random.default_rng(0)
WEIGHTS = np.zeros((SIDE, SIDE, 3))
WEIGHTS[1:4, 2:6] = 0.8 / 36
IMAGES = RANDOM.uniform(0.4, 1.0, (3, SIDE, SIDE, 3)).astype(np.float32)
CLASSES = np.zeros(3, int)
EVERY = 6  # halvings that leave no pixel between feasible and infeasible: 2^6 pixels


class Black:
    """Perturbed pixels become black."""

    def prepare(self, image):
        return jnp.zeros((1, 1, 3), image.dtype)

    def apply(self, image, prepared, mask):
        return mask[..., None] * image


BLACK = Black()


def masks_in_order(importance):
    """Every mask along the ranking, smallest first."""
    return [most_important(importance, count) for count in range(importance.size + 1)]


@pytest.mark.parametrize("area", [0.0, 0.1, 0.25, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_it_takes_exactly_the_most_important_pixels(area, levels):
    importance = np.random.default_rng(levels).integers(0, levels, (9, 12)).astype(np.float32)
    found = jax.jit(at_area)(importance, area)
    np.testing.assert_array_equal(found, most_important(importance, round(area * 108)))


def test_equal_pixels_go_by_their_distance_to_the_centre():
    salient = np.asarray(at_area(np.zeros((9, 9), np.float32), 9 / 81))
    assert salient[3:6, 3:6].all()
    assert salient.sum() == 9


def test_ranks_are_a_permutation_and_follow_the_values():
    importance = RANDOM.normal(size=(7, 5)).astype(np.float32)
    ranks = np.asarray(ranking(importance))
    assert sorted(ranks.ravel()) == list(range(35))
    np.testing.assert_array_equal(np.argsort(ranks.ravel()), np.argsort(-importance.ravel()))


def test_iebb_thresh_takes_the_smallest_mask_values():
    soft = RANDOM.random((6, 6)).astype(np.float32)
    reference = RANDOM.random((6, 6)) < 0.3
    np.testing.assert_array_equal(iebb_thresh(soft, reference), most_important(-soft, reference.sum()))


def probabilities(image, masks):
    """`linear_net`'s, with the masks' pixels black."""
    return np.array([0.1 + np.sum(WEIGHTS * (image * ~mask[..., None])) for mask in masks])


def run(classifier, images, classes, importance, config):
    return jax.jit(bisected, static_argnames="config")(classifier, images, classes, importance, config=config)


def test_on_a_monotone_curve_it_finds_the_smallest_feasible_mask():
    importance = RANDOM.random((3, SIDE, SIDE)).astype(np.float32)
    config = BisectionConfig(target_drop=0.5, halvings=EVERY, perturbation=BLACK)
    found = run(linear_net(WEIGHTS), IMAGES, CLASSES, importance, config)
    for row in range(3):
        masks = masks_in_order(importance[row])
        p = probabilities(IMAGES[row], masks)
        smallest = np.flatnonzero(p / p[0] <= 0.5 * np.exp(-config.margin))[0]
        np.testing.assert_array_equal(found.salient[row], masks[smallest])
        np.testing.assert_allclose(found.drop[row], 1 - p[smallest] / p[0], atol=1e-4)
    assert found.feasible.all()
    assert (found.passes == EVERY + 2).all()


def test_fewer_halvings_leave_a_feasible_mask_that_is_somewhat_larger():
    importance = RANDOM.random((3, SIDE, SIDE)).astype(np.float32)
    fine, coarse = (
        run(
            linear_net(WEIGHTS),
            IMAGES,
            CLASSES,
            importance,
            BisectionConfig(target_drop=0.5, halvings=halvings, perturbation=BLACK),
        )
        for halvings in (EVERY, 2)
    )
    assert coarse.feasible.all()
    assert (coarse.drop >= 0.5).all()
    more = coarse.salient.sum((1, 2)) - fine.salient.sum((1, 2))
    assert ((more >= 0) & (more <= SIDE**2 / 4)).all()


def banded_net(low, high):
    """The probability is low only where `low` to `high` of all pixels are black."""

    def apply(params, images):
        black = (images.sum(-1) == 0).mean((1, 2))
        q = jnp.where((black >= low) & (black <= high), 0.001, 0.9)
        return Outputs(jnp.log(jnp.stack([q, 1 - q], 1)), {"pooled": q[:, None]})

    return classifier_of(apply, jnp.zeros(()), classes=2, side=SIDE)


def test_a_curve_that_rises_again_is_no_obstacle():
    importance = RANDOM.random((3, SIDE, SIDE)).astype(np.float32)
    config = BisectionConfig(target_drop=0.9, halvings=EVERY, perturbation=BLACK)
    found = run(banded_net(0.3, 0.6), IMAGES, CLASSES, importance, config)
    assert found.feasible.all()
    counts = np.asarray(found.salient.sum((1, 2)))
    assert (counts == np.ceil(0.3 * SIDE**2)).all()


def test_what_cannot_be_reached_is_flagged_with_the_largest_drop_seen():
    importance = RANDOM.random((3, SIDE, SIDE)).astype(np.float32)
    config = BisectionConfig(target_drop=0.95, halvings=4, perturbation=BLACK)
    found = run(linear_net(WEIGHTS), IMAGES, CLASSES, importance, config)  # at most .9 of p is due to the image
    assert not found.feasible.any()
    for row in range(3):
        clean, *_, dark = probabilities(IMAGES[row], masks_in_order(importance[row]))
        np.testing.assert_allclose(found.drop[row], 1 - dark / clean, atol=1e-4)


def test_a_nan_concerns_its_own_image_alone():
    def apply(params, images):
        q = 0.1 + 0.8 * images.mean((1, 2, 3)) + jnp.where(images[:, 0, 0, 0] > 0.99, jnp.nan, 0.0)
        return Outputs(jnp.log(jnp.stack([q, 1 - q], 1)), {"pooled": q[:, None]})

    classifier = classifier_of(apply, jnp.zeros(()), classes=2, side=SIDE)
    importance = RANDOM.random((3, SIDE, SIDE)).astype(np.float32)
    importance[:, 0, 0] = 0
    images = IMAGES.copy()
    images[:, 0, 0] = 0.5
    config = BisectionConfig(target_drop=0.5, halvings=4, perturbation=MeanColour())
    sound = run(classifier, images, CLASSES, importance, config)
    images[1, 0, 0, 0] = 1.0
    broken = run(classifier, images, CLASSES, importance, config)
    assert not broken.feasible[1]
    assert np.isnan(broken.drop[1])
    for before, after in zip(sound, broken, strict=True):
        np.testing.assert_array_equal(before[::2], after[::2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_drop": 1.0}, "`target_drop` must be in (0, 1), got 1.0."),
        ({"halvings": 0}, "`halvings` must be at least 1, got 0."),
        ({"margin": -1.0}, "`margin` must not be negative, got -1.0."),
    ],
)
def test_the_configuration_checks_itself(options, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole message is compared
        BisectionConfig(**options)
    assert str(error.value) == message
