import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import attribution as oracle
from oracles.blur import blur

from vissum_jax.masks.extremal import (
    ExtremalConfig,
    area_loss,
    blur_pyramid,
    cell_count,
    extremal_perturbation,
    perturb,
    smooth_mask,
)

# For pictures of 32 pixels: fewer cells share the weight of the area.
SMALL = ExtremalConfig(step=3, sigma=6.0, sigma_max=10.0, iterations=200, area_weight=30.0)


@pytest.mark.parametrize(("height", "width"), [(12, 15), (13, 10)])
def test_the_smooth_mask_is_the_smooth_maximum_of_painted_cells(height, width):
    config = ExtremalConfig(step=3, sigma=6.0)
    cells = np.random.default_rng(0).random((cell_count(height, config), cell_count(width, config)))
    found = smooth_mask(jnp.asarray(cells, jnp.float32), height, width, config)
    expected = oracle.smooth_mask(cells, height, width, step=3, sigma=6.0, temperature=0.05, reach=3)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_single_cell_paints_a_smooth_plateau():
    config = ExtremalConfig()
    cells = np.zeros((15, 15), np.float32)
    cells[7, 7] = 1
    mask = np.asarray(smooth_mask(jnp.asarray(cells), 105, 105, config))
    y, x = np.mgrid[:105, :105] - 52
    assert mask[np.hypot(y, x) <= 9].min() > 0.99
    assert mask[np.hypot(y, x) > 45].max() < 1e-3
    assert np.abs(np.diff(mask, axis=0)).max() < 0.2


def test_the_area_loss_compares_the_sorted_mask_with_a_step():
    mask = np.random.default_rng(1).random((9, 11))
    for area in (0.1, 0.5, 0.9):
        np.testing.assert_allclose(
            area_loss(jnp.asarray(mask, jnp.float32), area), oracle.area_loss(mask, area), rtol=1e-5
        )
        slope = jax.grad(area_loss)(jnp.asarray(mask, jnp.float32), area)
        target = np.argsort(np.argsort(mask.ravel())) >= 99 - round(99 * area)
        np.testing.assert_allclose(slope.ravel(), 2 * (mask.ravel() - target) / 99, rtol=1e-4, atol=1e-7)


def test_equal_pixels_are_treated_equally():
    mask = jnp.zeros((10, 10)).at[2, 3].set(1.0)
    slope = np.asarray(jax.jit(jax.grad(area_loss))(mask, 0.2))
    assert slope[2, 3] == 0
    rest = np.delete(slope.ravel(), 23)
    np.testing.assert_allclose(rest, -2 * 19 / 99 / 100, rtol=1e-5)  # 19 of 99 should become 1


def test_the_pyramid_interpolates_between_blurs():
    image = np.random.default_rng(2).random((20, 24, 3)).astype(np.float32)
    config = ExtremalConfig(levels=3, sigma_max=4.0)
    pyramid = blur_pyramid(image, config)
    half, full = blur(image, 2.0), blur(image, 4.0)
    for strength, expected in ((0.0, image), (0.5, half), (1.0, full), (0.8, 0.4 * half + 0.6 * full)):
        np.testing.assert_allclose(perturb(pyramid, jnp.full((20, 24), strength)), expected, atol=1e-5)
    mixed = jnp.zeros((20, 24)).at[:, 12:].set(1.0)
    np.testing.assert_allclose(perturb(pyramid, mixed)[:, :12], image[:, :12], atol=1e-6)
    np.testing.assert_allclose(perturb(pyramid, mixed)[:, 12:], full[:, 12:], atol=1e-5)


@pytest.fixture(scope="module")
def run():
    return jax.jit(extremal_perturbation, static_argnames="config")


@pytest.fixture(scope="module")
def pictures():
    found = [oracle.colour_picture(class_index, seed=40 + class_index) for class_index in range(3)]
    return np.stack([p for p, _ in found]).astype(np.float32) / 255, [own for _, own in found]


@pytest.mark.parametrize(("variant", "share", "slack"), [("deletion", 0.9, 0.04), ("preservation", 0.6, 0.13)])
def test_it_finds_the_evidence_at_the_area_asked_for(run, pictures, variant, share, slack):
    images, own = pictures
    config = ExtremalConfig(**{**vars(SMALL), "variant": variant})
    classifier, areas = oracle.colour_net(), np.array([0.08, 0.1, 0.15], np.float32)
    masks = np.asarray(run(classifier, images, np.arange(3), areas, config=config))
    assert masks.min() >= 0
    assert masks.max() <= 1
    np.testing.assert_allclose(masks.mean((1, 2)), areas, atol=slack)
    for row in range(3):
        assert oracle.share_inside(masks[row], own[row], 0.06) > share
    order = np.array([2, 0, 1])
    mixed = run(classifier, images[order], order, areas[order], config=config)
    np.testing.assert_allclose(mixed, masks[order], atol=1e-3)


def test_a_score_without_gradient_gives_a_finite_mask(run, pictures):
    masks = run(oracle.colour_net(), pictures[0], np.full(3, 3), np.full(3, 0.1, np.float32), config=SMALL)
    assert np.isfinite(masks).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "dual"}, "`variant` must be 'deletion' or 'preservation', got 'dual'."),
        ({"iterations": 0}, "`iterations` must be positive, got 0."),
        ({"momentum": 1.0}, "`momentum` must be in [0, 1), got 1.0."),
        ({"levels": 1}, "`levels` must be at least 2, got 1."),
        ({"area_growth": 0.9}, "`area_growth` must be at least 1, got 0.9."),
    ],
)
def test_the_configuration_checks_itself(options, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole message is compared
        ExtremalConfig(**options)
    assert str(error.value) == message
