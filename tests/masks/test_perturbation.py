import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from vissum_jax.masks.perturbation import TRANSFERS, BlurBlend, Inpainting, MeanColour, Noise, VaryingBlur

SMOOTHING = [VaryingBlur(), BlurBlend(), BlurBlend(radius=5), MeanColour()]
PERTURBATIONS = [*SMOOTHING, Inpainting(), Noise()]


@pytest.fixture
def image():
    return jnp.asarray(np.random.default_rng(0).uniform(size=(40, 32, 3)).astype(np.float32))


def perturbed(perturbation, image, mask):
    return np.asarray(perturbation.apply(image, perturbation.prepare(image), jnp.asarray(mask, jnp.float32)))


@pytest.mark.parametrize("perturbation", PERTURBATIONS)
def test_a_mask_of_ones_keeps_the_image(perturbation, image):
    np.testing.assert_allclose(perturbed(perturbation, image, np.ones(image.shape[:2])), image, atol=1e-7)


@pytest.mark.parametrize("perturbation", [VaryingBlur(), BlurBlend()])
def test_a_binary_mask_composes_the_image_and_its_full_blur(perturbation, image):
    mask = np.random.default_rng(1).integers(0, 2, image.shape[:2])
    blurred = ndimage.gaussian_filter(np.float64(image), (10, 10, 0), mode="reflect", truncate=8)
    expected = np.where(mask[..., None] == 1, image, blurred)
    np.testing.assert_allclose(perturbed(perturbation, image, mask), expected, atol=2e-6)


def test_the_released_codes_blend_uses_eleven_taps(image):
    taps = np.exp(-0.5 * (np.arange(-5, 6) / 10.0) ** 2)
    blurred = np.float64(image)
    for axis in (0, 1):
        blurred = ndimage.correlate1d(blurred, taps / taps.sum(), axis=axis, mode="reflect")
    mask = np.random.default_rng(2).uniform(size=image.shape[:2])
    expected = mask[..., None] * image + (1 - mask[..., None]) * blurred
    np.testing.assert_allclose(perturbed(BlurBlend(sigma=10.0, radius=5), image, mask), expected, atol=1e-6)


def test_mean_colour_leaves_only_the_mean(image):
    out = perturbed(MeanColour(), image, np.zeros(image.shape[:2]))
    np.testing.assert_allclose(out, np.broadcast_to(np.mean(image, axis=(0, 1)), image.shape), atol=1e-6)


@pytest.mark.parametrize("perturbation", SMOOTHING)
def test_lower_masks_remove_more(perturbation, image):
    energy = [np.var(perturbed(perturbation, image, np.full(image.shape[:2], m))) for m in (1, 0.7, 0.4, 0)]
    assert (np.diff(energy) < 0).all()


@pytest.mark.parametrize("perturbation", PERTURBATIONS)
def test_vmap_and_jit_equal_one_at_a_time(perturbation, image):
    images = jnp.stack([image, image[::-1]])
    masks = jnp.asarray(np.random.default_rng(3).uniform(size=images.shape[:3]).astype(np.float32))
    prepared = jax.jit(jax.vmap(perturbation.prepare))(images)
    batched = jax.jit(jax.vmap(perturbation.apply))(images, prepared, masks)
    for k in range(2):
        np.testing.assert_allclose(batched[k], perturbed(perturbation, images[k], masks[k]), atol=1e-6)


def test_inpainting_continues_the_surroundings_of_a_hole():
    rows, columns = np.mgrid[:48, :40] / 48
    ramp = jnp.asarray(np.stack([rows, columns, 0 * rows + 0.3], axis=-1).astype(np.float32))
    mask = np.ones((48, 40))
    mask[18:28, 14:26] = 0
    corrupted = jnp.where(jnp.asarray(mask)[..., None] == 1, ramp, 9.0)
    np.testing.assert_allclose(perturbed(Inpainting(), corrupted, mask), ramp, atol=0.05)


def test_inpainting_of_everything_leaves_the_mean(image):
    out = perturbed(Inpainting(), image, np.zeros(image.shape[:2]))
    np.testing.assert_allclose(out, np.broadcast_to(np.mean(image, axis=(0, 1)), image.shape), atol=1e-6)


def test_noise_has_the_images_statistics_and_none_of_its_structure(image):
    smooth = jnp.asarray(ndimage.gaussian_filter(np.asarray(image), (6, 6, 0)) * 0.5 + 0.25)
    out = perturbed(Noise(), smooth, np.zeros(image.shape[:2]))
    np.testing.assert_allclose(out.mean((0, 1)), np.mean(smooth, (0, 1)), atol=0.01)
    np.testing.assert_allclose(out.std((0, 1)), np.std(smooth, (0, 1)), rtol=0.1)
    assert abs(np.corrcoef(out.ravel(), np.asarray(smooth).ravel())[0, 1]) < 0.3
    np.testing.assert_array_equal(out, perturbed(Noise(), smooth, np.zeros(image.shape[:2])))


@pytest.mark.parametrize("perturbation", TRANSFERS.values(), ids=TRANSFERS)
def test_constant_images_stay_finite(perturbation):
    constant = jnp.full((16, 16, 3), 0.5)
    mask = np.random.default_rng(4).integers(0, 2, (16, 16))
    np.testing.assert_allclose(perturbed(perturbation, constant, mask), constant, atol=1e-5)
