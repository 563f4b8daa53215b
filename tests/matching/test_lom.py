import jax.numpy as jnp
import numpy as np
import pytest
from oracles import matching as oracle
from oracles.described import described, random_image

from vissum_jax.matching import MatchingConfig, lom
from vissum_jax.matching.lom import median_offsets

EPSILON = (0.5, 0.5, 0.05)


@pytest.mark.parametrize("count", [1, 2, 5, 40])
def test_median_offsets_equal_the_oracle(count):
    rng = np.random.default_rng(count)
    offsets = np.concatenate([rng.integers(-40, 40, (count, 2)) / 2, rng.uniform(0.1, 5, (count, 1))], axis=1)
    neighbour = rng.uniform(size=(count, 6)) < 0.6
    neighbour[0] = True
    ours = median_offsets(jnp.asarray(offsets, dtype=jnp.float32), jnp.asarray(neighbour), steps=20, epsilon=EPSILON)
    for column, members in enumerate(neighbour.T):
        np.testing.assert_allclose(ours[column], oracle.median_offset(offsets[members]), atol=1e-4)


def test_the_steps_approach_the_median():
    offsets = np.random.default_rng(0).normal(0, 30, (41, 3))
    ours = median_offsets(
        jnp.asarray(offsets, dtype=jnp.float32), jnp.ones((41, 1), dtype=bool), steps=20, epsilon=EPSILON
    )
    np.testing.assert_allclose(ours[0], np.median(offsets, axis=0), atol=1.5)


def test_an_offset_of_exactly_one_pixel_does_not_hold_the_median():
    """The steps start from one; a vanishing epsilon would stop them there."""
    offsets = jnp.array([[1.0, 1.0, 1.0]] + [[30.0, -30.0, 2.0]] * 9)
    ours = median_offsets(offsets, jnp.ones((10, 1), dtype=bool), steps=20, epsilon=EPSILON)
    np.testing.assert_allclose(ours[0], [30, -30, 2], atol=0.1)


def test_an_empty_neighbourhood_has_median_zero():
    ours = median_offsets(jnp.ones((3, 3)), jnp.zeros((3, 2), dtype=bool), steps=20, epsilon=EPSILON)
    assert not np.asarray(ours).any()


def test_a_shifted_copy_matches_itself_box_by_box():
    boxes, descriptors = random_image(0, count=20, dimensions=200)
    shifted = boxes + np.array([7, -3, 0, 0])
    scores = np.asarray(lom(described((boxes, descriptors)), described((shifted, descriptors)), MatchingConfig()))
    np.testing.assert_array_equal(scores.argmax(axis=1), np.arange(20))


def test_neighbours_decide_between_candidates_that_look_the_same():
    """Two equal candidates: the one that moved as the neighbours did wins."""
    rng = np.random.default_rng(1)
    look = rng.normal(size=(5, 50)).astype(np.float32)
    boxes = np.array([[20, 20, 20, 20], [24, 20, 20, 20], [20, 24, 20, 20], [16, 20, 20, 20], [20, 16, 20, 20]])
    twin = np.concatenate([boxes + np.array([10, 0, 0, 0]), boxes[:1] + np.array([-15, 30, 0, 0])])
    scores = np.asarray(
        lom(described((boxes, look)), described((twin, np.concatenate([look, look[:1]]))), MatchingConfig())
    )
    assert scores[0, 0] > 2 * scores[0, 5] > 0
