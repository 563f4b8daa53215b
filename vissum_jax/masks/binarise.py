"""From importance to binary masks: at a given area, or at the smallest one that reaches a drop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from vissum_jax.masks.perturbation import Perturbation
from vissum_jax.masks.score import log_probability
from vissum_jax.masks.solve import JUDGE
from vissum_jax.types import Classifier


@dataclass(frozen=True, kw_only=True)
class BisectionConfig:
    """Bisection of the deletion curve.

    Attributes:
        target_drop: (p0 - p1) / p0 that the binary mask must reach.
        halvings: Masks judged after the full one; the area found is within 2^-halvings of where the curve crosses.
        margin: Nats by which log p1 must beat its target, so that the rounding of another program cannot undo it.
        perturbation: What judges the masks.
    """

    target_drop: float = 0.99
    halvings: int = 10
    margin: float = 1e-3
    perturbation: Perturbation = JUDGE

    def __post_init__(self) -> None:
        """Check ranges."""
        if not 0 < self.target_drop < 1:
            raise ValueError(f"`target_drop` must be in (0, 1), got {self.target_drop}.")
        if self.halvings < 1:
            raise ValueError(f"`halvings` must be at least 1, got {self.halvings}.")
        if self.margin < 0:
            raise ValueError(f"`margin` must not be negative, got {self.margin}.")


class Bisection(NamedTuple):
    """Binary masks found along a ranking.

    Attributes:
        salient: The smallest feasible mask judged; where none is, the one with the largest drop.
        drop: (p0 - p1) / p0 with that mask.
        feasible: Whether the drop reaches the target.
        passes: Evaluations of the network, the clean image's among them.
    """

    salient: Bool[Array, "b h w"]
    drop: Float[Array, " b"]
    feasible: Bool[Array, " b"]
    passes: Int[Array, " b"]


def ranking(importance: Float[Array, "h w"]) -> Int[Array, "h w"]:
    """Rank of each pixel, 0 for the most important one.

    Equal pixels, as where Grad-CAM is 0, go by their distance to the centre, then in reading order.
    """
    height, width = importance.shape
    y, x = np.mgrid[:height, :width]
    distance = (2 * y - (height - 1)) ** 2 + (2 * x - (width - 1)) ** 2
    order = jnp.lexsort((distance.ravel(), -importance.ravel()))
    return jnp.zeros(order.shape, jnp.int32).at[order].set(jnp.arange(order.size)).reshape(height, width)


def at_area(importance: Float[Array, "h w"], area: Float[Array, ""] | float) -> Bool[Array, "h w"]:
    """The round(area h w) most important pixels.

    Args:
        importance: Higher = more salient; finite.
        area: Share of the pixels, in [0, 1].

    Returns:
        True where salient.
    """
    return ranking(importance) < jnp.round(area * importance.size).astype(jnp.int32)


def iebb_thresh(soft: Float[Array, "h w"], reference: Bool[Array, "h w"]) -> Bool[Array, "h w"]:
    """The k smallest values of a mask, k the number of salient pixels of a reference mask (VS 4.1, "IEBB thresh").

    Args:
        soft: Continuous mask, 1 = keep.
        reference: Salient pixels of the same image's crisp mask.
    """
    return ranking(-soft) < jnp.sum(reference)


def bisected(
    classifier: Classifier,
    images: Float[Array, "b h w 3"],
    class_index: Int[Array, " b"],
    importance: Float[Array, "b h w"],
    config: BisectionConfig,
) -> Bisection:
    """The smallest area along a ranking whose binary drop reaches the target, by bisection of the deletion curve.

    The curve need not be monotone. What is returned is the smallest feasible mask among those judged: the full
    one, then one at the middle of (infeasible, feasible) in turn. If the full mask misses the target, the search goes
    on below it as if it had met it: a smaller mask may.

    Args:
        classifier: The network explained.
        images: RGB in [0, 1].
        class_index: Class explained of each image.
        importance: Maps, higher = more salient.
        config: Target, number of masks judged, perturbation.
    """
    batch, height, width, _ = images.shape
    ranks = jax.vmap(ranking)(importance)
    prepared = jax.vmap(config.perturbation.prepare)(images)
    nothing = jnp.zeros(batch, jnp.int32)

    def judge(count: Int[Array, " b"]) -> Float[Array, " b"]:
        """Log f_c with so many pixels perturbed."""
        kept = (ranks >= count[:, None, None]).astype(images.dtype)
        return log_probability(classifier, jax.vmap(config.perturbation.apply)(images, prepared, kept), class_index)

    clean = judge(nothing)
    target = clean + jnp.log1p(-config.target_drop) - config.margin

    def halve(_: int, carry: tuple[Array, ...]) -> tuple[Array, ...]:
        low, high, count, best, best_value = carry
        value = judge(count)
        feasible = value <= target
        found = best_value <= target
        better = jnp.where(found, feasible & (count < best), feasible | (value < best_value))
        best, best_value = jnp.where(better, count, best), jnp.where(better, value, best_value)
        # The first mask judged is the full one, from where the search goes down in any case.
        down = feasible | (count == height * width)
        low, high = jnp.where(down, low, count), jnp.where(down, count, high)
        return low, high, (low + high) // 2, best, best_value

    everything = jnp.full(batch, height * width, jnp.int32)
    start = (nothing, everything, everything, everything, jnp.full(batch, jnp.inf, clean.dtype))
    *_, best, value = jax.lax.fori_loop(0, 1 + config.halvings, halve, start)
    return Bisection(
        salient=ranks < best[:, None, None],
        drop=-jnp.expm1(value - clean),
        feasible=value <= target,
        passes=jnp.full(batch, 2 + config.halvings, jnp.int32),
    )
