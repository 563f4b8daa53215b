"""Masks as upper level sets of a smooth field, which a ranking on a coarse grid paints over the pixels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vissum_jax.ops.interpolate import gaussian_basis_matrix

_QUANTILE_STRIDE = 4  # the field is smooth: its quantiles are read on every fourth row and column


def field_of(ranking: Float[Array, "g g"], height: int, width: int, sigma: float) -> Float[Array, "h w"]:
    """Smooth field of unit variance over the pixels from grid values."""
    rows = gaussian_basis_matrix(height, ranking.shape[0], sigma)
    columns = gaussian_basis_matrix(width, ranking.shape[1], sigma)
    field = jnp.einsum("ig,gk,jk->ij", rows, ranking, columns, precision="highest")
    return field / jax.lax.stop_gradient(jnp.std(field) + jnp.finfo(field.dtype).tiny)


def threshold_at(field: Float[Array, "h w"], area: Float[Array, ""]) -> Float[Array, ""]:
    """The value that a share `area` of the field exceeds."""
    values = jnp.sort(field[::_QUANTILE_STRIDE, ::_QUANTILE_STRIDE].ravel())
    position = jnp.floor((1.0 - area) * values.size).astype(jnp.int32)
    return values[jnp.clip(position, 0, values.size - 1)]


def level_set(field: Float[Array, "h w"], area: Float[Array, ""], softness: float) -> Float[Array, "h w"]:
    """Binary mask (0 = salient) of the given area; its gradient is that of a sigmoid of width `softness`."""
    distance = field - jax.lax.stop_gradient(threshold_at(field, area))
    soft = jax.nn.sigmoid(distance / softness)
    hard = (distance > 0.0).astype(field.dtype)
    return 1.0 - (soft + jax.lax.stop_gradient(hard - soft))


def soft_level_set(ranking: Float[Array, "h w"], area: Float[Array, ""], softness: float) -> Float[Array, "h w"]:
    """Continuous mask whose value is below 1/2 exactly on the binary one."""
    return jax.nn.sigmoid((threshold_at(ranking, area) - ranking) / softness)


def grid_of(field: Float[Array, "h w"], grid: int, sigma: float) -> Float[Array, "g g"]:
    """Read a field at the cells of a grid, with the weights by which the cells paint the field."""
    rows, columns = (gaussian_basis_matrix(size, grid, sigma).T for size in field.shape)
    rows, columns = rows / rows.sum(axis=1, keepdims=True), columns / columns.sum(axis=1, keepdims=True)
    return jnp.einsum("gi,ij,kj->gk", rows, field, columns, precision="highest")


def standardised(ranking: Float[Array, "g g"]) -> Float[Array, "g g"]:
    """Zero mean, unit variance: the level set of a given area does not depend on either."""
    centred = ranking - jnp.mean(ranking)
    return centred / (jnp.std(centred) + jnp.finfo(ranking.dtype).tiny)
