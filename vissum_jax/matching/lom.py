"""Local offset matching: appearance, corrected by what the neighbouring boxes match with."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from vissum_jax.matching.config import MatchingConfig
from vissum_jax.matching.nam import Described, nam
from vissum_jax.ops.boxes import area, centre, intersection


class BestMatches(NamedTuple):
    """Where the boxes of image A go in image B by appearance alone.

    Attributes:
        offset: (dx, dy, ds) from the best match to the box: difference of centres in pixels, ratio of areas.
        confidence: The best match's score; 0 where there is none.
    """

    offset: Float[Array, "p 3"]
    confidence: Float[Array, " p"]


def _placement(image: Described) -> tuple[Float[Array, "p 2"], Float[Array, " p"]]:
    """Centres and areas; padding counts as one pixel, so that ratios stay finite."""
    boxes = image.boxes.astype(jnp.float32)
    return centre(boxes), jnp.maximum(area(boxes), 1.0)


def best_matches(first: Described, second: Described, scores: Float[Array, "p q"]) -> BestMatches:
    """Each box's best match by `scores` and the offset to it; the first one on a tie."""
    best = jnp.argmax(scores, axis=1)
    first_centre, first_area = _placement(first)
    second_centre, second_area = _placement(second)
    offset = jnp.concatenate([first_centre - second_centre[best], (first_area / second_area[best])[:, None]], axis=1)
    return BestMatches(offset=offset, confidence=jnp.max(scores, axis=1))


def median_offsets(
    offset: Float[Array, "p 3"], neighbour: Bool[Array, "p s"], *, steps: int, epsilon: tuple[float, float, float]
) -> Float[Array, "s 3"]:
    """Median of each neighbourhood's offsets, per coordinate, by iterative reweighting.

        m <- sum_n w_n o_n / sum_n w_n,   w_n = 1 / (|o_n - m| + epsilon),   from m = 1

    Written as a matrix product of the offsets (and of ones) with the weights.

    Args:
        offset: o, one row per box.
        neighbour: Entry [n, i]: whether box n is in neighbourhood i.
        steps: Number of reweightings.
        epsilon: Keeps weights finite, and the steps away from where rounding decides; per coordinate.

    Returns:
        One row per neighbourhood; zeros for an empty one.
    """
    # Infinite distance is weight zero.
    distance_floor = jnp.where(neighbour, jnp.array(epsilon)[:, None, None], jnp.inf)
    moments = jnp.stack([offset.T, jnp.ones_like(offset.T)], axis=1)

    def reweight(_, median):
        weights = 1.0 / (jnp.abs(offset.T[:, :, None] - median[:, None, :]) + distance_floor)
        weighted, total = jnp.moveaxis(jnp.einsum("kmp,kps->kms", moments, weights, precision="highest"), 1, 0)
        return jnp.where(total > 0, weighted / jnp.where(total > 0, total, 1.0), 0.0)

    start = jnp.ones((offset.shape[1], neighbour.shape[1]), dtype=offset.dtype)
    return jax.lax.fori_loop(0, steps, reweight, start).T


def lom(
    first: Described, second: Described, config: MatchingConfig, *, rows: int | None = None
) -> Float[Array, "rows q"]:
    """Score of matching each box of the first image with each of the second, neighbours consulted.

        c(i, b) = NAM(i, b) exp(-w_xy |(dx, dy) - m_xy(i)| - w_s |ds - m_s(i)|) sum_N(i) psi / sum psi

    where N(i) are the boxes of A that overlap i (itself too) and match anything at all, psi(n) and o(n) the
    score and the offset (dx, dy, ds) = (x_n - x_b, y_n - y_b, area_n / area_b) of n's best match by
    appearance, m(i) the median of o over N(i), and (dx, dy, ds) the offset between i and b themselves (PF,
    section 4.3; VS 3.2).

    Args:
        first: Image A.
        second: Image B.
        config: Constants.
        rows: Compute only the first so many boxes of A; all boxes vote in any case.

    Returns:
        Not negative; 0 for padding.
    """
    appearance = nam(first, second, config)
    best = best_matches(first, second, appearance)
    first_boxes = first.boxes.astype(jnp.float32)
    voting = first.valid & (best.confidence > 0)
    neighbour = (intersection(first_boxes, first_boxes[:rows]) > 0) & voting[:, None]
    epsilon = (config.median_epsilon, config.median_epsilon, config.median_scale_epsilon)
    median = median_offsets(best.offset, neighbour, steps=config.median_steps, epsilon=epsilon)

    total = jnp.sum(best.confidence)
    support = jnp.where(neighbour, best.confidence[:, None], 0.0).sum(axis=0)
    support = support / jnp.where(total > 0, total, 1.0)

    first_centre, first_area = _placement(first)
    second_centre, second_area = _placement(second)
    shift = first_centre[:rows, None] - second_centre[None] - median[:, None, :2]
    distance = jnp.sqrt(jnp.sum(shift * shift, axis=-1))
    scale_distance = jnp.abs(first_area[:rows, None] / second_area[None] - median[:, 2:])
    agreement = jnp.exp(-config.offset_weight * distance - config.scale_weight * scale_distance)
    return appearance[:rows] * agreement * support[:, None]
