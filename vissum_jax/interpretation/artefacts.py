"""How much of a heat map is the grid of a convolution's stride, and not the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

_LOBE = 2
"""Half the width of a Hann window's main lobe, in frequencies of the transform."""


@dataclass(frozen=True, kw_only=True)
class GridEnergyConfig:
    """Which frequencies count as the grid's.

    Attributes:
        bandwidth: How far a frequency may lie from a multiple of 1 / stride, in shares of 1 / stride. What lies under
            the grid modulates it, which spreads its lines.
    """

    bandwidth: float = 0.125

    def __post_init__(self) -> None:
        """Check ranges."""
        if not 0 < self.bandwidth < 0.5:
            raise ValueError(f"`bandwidth` must be in (0, 0.5), got {self.bandwidth}.")


def grid_energy(heat: Float[np.ndarray, "h w"], *, stride: int, config: GridEnergyConfig | None = None) -> float:
    """Share of a heat map's spectral energy, without the mean, near the frequencies of a grid.

        E = sum over G of |F(f)|^2 / sum over f != 0 of |F(f)|^2,
        G = {f: |f_y - p/s| <= b/s and |f_x - q/s| <= b/s for whole p, q that are not both 0}

    with s the stride, b the bandwidth, and F the Fourier transform of the heat map less its mean under a Hann window,
    which keeps the map's borders from counting as frequencies. Any pattern of period s has all of its energy at
    multiples of 1/s. White noise has (s^2 - 1) (2 b / s)^2: .047 for s = 2.

    Args:
        heat: The map, at any scale.
        stride: Period of the grid in pixels: a convolution's stride times those of all layers before it.
        config: Bandwidth.

    Returns:
        A share in [0, 1]; 0 for a map that is the same everywhere.

    Raises:
        ValueError: If the stride is below 2, or the map so small that the window's own lobe is wider than the band.
    """
    config = config or GridEnergyConfig()
    if stride < 2:
        raise ValueError(f"`stride` must be at least 2, got {stride}.")
    least = _LOBE * stride / config.bandwidth
    if min(heat.shape) < least:
        raise ValueError(
            f"`heat` must have sides of at least {least:g} pixels for a stride of {stride}, got {heat.shape}."
        )
    window = np.outer(np.hanning(heat.shape[0]), np.hanning(heat.shape[1]))
    centred = heat.astype(np.float64) - np.average(heat.astype(np.float64), weights=window)
    energy = np.abs(np.fft.fft2(window * centred)) ** 2
    total = energy.sum()
    # Below the rounding of a map that is constant there is nothing to measure.
    if total <= (np.finfo(np.float32).eps * np.abs(heat).max()) ** 2 * (window**2).sum() * heat.size:
        return 0.0
    near, around_zero = zip(*(_near_multiples(size, stride, config.bandwidth) for size in heat.shape), strict=True)
    grid = np.outer(*near) & ~np.outer(*around_zero)
    return float(energy[grid].sum() / total)


def _near_multiples(
    size: int, stride: int, bandwidth: float
) -> tuple[Bool[np.ndarray, " size"], Bool[np.ndarray, " size"]]:
    """Of each frequency of a transform: whether it is near a multiple of 1 / stride, and whether near 0."""
    position = np.fft.fftfreq(size) * stride
    multiple = np.rint(position)
    near = np.abs(position - multiple) <= bandwidth
    return near, near & (multiple == 0)
