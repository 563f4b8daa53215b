"""Total variation."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float


def total_variation(field: Float[Array, "h w"], exponent: float) -> Float[Array, ""]:
    """TV_beta = mean |row difference|^beta + mean |column difference|^beta (VS 3.1, means for sums)."""
    rows = jnp.abs(field[1:, :] - field[:-1, :])
    columns = jnp.abs(field[:, 1:] - field[:, :-1])
    return jnp.mean(rows**exponent) + jnp.mean(columns**exponent)
