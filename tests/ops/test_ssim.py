import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.metrics import structural_similarity

from vissum_jax.ops.ssim import SsimConfig, ssim_matrix

CONFIG = SsimConfig()
SIZES = [(20, 20), (11, 33), (48, 17), (48, 40)]


def on_canvas(images, height=48, width=40, fill=123.0):
    canvas = np.full((len(images), height, width), fill, dtype=np.float32)
    canvas[:, : images.shape[1], : images.shape[2]] = images
    return jnp.asarray(canvas)


def pictures(seed, size):
    """A ramp and noisier and noisier versions of it, so that values from high to low occur."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 255, size[0] * size[1]).reshape(size)
    noisy = [np.clip(ramp + rng.normal(0, s, size), 0, 255) for s in (0, 5, 40, 200)]
    return np.stack(noisy).astype(np.float32)


def reference(first, second):
    return structural_similarity(
        first.astype(np.float64),
        second.astype(np.float64),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
    )


@pytest.mark.parametrize("size", SIZES)
def test_equals_scikit_image_on_the_crop(size):
    images = pictures(0, size)
    ours = ssim_matrix(on_canvas(images[:3]), on_canvas(images), jnp.array(size), config=CONFIG)
    expected = np.array([[reference(a, b) for b in images] for a in images[:3]])
    assert expected.min() < 0.2
    np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_what_lies_beyond_the_size_does_not_matter():
    size = (30, 25)
    images = pictures(1, size)
    one = ssim_matrix(on_canvas(images), on_canvas(images), jnp.array(size), config=CONFIG)
    other = ssim_matrix(on_canvas(images, fill=0.0), on_canvas(images, fill=255.0), jnp.array(size), config=CONFIG)
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_an_image_equals_itself():
    images = on_canvas(pictures(2, (48, 40)))
    np.testing.assert_allclose(np.diag(ssim_matrix(images, images, jnp.array([48, 40]), config=CONFIG)), 1, atol=1e-5)


def test_one_compilation_serves_all_sizes():
    jitted = jax.jit(lambda a, b, size: ssim_matrix(a, b, size, config=CONFIG))
    images = on_canvas(pictures(3, (48, 40)))
    for size in SIZES:
        jitted(images, images, jnp.array(size))
    assert jitted._cache_size() == 1


def test_an_image_smaller_than_the_window_has_no_similarity():
    images = on_canvas(pictures(4, (10, 30)))
    assert np.isnan(ssim_matrix(images, images, jnp.array([10, 30]), config=CONFIG)).all()


def test_a_sigma_of_zero_is_refused():
    with pytest.raises(ValueError, match=r"^`sigma` must be positive, got 0\.$"):
        SsimConfig(sigma=0)
