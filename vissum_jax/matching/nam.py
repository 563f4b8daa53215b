"""Naive appearance matching: whitened similarity behind a gate on aspect ratios."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num

from vissum_jax.matching.config import MatchingConfig


class Described(NamedTuple):
    """One image's proposals as the matchers see them; a pytree, padded.

    Attributes:
        boxes: (x, y, width, height) in pixels; anything where not valid.
        valid: False for padding.
        descriptors: Whitened, so that their inner product is the similarity.
    """

    boxes: Num[Array, "p 4"]
    valid: Bool[Array, " p"]
    descriptors: Float[Array, "p dimensions"]


def similarity(first: Described, second: Described) -> Float[Array, "p q"]:
    """Appearance alone: ``s_ab = max(0, (f_a - mu)' S^-1 (f_b - mu))``; 0 where a box is padding."""
    product = jnp.einsum("pd,qd->pq", first.descriptors, second.descriptors, precision="highest")
    return jnp.where(first.valid[:, None] & second.valid[None], jnp.maximum(product, 0.0), 0.0)


def aspect_gate(first: Described, second: Described, config: MatchingConfig) -> Bool[Array, "p q"]:
    """Pairs whose aspect ratios differ by less than `config.max_aspect_ratio`: ``v_ab``.

    Compared as products of whole numbers, which are exact: among boxes in pixels, ratios that differ by exactly the
    limit are common, and logarithms or quotients would leave those to rounding.
    """

    def sides(boxes):
        return jnp.moveaxis(jnp.maximum(boxes[:, 2:].astype(jnp.float32), 1.0), -1, 0)

    (first_width, first_height), (second_width, second_height) = sides(first.boxes), sides(second.boxes)
    wider = second_width[None] * first_height[:, None]
    taller = first_width[:, None] * second_height[None]
    return (wider < config.max_aspect_ratio * taller) & (taller < config.max_aspect_ratio * wider)


def nam(first: Described, second: Described, config: MatchingConfig) -> Float[Array, "p q"]:
    """Score of matching each box of the first image with each of the second by appearance.

        c_ab = v_ab s_ab,   v_ab = 1 iff 1/r < (w_b / h_b) / (w_a / h_a) < r

    (PF, section 4.1, with the whitening of Hariharan et al. 2012.)

    Args:
        first: Image A.
        second: Image B.
        config: Constants.

    Returns:
        Not negative; 0 for padding.
    """
    return jnp.where(aspect_gate(first, second, config), similarity(first, second), 0.0)
