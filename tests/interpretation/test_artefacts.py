import numpy as np
import pytest

from vissum_jax.interpretation.artefacts import GridEnergyConfig, grid_energy

ROWS, COLUMNS = np.mgrid[:144, :136]
BLOB = np.exp(-((ROWS - 80) ** 2 + (COLUMNS - 60) ** 2) / (2 * 20.0**2))


def comb(stride):
    """1 at every stride-th pixel along both axes."""
    return ((ROWS % stride == 0) & (COLUMNS % stride == 0)).astype(float)


@pytest.mark.parametrize("stride", [2, 3, 4, 8])
def test_a_comb_is_all_grid(stride):
    assert grid_energy(comb(stride), stride=stride) > 0.999
    if stride != 3:
        assert grid_energy(comb(stride), stride=3) < 0.4, "and no other grid, but where their multiples meet"


@pytest.mark.parametrize("stride", [2, 4, 8])
def test_a_comb_under_a_blob_keeps_its_lines(stride):
    """The blob's energy is there once at every multiple of 1 / stride, the one at 0 included but for the mean."""
    assert 0.99 * (1 - 1 / stride**2) < grid_energy(BLOB * comb(stride), stride=stride) <= 1


def test_what_is_smooth_has_none():
    assert grid_energy(BLOB, stride=2) < 1e-6
    assert grid_energy(ROWS / 144, stride=2) < 1e-4, "nor do its borders"
    assert grid_energy(np.full((144, 136), 0.3), stride=2) == 0


def test_a_grid_on_a_blob_counts_by_its_energy_whatever_the_maps_scale():
    shares = [grid_energy(BLOB * (1 + depth * comb(2)), stride=2) for depth in (0.0, 0.1, 0.3, 1.0)]
    assert shares == sorted(shares)
    assert grid_energy(50 * BLOB * (1 + comb(2)), stride=2) == pytest.approx(shares[-1])


def test_noise_has_the_share_of_the_frequencies():
    noise = np.random.default_rng(0).standard_normal((20, 64, 64))
    found = np.mean([grid_energy(one, stride=2, config=GridEnergyConfig(bandwidth=0.25)) for one in noise])
    assert found == pytest.approx(3 * 0.25**2, rel=0.15)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"`stride` must be at least 2, got 1\."):
        grid_energy(BLOB, stride=1)
    with pytest.raises(ValueError, match=r"sides of at least 256 pixels for a stride of 16, got \(144, 136\)"):
        grid_energy(BLOB, stride=16)
    with pytest.raises(ValueError, match=r"`bandwidth` must be in \(0, 0.5\), got 0.5\."):
        GridEnergyConfig(bandwidth=0.5)
