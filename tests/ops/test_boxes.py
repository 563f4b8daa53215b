import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import boxes as oracle

from vissum_jax.ops import boxes


def random_boxes(seed, count=12):
    rng = np.random.default_rng(seed)
    sides = rng.integers(1, 40, (count, 2))
    return np.concatenate([rng.integers(0, 65 - sides), sides], axis=1)


@pytest.mark.parametrize("namespace", [np, jnp])
def test_intersection_and_iou_count_pixels(namespace):
    first, second = random_boxes(0), random_boxes(1)
    a, b = namespace.asarray(first), namespace.asarray(second)
    shared = oracle.intersection(first, second)
    assert shared.any()
    assert (shared == 0).any()
    np.testing.assert_array_equal(boxes.intersection(a, b), shared)
    np.testing.assert_allclose(boxes.iou(a, b), shared / oracle.union(first, second), rtol=1e-6)


def test_arrays_stay_where_they_are():
    on_host = random_boxes(2)
    assert isinstance(boxes.iou(on_host, on_host), np.ndarray)
    assert isinstance(boxes.iou(jnp.asarray(on_host), jnp.asarray(on_host)), jax.Array)


def test_touching_boxes_share_nothing():
    first, second = np.array([[0, 0, 5, 5]]), np.array([[5, 0, 5, 5], [0, 5, 5, 5]])
    assert not boxes.intersection(first, second).any()


def test_empty_boxes_have_iou_zero():
    assert boxes.iou(np.zeros((1, 4)), np.zeros((1, 4))) == 0


def test_jit_and_eager_agree():
    first, second = jnp.asarray(random_boxes(3)), jnp.asarray(random_boxes(4))
    np.testing.assert_array_equal(jax.jit(boxes.iou)(first, second), boxes.iou(first, second))


def test_area_and_centre():
    box = np.array([[2, 3, 5, 8]])
    assert boxes.area(box) == 40
    np.testing.assert_array_equal(boxes.centre(box), [[4.5, 7.0]])


def test_mirroring_moves_the_pixels():
    first = random_boxes(5)
    mirrored = boxes.mirror(first, width=64)
    for box, other in zip(first, mirrored, strict=True):
        np.testing.assert_array_equal(oracle.pixels(box)[:, ::-1], oracle.pixels(other))
    np.testing.assert_array_equal(boxes.mirror(mirrored, width=64), first)
