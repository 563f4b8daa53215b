"""What holds for every way of scoring two images."""

import hypothesis
import hypothesis.strategies as st
import jax
import numpy as np
import pytest
from oracles import matching as oracle
from oracles.described import SIDE, described, random_image

from vissum_jax.matching import MatchingConfig, score
from vissum_jax.matching.nam import aspect_gate

SIZE = (SIDE, SIDE)
ORACLES = {"nam": oracle.nam, "lom": oracle.lom, "phm": lambda a, b: oracle.phm(a, b, SIDE, SIDE)}
METHODS = sorted(ORACLES)
jitted = jax.jit(score, static_argnames=("config", "image_size", "rows"))


def ours(first, second, method, rows=None):
    return np.asarray(jitted(first, second, config=MatchingConfig(score=method), image_size=SIZE, rows=rows))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_oracle(method, seed):
    first, second = random_image(seed), random_image(seed + 100, count=31)
    expected = ORACLES[method](first, second)
    assert 50 < np.count_nonzero(expected) < expected.size
    np.testing.assert_allclose(ours(described(first), described(second), method), expected, atol=1e-4 * expected.max())


@pytest.mark.parametrize("seed", range(3))
def test_lom_of_a_hundred_boxes_equals_the_oracle_closely(seed):
    """Many boxes agree on an offset, as in photographs: the median's steps come near to theirs, and must not stick."""
    rng = np.random.default_rng(seed)
    boxes, features = random_image(seed, count=120, dimensions=40)
    moved = boxes + np.array([7, -4, 0, 0]) + rng.integers(-3, 4, boxes.shape)
    moved[:, 2:] = np.maximum(moved[:, 2:], 4)
    second = moved, (features + rng.normal(0, 0.5, features.shape)).astype(np.float32)
    expected = oracle.lom((boxes, features), second)
    np.testing.assert_allclose(
        ours(described((boxes, features)), described(second), "lom"), expected, atol=1e-5 * expected.max()
    )


def test_aspect_ratios_that_differ_by_exactly_the_limit_do_not_match():
    """Common among whole numbers; rounding must not decide."""
    sides = np.array([(w, h) for w in range(20, 61) for h in range(20, 61)])
    boxes = np.concatenate([np.zeros_like(sides), sides], axis=1)
    once = described((boxes, np.ones((len(boxes), 1), np.float32)))
    gate = jax.jit(aspect_gate, static_argnums=2)
    for other in (boxes * np.array([1, 1, 2, 1]), boxes * np.array([1, 1, 1, 2])):
        limit = np.asarray(gate(once, described((other, np.ones((len(boxes), 1), np.float32))), MatchingConfig()))
        assert not np.diag(limit).any()
        assert limit.any()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("padding", [1, 9])
@hypothesis.given(st.integers(0, 2**16))
@hypothesis.settings(max_examples=10, deadline=None)
def test_padding_changes_nothing_and_scores_nothing(method, padding, seed):
    first, second = random_image(seed, count=11), random_image(seed + 1, count=13)
    plain = ours(described(first), described(second), method)
    padded = ours(described(first, padding), described(second, padding), method)
    np.testing.assert_allclose(padded[:11, :13], plain, atol=1e-4 * max(plain.max(), 1))
    assert not padded[11:].any()
    assert not padded[:, 13:].any()


@pytest.mark.parametrize("method", METHODS)
@hypothesis.given(st.integers(0, 2**16))
@hypothesis.settings(max_examples=10, deadline=None)
def test_the_order_of_boxes_changes_the_order_of_scores_alone(method, seed):
    rng = np.random.default_rng(seed)
    first, second = random_image(seed, count=12), random_image(seed + 1, count=12)
    p, q = rng.permutation(12), rng.permutation(12)
    straight = ours(described(first), described(second), method)
    shuffled = ours(described((first[0][p], first[1][p])), described((second[0][q], second[1][q])), method)
    # Sums in another order; the median's reweighting amplifies their rounding.
    np.testing.assert_allclose(shuffled, straight[np.ix_(p, q)], atol=1e-4 * max(straight.max(), 1))


@pytest.mark.parametrize("method", METHODS)
def test_fewer_rows_are_the_first_rows(method):
    first, second = described(random_image(5)), described(random_image(6))
    np.testing.assert_allclose(ours(first, second, method, rows=7), ours(first, second, method)[:7], rtol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_vmap_agrees_with_single_calls(method):
    config = MatchingConfig(score=method)
    firsts = [described(random_image(seed)) for seed in range(3)]
    second = described(random_image(9))
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *firsts)
    batched = jax.jit(jax.vmap(lambda first: score(first, second, config, image_size=SIZE)))(stacked)
    for first, scores in zip(firsts, batched, strict=True):
        single = ours(first, second, method)
        np.testing.assert_allclose(scores, single, atol=1e-4 * single.max())


@pytest.mark.parametrize("method", METHODS)
def test_images_without_boxes_or_without_likeness_score_zero(method):
    image = random_image(7)
    opposite = (image[0], -image[1])
    nothing = described((image[0][:0], image[1][:0]), padding=5)
    assert not ours(nothing, described(image), method).any()
    assert not ours(described(image), nothing, method).any()
    same = (np.repeat(image[0][:1], 4, axis=0), np.repeat(image[1][:1], 4, axis=0))
    assert not ours(described(same), described((same[0], -same[1])), method).any()
    assert np.isfinite(ours(described(image), described(opposite), method)).all()
