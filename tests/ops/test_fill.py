import jax.numpy as jnp
import numpy as np
import pytest

from vissum_jax.ops.fill import fill_holes


@pytest.mark.parametrize("shape", [(17, 24), (1, 9), (32, 32)])
def test_known_pixels_are_kept_and_holes_stay_within_the_colours_around(shape):
    rng = np.random.default_rng(0)
    image = rng.uniform(0.2, 0.8, (*shape, 3)).astype(np.float32)
    known = rng.integers(0, 2, shape).astype(np.float32)
    known[0, 0] = 1
    filled = np.asarray(
        fill_holes(jnp.asarray(np.where(known[..., None] == 1, image, 77.0)), jnp.asarray(known), jnp.zeros(3))
    )
    np.testing.assert_array_equal(filled[known == 1], image[known == 1])
    seen = image[known == 1]
    assert (filled >= seen.min(0) - 1e-5).all()
    assert (filled <= seen.max(0) + 1e-5).all()


def test_one_known_pixel_fills_the_image():
    known = np.zeros((9, 13), np.float32)
    known[4, 11] = 1
    image = np.full((9, 13, 3), -5.0, np.float32)
    image[4, 11] = (0.1, 0.5, 0.9)
    filled = fill_holes(jnp.asarray(image), jnp.asarray(known), jnp.ones(3))
    np.testing.assert_allclose(filled, np.broadcast_to(image[4, 11], image.shape), atol=1e-5)


def test_where_nothing_is_known_the_fallback_is_taken():
    filled = fill_holes(jnp.full((6, 5, 3), jnp.float32(3)), jnp.zeros((6, 5)), jnp.asarray([0.1, 0.2, 0.3]))
    np.testing.assert_allclose(filled, np.broadcast_to([0.1, 0.2, 0.3], (6, 5, 3)), atol=1e-6)
