import re

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data
from oracles import blur as oracle
from scipy import ndimage
from skimage.transform import resize

from vissum_jax.ops.blur import (
    ScaleSpaceConfig,
    _interpolate,
    effective_width,
    gaussian_blur,
    gaussian_kernel,
    reflect_index,
    scale_space,
    varying_blur,
)

CONFIG = ScaleSpaceConfig()
SIDE = 48
MAX_ERROR, RMS_ERROR = 2 / 255, 0.25 / 255  # what may be seen of an 8-bit image

varying = jax.jit(lambda image, sigma: varying_blur(scale_space(image, CONFIG), sigma, CONFIG))


def photographs():
    """Small photographs, sharp (cut out) and sharper (made small), and a synthetic scene of edges."""
    full = {name: getattr(skimage.data, name)() / 255.0 for name in ("astronaut", "coffee", "chelsea", "rocket")}
    full["camera"] = np.repeat(skimage.data.camera()[..., None] / 255.0, 3, axis=-1)
    corners = {"astronaut": (90, 200), "coffee": (120, 250), "chelsea": (100, 200), "rocket": (200, 300)}
    for name, image in full.items():
        row, column = corners.get(name, (80, 220))
        yield f"{name} cut", image[row : row + SIDE, column : column + SIDE]
        yield f"{name} small", np.clip(resize(image, (SIDE, SIDE), anti_aliasing=True, order=3), 0, 1)
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    smooth = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE, 3)), (4, 4, 0), mode="wrap")
    edges = (x + 0.7 * y > 0.8)[..., None] * 0.6 + (np.hypot(x - 0.3, y - 0.3) < 0.2)[..., None] * 0.3
    yield "edges", np.clip(0.1 + edges + smooth, 0, 1)


PHOTOGRAPHS = {name: np.float32(image) for name, image in photographs()}


def errors(ours, expected):
    difference = np.asarray(ours, np.float64) - expected
    return np.abs(difference).max(), np.sqrt(np.mean(difference**2))


@pytest.mark.parametrize("name", list(PHOTOGRAPHS))
def test_any_single_width_meets_the_required_accuracy(name):
    image = PHOTOGRAPHS[name]
    levels = jax.jit(lambda x: scale_space(x, CONFIG))(image)
    constant = jax.jit(lambda sigma: varying_blur(levels, jnp.full((SIDE, SIDE), sigma), CONFIG))
    # Below 1.5 px a sampled Gaussian changes fastest.
    for sigma in np.concatenate([np.linspace(0, 1.5, 76), np.linspace(1.5, 10, 35)[1:]]):
        largest, rms = errors(constant(sigma), oracle.blur(image, sigma))
        assert largest <= MAX_ERROR, (sigma, largest * 255)
        assert rms <= RMS_ERROR, (sigma, rms * 255)


def sigma_fields():
    rng = np.random.default_rng(1)
    ramp = np.broadcast_to(np.linspace(0, 10, SIDE), (SIDE, SIDE))
    yield "uniform", rng.uniform(0, 10, (SIDE, SIDE))
    yield "small", rng.uniform(0, 1.5, (SIDE, SIDE))
    yield "ramp", ramp
    yield "steep ramp", np.abs(ramp.T - 5) * 2
    yield "levels", rng.choice(CONFIG.sigmas[:-1], (SIDE, SIDE))


@pytest.mark.parametrize(("kind", "sigma"), list(sigma_fields()))
@pytest.mark.parametrize("name", ["astronaut small", "camera cut"])
def test_every_pixel_has_its_own_width(name, kind, sigma):
    image = PHOTOGRAPHS[name]
    largest, rms = errors(varying(image, np.float32(sigma)), oracle.varying_blur(image, sigma))
    assert largest <= (1e-5 if kind == "levels" else MAX_ERROR)
    assert rms <= (1e-6 if kind == "levels" else RMS_ERROR)


def test_width_zero_is_the_image_itself():
    image = PHOTOGRAPHS["chelsea cut"]
    np.testing.assert_array_equal(varying(image, np.zeros((SIDE, SIDE), np.float32)), image)


def test_widths_outside_the_range_count_as_its_ends():
    image = PHOTOGRAPHS["chelsea cut"]
    at = lambda sigma: np.asarray(varying(image, np.full((SIDE, SIDE), sigma, np.float32)))  # noqa: E731
    np.testing.assert_array_equal(at(-3.0), at(0.0))
    np.testing.assert_array_equal(at(25.0), at(10.0))
    np.testing.assert_allclose(at(10.0), oracle.blur(image, 10.0), atol=1e-6)


def test_gradient_in_the_width_equals_finite_differences_of_the_direct_sum():
    image = PHOTOGRAPHS["astronaut cut"]
    weights = np.random.default_rng(2).normal(size=image.shape)
    levels = scale_space(jnp.asarray(image), CONFIG)

    def score(sigma):
        return jnp.sum(weights * varying_blur(levels, jnp.full((SIDE, SIDE), sigma), CONFIG))

    sigmas, step = np.linspace(0.05, 9.95, 100), 1e-4
    ours = jax.jit(jax.vmap(jax.grad(score)))(sigmas.astype(np.float32))
    direct = lambda sigma: np.sum(weights * oracle.blur(image, sigma))  # noqa: E731
    expected = np.array([(direct(s + step) - direct(s - step)) / (2 * step) for s in sigmas])
    # Catmull-Rom derivatives are second-order accurate, where the values are third-order.
    np.testing.assert_allclose(ours, expected, atol=0.05 * np.abs(expected).max())
    assert np.corrcoef(ours, expected)[0, 1] > 0.999


def test_gradient_is_finite_at_the_ends_and_whole_at_full_blur():
    image = jnp.asarray(PHOTOGRAPHS["astronaut cut"])
    levels = scale_space(image, CONFIG)
    slope = jax.jit(jax.grad(lambda s: jnp.sum(image * varying_blur(levels, jnp.full((SIDE, SIDE), s), CONFIG))))
    assert slope(0.0) == 0.0
    assert slope(1e-30) == 0.0
    # A binary mask lies exactly on this bound: half a gradient would bias every step taken from it.
    np.testing.assert_allclose(slope(10.0), slope(9.999), rtol=1e-2)
    assert slope(10.5) == 0.0


def test_gradient_is_that_of_the_weighted_sum():
    """Written out by hand; JAX derives it from the sum itself."""
    rng = np.random.default_rng(6)
    levels = jnp.asarray(rng.normal(size=(CONFIG.levels + 1, 3, 20, 30)), jnp.float32)
    # Beside positions in between those on the levels, at the ends and, where the basis changes pieces, next to them.
    position = rng.uniform(0, CONFIG.levels - 1, (20, 30))
    position[0] = np.linspace(0, CONFIG.levels - 1, 30).round()
    position = jnp.asarray(position, jnp.float32)
    cotangent = jnp.asarray(rng.normal(size=(20, 30, 3)), jnp.float32)
    value, ours = jax.vjp(_interpolate, levels, position)
    expected_value, expected = jax.vjp(_interpolate.__wrapped__, levels, position)
    np.testing.assert_array_equal(value, expected_value)
    for found, wanted in zip(ours(cotangent), expected(cotangent), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_vmap_and_eager_equal_jit():
    images = np.stack([PHOTOGRAPHS["coffee cut"], PHOTOGRAPHS["rocket small"]])
    sigmas = np.random.default_rng(3).uniform(0, 10, (2, SIDE, SIDE)).astype(np.float32)
    each = np.stack([varying(image, sigma) for image, sigma in zip(images, sigmas, strict=True)])
    np.testing.assert_allclose(jax.vmap(varying)(images, sigmas), each, atol=1e-6)
    with jax.disable_jit():
        np.testing.assert_allclose(varying(images[0], sigmas[0]), each[0], atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 30, 1), (7, 3, 3)])
def test_images_smaller_than_the_kernel_reflect_again_and_again(shape):
    image = np.random.default_rng(4).uniform(size=shape).astype(np.float32)
    sigma = np.linspace(0, 10, shape[0] * shape[1]).reshape(shape[:2])
    largest, _ = errors(varying(image, np.float32(sigma)), oracle.varying_blur(image, sigma))
    assert largest <= 2.5 * MAX_ERROR  # noise, not a photograph


@pytest.mark.parametrize("sigma", [0.3, 0.8, 2.0, 5.0, 10.0])
@pytest.mark.parametrize("shape", [(40, 33), (40, 33, 3)])
def test_one_gaussian_equals_scipy(sigma, shape):
    image = np.random.default_rng(5).uniform(size=shape).astype(np.float32)
    widths = (sigma, sigma, 0)[: len(shape)]
    expected = ndimage.gaussian_filter(image.astype(np.float64), widths, mode="reflect", truncate=8)
    np.testing.assert_allclose(gaussian_blur(jnp.asarray(image), sigma), expected, atol=1e-6)


def test_a_radius_cuts_and_renormalises_the_kernel():
    kernel = gaussian_kernel(10.0, radius=5)
    assert len(kernel) == 11
    np.testing.assert_allclose(kernel.sum(), 1)
    spread = np.sqrt(np.sum(np.arange(-5, 6) ** 2 * kernel))
    np.testing.assert_allclose(spread, 3.1, atol=0.05)  # the released code's effective width


@pytest.mark.parametrize("sigma", [0.15, 0.3, 0.5, 0.69, 0.9, 1.0, 1.01, 4.0])
def test_effective_width_is_the_spread_of_the_samples(sigma):
    np.testing.assert_allclose(effective_width(np.array(sigma), np), oracle.effective_width(sigma), rtol=1e-4)


def test_effective_width_grows_with_sigma_and_never_exceeds_it():
    sigma = np.linspace(0, 3, 3001)
    width = np.asarray(effective_width(sigma, np))
    assert (np.diff(width[sigma > 0.15]) > 0).all()
    assert (width <= sigma + 1e-9).all()


@hypothesis.given(st.floats(1, 40), st.integers(3, 20), st.floats(0.05, 3))
@hypothesis.settings(max_examples=30, deadline=None)
def test_level_widths_rise_from_zero_to_beyond_the_largest(sigma_max, levels, onset):
    sigmas = ScaleSpaceConfig(sigma_max=sigma_max, levels=levels, onset=onset).sigmas
    assert len(sigmas) == levels + 1
    assert sigmas[0] == 0
    assert (np.diff(sigmas) > 0).all()
    np.testing.assert_allclose(sigmas[-2], sigma_max, rtol=1e-6)


@hypothesis.given(st.integers(1, 20), st.integers(0, 60))
def test_reflection_equals_symmetric_padding(size, reach):
    expected = np.pad(np.arange(size), reach, mode="symmetric")
    np.testing.assert_array_equal(reflect_index(np.arange(-reach, size + reach), size), expected)


@hypothesis.given(st.integers(0, 2**31))
@hypothesis.settings(max_examples=20, deadline=None)
def test_blurring_keeps_constants_and_stays_near_the_range(seed):
    rng = np.random.default_rng(seed)
    sigma = rng.uniform(0, 10, (SIDE, SIDE)).astype(np.float32)
    level = np.float32(rng.uniform())
    np.testing.assert_allclose(varying(np.full((SIDE, SIDE, 3), level), sigma), level, atol=1e-5)
    blurred = np.asarray(varying(rng.integers(0, 2, (SIDE, SIDE, 3)).astype(np.float32), sigma))
    assert blurred.min() > -0.02  # the cubic overshoots a little
    assert blurred.max() < 1.02


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sigma_max": 0.5}, "`sigma_max` must be at least 1.0, got 0.5."),
        ({"sigma_max": float("nan")}, "`sigma_max` must be at least 1.0, got nan."),
        ({"levels": 2}, "`levels` must be at least 3, got 2."),
        ({"onset": 0.0}, "`onset` must be positive, got 0.0."),
    ],
)
def test_wrong_settings_are_named(wrong, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ScaleSpaceConfig(**wrong)
