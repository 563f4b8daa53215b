"""The null method: maps that know nothing of the network."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vissum_jax.ops.interpolate import gaussian_basis_matrix


@dataclass(frozen=True, kw_only=True)
class RandomConfig:
    """Smooth noise as coarse as the masks it is compared with.

    Attributes:
        grid: Side of the grid of noise values.
        grid_sigma: Width of the Gaussian that interpolates it, in grid cells.
    """

    grid: int = 28
    grid_sigma: float = 1.0

    def __post_init__(self) -> None:
        """Check ranges."""
        if self.grid < 2:
            raise ValueError(f"`grid` must be at least 2, got {self.grid}.")
        if not self.grid_sigma > 0:
            raise ValueError(f"`grid_sigma` must be positive, got {self.grid_sigma}.")


def random_field(key: Array, height: int, width: int, config: RandomConfig) -> Float[Array, "h w"]:
    """Gaussian noise on a grid, interpolated by Gaussians: its level sets are random smooth regions.

    Noise of single pixels would be a weak opponent: a composite of every other pixel hides little.
    """
    noise = jax.random.normal(key, (config.grid, config.grid))
    rows = gaussian_basis_matrix(height, config.grid, config.grid_sigma)
    columns = gaussian_basis_matrix(width, config.grid, config.grid_sigma)
    return jnp.einsum("ig,gk,jk->ij", rows, noise, columns, precision="highest")
