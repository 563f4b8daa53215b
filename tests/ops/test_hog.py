import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import hog as oracle

from vissum_jax.ops.hog import HogConfig, hog

CONFIG = HogConfig()


def photograph(seed, height=80, width=80):
    """Smooth noise with structure at several scales."""
    rng = np.random.default_rng(seed)
    image = np.zeros((height, width, 3))
    for scale in (2, 5, 10):
        coarse = rng.uniform(0, 85, (height // scale + 2, width // scale + 2, 3))
        image += np.kron(coarse, np.ones((scale, scale, 1)))[:height, :width]
    return (image + rng.uniform(0, 1, image.shape)).astype(np.float32)


@pytest.mark.parametrize(("height", "width"), [(80, 80), (24, 40)])
def test_equals_the_oracle(height, width):
    image = photograph(0, height, width)
    ours = hog(jnp.asarray(image), config=CONFIG)
    assert ours.shape == (height // 8 - 2, width // 8 - 2, 31)
    np.testing.assert_allclose(ours, oracle.hog(image), atol=1e-4)


def test_jit_and_vmap_agree_with_single_calls():
    images = jnp.asarray(np.stack([photograph(seed) for seed in range(3)]))
    batched = jax.jit(jax.vmap(lambda image: hog(image, config=CONFIG)))(images)
    for image, ours in zip(images, batched, strict=True):
        np.testing.assert_allclose(ours, hog(image, config=CONFIG), atol=1e-5)


def test_a_flat_image_has_no_gradient():
    assert not np.asarray(hog(jnp.full((24, 24, 3), 77.0), config=CONFIG)).any()


def test_an_edge_falls_into_the_sector_of_its_direction():
    image = np.zeros((24, 24, 3), dtype=np.float32)
    image[:, 12:] = 200
    signed = np.asarray(hog(jnp.asarray(image), config=CONFIG))[0, 0, :18]
    assert signed.argmax() == 0
    assert signed.sum() == pytest.approx(signed[0])
    reverse = np.asarray(hog(jnp.asarray(image[:, ::-1]), config=CONFIG))[0, 0, :18]
    assert reverse.argmax() == 9


def test_mirroring_the_image_mirrors_cells_and_orientations():
    image = photograph(1)
    ours = np.asarray(hog(jnp.asarray(image[:, ::-1]), config=CONFIG))
    straight = np.asarray(hog(jnp.asarray(image), config=CONFIG))[:, ::-1]
    signed = (9 - np.arange(18)) % 18
    unsigned = 18 + (9 - np.arange(9)) % 9
    np.testing.assert_allclose(ours, straight[..., [*signed, *unsigned, 28, 27, 30, 29]], atol=1e-4)


def test_contrast_hardly_matters():
    image = photograph(2)
    np.testing.assert_allclose(
        hog(jnp.asarray(image), config=CONFIG), hog(jnp.asarray(image) * 0.5, config=CONFIG), atol=1e-3
    )


@pytest.mark.parametrize("shape", [(16, 80, 3), (80, 81, 3)])
def test_sides_that_do_not_fit_are_refused(shape):
    with pytest.raises(
        ValueError,
        match=rf"^`image` must have sides of at least three cells and multiples of 8, "
        rf"got {shape[0]} x {shape[1]}\.$",
    ):
        hog(jnp.zeros(shape), config=CONFIG)


def test_a_clip_of_zero_is_refused():
    with pytest.raises(ValueError, match=r"^`clip` must be positive, got 0\.$"):
        HogConfig(clip=0)
