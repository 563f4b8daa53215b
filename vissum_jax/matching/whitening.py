"""Whitening of HOG descriptors by background statistics (Hariharan, Malik, Ramanan, ECCV 2012).

Natural images are taken to be stationary: the covariance of two cells depends on their offset alone. So a
31 x 31 matrix per offset, estimated once by `scripts/estimate_hog_statistics.py`, gives the covariance of the
whole descriptor.
"""

from __future__ import annotations

import functools
from importlib import resources
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from vissum_jax.matching.features import CELLS, HOG


class HogStatistics(NamedTuple):
    """Mean and covariances of HOG cells in natural photographs.

    Attributes:
        mean: Of each channel.
        covariance: Entry [dy + 7, dx + 7, a, b] is the covariance of channel a in a cell with channel b in
            the cell that lies dy rows and dx columns before it.
    """

    mean: Float[np.ndarray, channels]
    covariance: Float[np.ndarray, "offsets offsets channels channels"]


class Whitening(NamedTuple):
    """What `vissum_jax.matching.features.whitened_descriptors` needs, float32.

    Attributes:
        mean: Mean descriptor.
        factor: L^-1, the inverse of the covariance's lower Cholesky factor.
    """

    mean: Float[np.ndarray, dimensions]
    factor: Float[np.ndarray, "dimensions dimensions"]


def pack(statistics: HogStatistics) -> dict[str, np.ndarray]:
    """The half of the statistics that says it all, in half precision, for `numpy.savez_compressed`."""
    flat = statistics.covariance.reshape(-1, HOG.channels, HOG.channels)
    return {
        "mean": statistics.mean.astype(np.float32),
        "covariance": flat[: len(flat) // 2 + 1].astype(np.float16),
    }


def unpack(arrays: dict[str, np.ndarray]) -> HogStatistics:
    """The inverse of `pack`: the covariance of the opposite offset is the transpose."""
    half = arrays["covariance"].astype(np.float64)
    half[-1] = (half[-1] + half[-1].T) / 2
    rest = half[-2::-1].transpose(0, 2, 1)
    offsets = 2 * CELLS - 1
    covariance = np.concatenate([half, rest]).reshape(offsets, offsets, HOG.channels, HOG.channels)
    return HogStatistics(mean=arrays["mean"].astype(np.float64), covariance=covariance)


def load_statistics() -> HogStatistics:
    """The statistics that ship with the package."""
    source = resources.files("vissum_jax.matching") / "resources" / "hog_statistics.npz"
    with source.open("rb") as file, np.load(file) as arrays:
        return unpack(dict(arrays))


def descriptor_covariance(statistics: HogStatistics) -> Float[np.ndarray, "dimensions dimensions"]:
    """Covariance S of the flat descriptor: block-stationary, from the covariances per cell offset."""
    row, column = np.divmod(np.arange(CELLS * CELLS), CELLS)
    blocks = statistics.covariance[row[:, None] - row[None] + CELLS - 1, column[:, None] - column[None] + CELLS - 1]
    size = CELLS * CELLS * HOG.channels
    return blocks.transpose(0, 2, 1, 3).reshape(size, size)


def cholesky_with_ridge(covariance: Float[np.ndarray, "d d"], ridge: float) -> tuple[Float[np.ndarray, "d d"], float]:
    """Lower Cholesky factor of ``S + k ridge I`` for the smallest k = 1, 2, .. for which there is one.

    Args:
        covariance: Symmetric; estimated piecewise, hence perhaps not positive definite.
        ridge: Step, positive.

    Returns:
        The factor and the ridge that it took.
    """
    total = ridge
    identity = np.eye(len(covariance))
    while True:
        try:
            return np.linalg.cholesky(covariance + total * identity), total
        except np.linalg.LinAlgError:
            total += ridge


def invert_lower(factor: Float[np.ndarray, "d d"], *, block: int = 128) -> Float[np.ndarray, "d d"]:
    """Inverse of a lower triangular matrix, by halves, so that the work is in matrix products."""
    if len(factor) <= block:
        return np.tril(np.linalg.inv(factor))
    half = len(factor) // 2
    upper = invert_lower(factor[:half, :half], block=block)
    lower = invert_lower(factor[half:, half:], block=block)
    out = np.zeros_like(factor)
    out[:half, :half], out[half:, half:] = upper, lower
    out[half:, :half] = -lower @ (factor[half:, :half] @ upper)
    return out


@functools.cache
def load_whitening(ridge: float) -> Whitening:
    """The whitening of the shipped statistics; computed once per process."""
    statistics = load_statistics()
    factor, _ = cholesky_with_ridge(descriptor_covariance(statistics), ridge)
    return Whitening(
        mean=np.tile(statistics.mean, CELLS * CELLS).astype(np.float32),
        factor=invert_lower(factor).astype(np.float32),
    )
