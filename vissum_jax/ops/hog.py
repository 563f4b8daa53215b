"""Histograms of oriented gradients with 31 channels, as dense operations."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


@dataclass(frozen=True, kw_only=True)
class HogConfig:
    """Constants of the descriptor (Felzenszwalb et al. 2010, section 6.1).

    Attributes:
        cell_size: Side of a cell in pixels.
        orientations: Unsigned orientations; there are twice as many signed ones.
        clip: Upper bound of a normalised entry.
        epsilon: Added to the energy of a block before its square root.
        orientation_weight: Factor of the orientation channels.
        texture_weight: Factor of the four texture channels, 1/sqrt(18).
    """

    cell_size: int = 8
    orientations: int = 9
    clip: float = 0.2
    epsilon: float = 1e-4
    orientation_weight: float = 0.5
    texture_weight: float = 0.2357

    def __post_init__(self) -> None:
        """Check ranges."""
        for name in ("cell_size", "orientations"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be positive, got {getattr(self, name)}.")
        for name in ("clip", "epsilon"):
            if getattr(self, name) <= 0:
                raise ValueError(f"`{name}` must be positive, got {getattr(self, name)}.")

    @property
    def channels(self) -> int:
        """Channels of the descriptor: signed and unsigned orientations and four textures."""
        return 3 * self.orientations + 4


def _cell_weights(pixels: int, cell_size: int) -> Float[np.ndarray, "cells inner"]:
    """Bilinear share of each inner pixel (the outermost have no gradient) in each cell of a line."""
    position = (np.arange(1, pixels - 1) + 0.5) / cell_size - 0.5
    cells = np.arange(pixels // cell_size)
    return np.maximum(0.0, 1.0 - np.abs(position[None] - cells[:, None])).astype(np.float32)


def _strongest_gradient(
    image: Float[Array, "h w c"],
) -> tuple[Float[Array, "h-2 w-2"], Float[Array, "h-2 w-2"]]:
    """Central differences (x, y) of the channel where they are largest; the first one on a tie."""
    dx = image[1:-1, 2:] - image[1:-1, :-2]
    dy = image[2:, 1:-1] - image[:-2, 1:-1]
    square = dx * dx + dy * dy
    best, best_x, best_y = square[..., 0], dx[..., 0], dy[..., 0]
    for channel in range(1, image.shape[-1]):
        stronger = square[..., channel] > best
        best = jnp.where(stronger, square[..., channel], best)
        best_x = jnp.where(stronger, dx[..., channel], best_x)
        best_y = jnp.where(stronger, dy[..., channel], best_y)
    return best_x, best_y


def _orientation_planes(
    dx: Float[Array, "h w"], dy: Float[Array, "h w"], *, orientations: int
) -> Float[Array, "signed h w"]:
    """Gradient magnitude, in the plane of the signed sector that holds the gradient's direction.

    A direction lies in sector k when it is left of the sector's first edge and not left of its second: two
    sign tests, with no angle, no index and no scatter.
    """
    edges = (np.arange(orientations) - 0.5) * np.pi / orientations
    left = [dy * np.float32(np.cos(e)) - dx * np.float32(np.sin(e)) >= 0 for e in edges]
    left += [~side for side in left]
    magnitude = jnp.sqrt(dx * dx + dy * dy)
    signed = 2 * orientations
    return jnp.stack([jnp.where(left[k] & ~left[(k + 1) % signed], magnitude, 0.0) for k in range(signed)])


def hog(image: Float[Array, "h w c"], *, config: HogConfig) -> Float[Array, "rows columns channels"]:
    """The 31-channel descriptor of every inner cell.

    Gradients of the strongest colour channel go into 18 signed orientations, and bilinearly into the four
    nearest cells, h. With the four blocks of 2x2 cells around a cell as normalisers,
    n_k = (sum over the block of |h_o + h_(o+9)|^2 + epsilon)^(-1/2), the channels are

        0.5 sum_k min(h_o n_k, clip)               18 signed orientations, then
        0.5 sum_k min((h_o + h_(o+9)) n_k, clip)   9 unsigned ones, then
        0.2357 sum_o min(h_o n_k, clip)            4 textures, one per block.

    Args:
        image: Colours in [0, 255] (`epsilon` is relative to that range); sides are multiples of the cell
            size and hold at least three cells.
        config: The descriptor's constants.

    Returns:
        (h / cell_size - 2, w / cell_size - 2, 31): the outermost cells only serve as neighbours.

    Raises:
        ValueError: If a side does not fit.
    """
    height, width = image.shape[:2]
    if min(height, width) < 3 * config.cell_size or height % config.cell_size or width % config.cell_size:
        raise ValueError(
            f"`image` must have sides of at least three cells and multiples of {config.cell_size}, "
            f"got {height} x {width}."
        )
    dx, dy = _strongest_gradient(image)
    planes = _orientation_planes(dx, dy, orientations=config.orientations)
    columns = _cell_weights(width, config.cell_size)
    rows = _cell_weights(height, config.cell_size)
    signed = jnp.einsum("oyx,cx->oyc", planes, columns, precision="highest")
    signed = jnp.einsum("oyc,ry->rco", signed, rows, precision="highest")

    unsigned = signed[..., : config.orientations] + signed[..., config.orientations :]
    energy = jnp.sum(unsigned * unsigned, axis=-1)
    block = energy[:-1, :-1] + energy[1:, :-1] + energy[:-1, 1:] + energy[1:, 1:]
    norm = 1.0 / jnp.sqrt(block + config.epsilon)
    norms = jnp.stack([norm[:-1, :-1], norm[:-1, 1:], norm[1:, :-1], norm[1:, 1:]])[..., None]

    clipped_signed = jnp.minimum(signed[1:-1, 1:-1] * norms, config.clip)
    clipped_unsigned = jnp.minimum(unsigned[1:-1, 1:-1] * norms, config.clip)
    return jnp.concatenate(
        [
            config.orientation_weight * jnp.sum(clipped_signed, axis=0),
            config.orientation_weight * jnp.sum(clipped_unsigned, axis=0),
            config.texture_weight * jnp.moveaxis(jnp.sum(clipped_signed, axis=-1), 0, -1),
        ],
        axis=-1,
    )
