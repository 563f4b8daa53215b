"""Probabilistic Hough matching: appearance, weighted by how many boxes agree on where the image lies."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from vissum_jax.matching.config import MatchingConfig
from vissum_jax.matching.nam import Described, aspect_gate, similarity
from vissum_jax.ops.boxes import centre


def _hough_shape(image_size: tuple[int, int], config: MatchingConfig) -> tuple[tuple[int, int, int], float]:
    """Bins along y, x and scale, and the side of a position bin in pixels."""
    height, width = image_size
    cell = max(math.sqrt(4 * width * height / config.hough_bins), config.hough_min_cell)
    return (math.ceil(2 * height / cell), math.ceil(2 * width / cell), config.hough_scale_bins), cell


def vote_bins(
    first: Described, second: Described, config: MatchingConfig, *, image_size: tuple[int, int]
) -> tuple[Int[Array, "p q"], Bool[Array, "p q"]]:
    """The bin of the transformation that maps each box of A to each of B, and whether there is one.

    The transformation is named by where it takes A's lower right corner, in pixels of B, and by the octaves
    of area between the boxes. Votes outside of the histogram do not count: they put the corner further away
    than twice B's sides.
    """
    height, width = image_size
    shape, cell = _hough_shape(image_size, config)

    def placement(image):
        boxes = image.boxes.astype(jnp.float32)
        return centre(boxes), jnp.maximum(boxes[:, 2:], 1.0) / 2

    first_centre, first_half = placement(first)
    second_centre, second_half = placement(second)
    corner = (jnp.array([width, height]) - first_centre) / first_half
    place = second_half[None] * corner[:, None] + second_centre[None]
    octaves = jnp.log2(second_half).sum(-1)[None] - jnp.log2(first_half).sum(-1)[:, None]

    x = jnp.floor(place[..., 0] / cell).astype(jnp.int32)
    y = jnp.floor(place[..., 1] / cell).astype(jnp.int32)
    reach = config.hough_scale_range
    scale = jnp.floor((octaves + reach) * (shape[2] / (2 * reach))).astype(jnp.int32)
    inside = (x >= 0) & (x < shape[1]) & (y >= 0) & (y < shape[0]) & (scale >= 0) & (scale < shape[2])
    return jnp.where(inside, (y * shape[1] + x) * shape[2] + scale, 0), inside


def _smooth(votes: Float[Array, "y x s"], config: MatchingConfig) -> Float[Array, "y x s"]:
    """Separable Gaussian with nothing beyond the borders, by shifted sums."""
    reach = config.hough_smoothing_taps // 2
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / config.hough_smoothing) ** 2)
    taps /= taps.sum()
    for axis, length in enumerate(votes.shape):
        padding = [(reach, reach) if a == axis else (0, 0) for a in range(3)]
        padded = jnp.pad(votes, padding)
        votes = jnp.sum(
            jnp.stack(
                [tap * jax.lax.slice_in_dim(padded, k, k + length, axis=axis) for k, tap in enumerate(taps.tolist())]
            ),
            axis=0,
        )
    return votes


def phm(
    first: Described,
    second: Described,
    config: MatchingConfig,
    *,
    image_size: tuple[int, int],
    rows: int | None = None,
) -> Float[Array, "rows q"]:
    """Score of matching each box of the first image with each of the second, weighted by agreement.

        c_ab = v_ab s_ab H(bin(a, b)),   H = Gaussian * sum_a max over b in the bin of s_ab

    (PF, section 4.2.) A box of A votes once per bin, with its best similarity there.

    Args:
        first: Image A.
        second: Image B.
        config: Constants.
        image_size: (height, width) of both images.
        rows: Return only the first so many boxes of A; all boxes vote in any case.

    Returns:
        Not negative; 0 for padding.
    """
    appearance = similarity(first, second)
    bins, inside = vote_bins(first, second, config, image_size=image_size)
    shape, _ = _hough_shape(image_size, config)

    # Sort each row by bin and falling similarity; then the first of every bin is its maximum.
    votes = jnp.where(inside, appearance, 0.0)
    sorted_bins, negative = jax.lax.sort((bins, -votes), dimension=1, num_keys=2)
    leads = jnp.concatenate([jnp.ones_like(inside[:, :1]), sorted_bins[:, 1:] != sorted_bins[:, :-1]], axis=1)
    histogram = jnp.zeros(math.prod(shape)).at[sorted_bins].add(jnp.where(leads, -negative, 0.0))
    histogram = _smooth(histogram.reshape(shape), config).reshape(-1)

    gate = aspect_gate(first, second, config) & inside
    return jnp.where(gate[:rows], appearance[:rows] * histogram[bins[:rows]], 0.0)
