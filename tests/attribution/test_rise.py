import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles.attribution import colour_net, colour_picture, linear_net, rise_expectation, share_inside, upsampling

from vissum_jax.attribution.random_field import RandomConfig, random_field
from vissum_jax.attribution.rise import RiseConfig, random_mask, rise

KEY = jax.random.key(7)


def test_it_converges_to_the_expectation():
    side, colour = 12, (0.1, 0.2, 0.3)
    weights = np.zeros((side, side, 3))
    weights[2:5, 7:10, 0] = 0.8 / 9  # the probability is .1 + .8 of the mean red of a patch
    image = np.random.default_rng(0).random((side, side, 3)).astype(np.float32)
    image[2:5, 7:10, 0] = 1.0
    config = RiseConfig(masks=6000, grid=4, keep=0.4, colour=colour)
    found = jax.jit(lambda c, x: rise(c, x, jnp.array([0]), config, key=KEY))(linear_net(weights), image[None])[0]
    expected = rise_expectation(image, weights, 0.1, grid=4, keep=0.4, colour=np.array(colour))
    assert np.ptp(expected) > 0.15
    np.testing.assert_allclose(found, expected, atol=0.03)


@pytest.mark.parametrize(("height", "width", "grid"), [(12, 12, 4), (13, 20, 5)])
def test_masks_are_shifted_upsampled_bits(height, width, grid):
    config = RiseConfig(grid=grid, keep=0.5)
    for number in range(5):
        mask = np.asarray(random_mask(jax.random.key(number), height, width, config), np.float64)
        shifts = [(down, right) for down in range(-(-height // grid) + 1) for right in range(-(-width // grid) + 1)]
        # Some grid of bits at some shift explains the mask.
        errors = []
        for down, right in shifts:
            rows, columns = upsampling(height, grid, down), upsampling(width, grid, right)
            bits = np.linalg.pinv(rows) @ mask @ np.linalg.pinv(columns).T
            errors.append(np.abs(rows @ np.round(bits) @ columns.T - mask).max())
        assert min(errors) < 1e-5
        assert 0 <= mask.min() <= mask.max() <= 1


def test_it_finds_the_evidence():
    pictures = [colour_picture(class_index, seed=30 + class_index) for class_index in range(3)]
    images = np.stack([picture for picture, _ in pictures]).astype(np.float32) / 255
    config = RiseConfig(masks=600, grid=6)
    run = jax.jit(lambda c, x, k: rise(c, x, k, config, key=KEY))
    maps = np.asarray(run(colour_net(), images, np.arange(3)))
    for found, (_, own) in zip(maps, pictures, strict=True):
        assert share_inside(found, own, 0.05) > 0.8
    order = np.array([2, 0, 1])
    np.testing.assert_allclose(run(colour_net(), images[order], order), maps[order], rtol=1e-5)
    alone = rise(colour_net(), images[1:2], np.array([1]), config, key=KEY)
    np.testing.assert_allclose(alone, maps[1:2], rtol=1e-5)


def test_a_constant_image_gives_a_finite_map():
    dull = np.full((1, 32, 32, 3), 0.5, np.float32)
    found = np.asarray(rise(colour_net(), dull, np.array([3]), RiseConfig(masks=20), key=KEY))
    assert np.isfinite(found).all()


def test_random_fields_are_smooth_and_differ():
    config = RandomConfig(grid=8)
    a, b = (np.asarray(random_field(jax.random.key(seed), 40, 48, config)) for seed in range(2))
    assert a.shape == (40, 48)
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.5
    neighbours = np.corrcoef(a[:, 1:].ravel(), a[:, :-1].ravel())[0, 1]
    assert neighbours > 0.95


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RiseConfig(masks=0), "`masks` must be at least 1, got 0."),
        (lambda: RiseConfig(grid=0), "`grid` must be at least 1, got 0."),
        (lambda: RiseConfig(keep=1.0), "`keep` must be in (0, 1), got 1.0."),
        (lambda: RiseConfig(colour=(0.5, 0.5, 2.0)), "`colour` must be three values in [0, 1], got (0.5, 0.5, 2.0)."),
        (lambda: RandomConfig(grid=1), "`grid` must be at least 2, got 1."),
        (lambda: RandomConfig(grid_sigma=0.0), "`grid_sigma` must be positive, got 0.0."),
    ],
)
def test_configurations_check_themselves(make, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole message is compared
        make()
    assert str(error.value) == message
