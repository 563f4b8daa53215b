"""Matrices that carry a coarse mask grid to pixels."""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Float


@cache
def bilinear_matrix(size: int, grid: int) -> Float[np.ndarray, "size grid"]:
    """Linear interpolation from `grid` values to `size` pixels with aligned corners, float32.

    Pixel i reads the grid at ``i (grid - 1) / (size - 1)``.
    """
    position = np.arange(size) * ((grid - 1) / max(size - 1, 1))
    return np.maximum(0.0, 1.0 - np.abs(position[:, None] - np.arange(grid))).astype(np.float32)


@cache
def gaussian_basis_matrix(size: int, grid: int, sigma: float) -> Float[np.ndarray, "size grid"]:
    """Smooth interpolation from cell centres: normalised Gaussians of width `sigma` cells, float32.

    Pixel u reads ``sum_k w_k z_k`` with ``w_k ~ exp(-(u - c_k)^2 / 2 (sigma size / grid)^2)``, where
    ``c_k = (k + 1/2) size / grid - 1/2``; rows sum to 1.
    """
    cell = size / grid
    centres = (np.arange(grid) + 0.5) * cell - 0.5
    weights = np.exp(-0.5 * ((np.arange(size)[:, None] - centres) / (sigma * cell)) ** 2)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
