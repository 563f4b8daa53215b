import cv2
import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import resize as oracle

from vissum_jax.ops.resize import crop_and_resize, sampling_matrix


@pytest.mark.parametrize(
    ("start", "extent", "samples"), [(3.2, 11.7, 5), (-4.0, 30.0, 8), (10.3, 4.5, 12), (18.0, 9.0, 6)]
)
def test_weights_equal_fine_sampling(start, extent, samples):
    ours = sampling_matrix(start, extent, samples, rows=samples, source=20)
    np.testing.assert_allclose(ours, oracle.sampling_matrix(start, extent, samples, samples, 20), atol=2e-4)


@hypothesis.given(st.floats(-50, 50), st.floats(0.5, 100), st.integers(1, 16))
@hypothesis.settings(max_examples=50, deadline=None)
def test_every_row_is_an_average(start, extent, samples):
    weights = np.asarray(sampling_matrix(start, extent, samples, rows=16, source=24))
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)


def test_scale_one_is_the_identity():
    image = jnp.asarray(np.random.default_rng(0).uniform(0, 255, (9, 12, 3)).astype(np.float32))
    out = crop_and_resize(image, jnp.array([2, 1, 7, 6]), (6, 7), height=6, width=7)
    np.testing.assert_allclose(out, image[1:7, 2:9], rtol=1e-6)


def test_growing_is_bilinear_interpolation():
    image = np.random.default_rng(1).uniform(0, 255, (11, 14, 3)).astype(np.float32)
    out = crop_and_resize(jnp.asarray(image), jnp.array([0, 0, 14, 11]), (37, 50), height=37, width=50)
    np.testing.assert_allclose(out, cv2.resize(image, (50, 37), interpolation=cv2.INTER_LINEAR), atol=1e-2)


def test_shrinking_is_area_averaging():
    image = np.random.default_rng(2).uniform(0, 255, (40, 60, 3)).astype(np.float32)
    out = crop_and_resize(jnp.asarray(image), jnp.array([5, 3, 48, 33]), (11, 13), height=11, width=13)
    expected = cv2.resize(image[3:36, 5:53], (13, 11), interpolation=cv2.INTER_AREA)
    # A crop reads beyond its box only where a window straddles the border, which area averaging never does.
    np.testing.assert_allclose(out, expected, atol=2e-2)


def test_beyond_the_image_lie_its_edge_pixels():
    image = np.random.default_rng(3).uniform(0, 255, (10, 10, 3)).astype(np.float32)
    out = crop_and_resize(jnp.asarray(image), jnp.array([-4, -2, 18, 16]), (16, 18), height=16, width=18)
    np.testing.assert_allclose(out, np.pad(image, ((2, 4), (4, 4), (0, 0)), mode="edge"), rtol=1e-5)


def test_the_canvas_may_be_larger_than_the_result_and_its_size_traced():
    image = jnp.asarray(np.random.default_rng(4).uniform(0, 1, (20, 30, 1)).astype(np.float32))
    box = jnp.array([3.0, 4.0, 11.0, 9.0])
    on_canvas = jax.jit(lambda size: crop_and_resize(image, box, size, height=16, width=16))
    for size in [(5, 7), (16, 3)]:
        exact = crop_and_resize(image, box, size, height=size[0], width=size[1])
        np.testing.assert_allclose(on_canvas(jnp.array(size))[: size[0], : size[1]], exact, atol=1e-6)
