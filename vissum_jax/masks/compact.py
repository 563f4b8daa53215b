"""The smallest binary mask that reaches a target drop, by ascent on a ranking of the pixels.

The mask of an image is an upper level set of a smooth ranking field S, chosen to have a given area a:

    B(u) = 0 where S(u) > t(a), else 1,        t(a) = (1 - a)-quantile of S.

Two quantities move. The ranking follows the gradient of the log odds of f_c(Phi(x; B)), which reaches it
through a sigmoid of width `softness` in place of the step (straight-through): pixels whose blurring would lower
the score rise. The area follows the constraint: it shrinks while the drop meets the target and grows while it does not.

Why not a penalty or a multiplier on the area: with a quantile for a threshold there is always a boundary inside
the image, so the gradient never dies, "all kept" and "all covered" are not reachable, and no weight has to be
balanced against the network's scale. The gradient of the blend is used, not the varying blur's, which vanishes at
m = 1 (d/dsigma of a Gaussian blur is sigma times the Laplacian); at a binary mask the two are the same image.

Every step also pulls the ranking back a little to where it started, the gradient saliency of the clean image: between
masks that hide the class equally well, those on the object survive other perturbations better.

Every plain step judges exactly the mask it differentiates, so the best feasible mask is known without further
evaluations. Robust steps see a shifted image or another perturbation; they move the ranking alone.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from vissum_jax.masks.config import CompactConfig
from vissum_jax.masks.score import log_odds, log_probability
from vissum_jax.ops.blur import gaussian_blur
from vissum_jax.ops.interpolate import gaussian_basis_matrix
from vissum_jax.types import Classifier

_QUANTILE_STRIDE = 4  # the ranking is smooth: its quantiles are read on every fourth row and column
_SMALLEST_AREA = 1e-3
_TIE_BREAK = 1e-3  # standard deviations of the ranking
_ROUNDING = 1e-3  # nats by which a judged mask must beat its target, so that rounding cannot undo it


class Search(NamedTuple):
    """What is carried from step to step; one row an image.

    `best_*` describe the best binary mask judged so far: the smallest that meets the target or, while there is
    none, the one with the largest drop (`best_feasible` tells which).
    """

    ranking: Float[Array, "b g g"]
    momentum: Float[Array, "b g g"]
    area: Float[Array, b]
    best_ranking: Float[Array, "b g g"]
    best_area: Float[Array, b]
    best_excess: Float[Array, b]
    best_feasible: Bool[Array, b]
    stale: Int[Array, b]
    passes: Int[Array, b]


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


def warm_start(
    classifier: Classifier,
    images: Float[Array, "b h w 3"],
    class_index: Int[Array, b],
    config: CompactConfig,
) -> tuple[Float[Array, "b g g"], Float[Array, b]]:
    """Rank pixels by smoothed gradient saliency, the largest |d log odds / dx| of a pixel's channels.

    Where the network has no gradient the centre comes first: a constant ranking would have no level sets to
    start from. Also returns log f_c of the clean images.
    """
    line = jnp.linspace(-1.0, 1.0, config.grid)
    centre = _TIE_BREAK * standardised(-(line[:, None] ** 2 + line**2))

    def total(x: Array) -> tuple[Array, Array]:
        odds = log_odds(classifier, x, class_index)
        return jnp.sum(odds), jax.nn.log_sigmoid(odds)

    gradient, clean = jax.grad(total, has_aux=True)(images)

    def rank(gradient: Float[Array, "h w 3"]) -> Float[Array, "g g"]:
        saliency = gaussian_blur(jnp.max(jnp.abs(gradient), axis=-1), config.warm_start_sigma)
        return standardised(standardised(grid_of(saliency, config.grid, config.grid_sigma)) + centre)

    return jax.vmap(rank)(gradient), clean


def note(
    state: Search,
    ranking: Float[Array, "b g g"],
    excess: Float[Array, b],
    area: Float[Array, b],
    improvement: float,
) -> Search:
    """Remember judged masks that are the best so far, and count steps without progress."""
    feasible = excess <= 0.0
    better = jnp.where(
        state.best_feasible, feasible & (area < state.best_area), feasible | (excess < state.best_excess)
    )
    # While the target is missed, progress is a score lower by `improvement` nats.
    progress = jnp.where(
        state.best_feasible,
        feasible & (area < (1.0 - improvement) * state.best_area),
        feasible | (excess < state.best_excess - improvement),
    )
    return state._replace(
        best_ranking=jnp.where(better[:, None, None], ranking, state.best_ranking),
        best_area=jnp.where(better, area, state.best_area),
        best_excess=jnp.where(better, excess, state.best_excess),
        best_feasible=state.best_feasible | feasible,
        stale=jnp.where(progress, 0, state.stale),
    )


def select(rows: Bool[Array, b], new: Search, old: Search) -> Search:
    """Rows of `new` where `rows` is true, of `old` elsewhere."""
    return jax.tree.map(lambda n, o: jnp.where(rows.reshape(rows.shape + (1,) * (n.ndim - 1)), n, o), new, old)


def search(
    classifier: Classifier,
    images: Float[Array, "b h w 3"],
    class_index: Int[Array, b],
    valid: Bool[Array, b],
    config: CompactConfig,
) -> tuple[Float[Array, "b h w"], Int[Array, b]]:
    """Find masks for a batch; images do not interact, and the loop ends when all of them have stopped.

    Args:
        classifier: The network explained.
        images: RGB in [0, 1].
        class_index: Class explained of each image.
        valid: False for rows that only fill the batch.
        config: The search's constants.

    Returns:
        Continuous masks in [0, 1], below 1/2 exactly on the best binary mask, and the number of network
        evaluations spent on each image.
    """
    batch, height, width, _ = images.shape
    blurred = jax.vmap(config.perturbation.prepare)(images)
    ways = [
        partial(lambda p, prepared, masks: jax.vmap(p.apply)(images, prepared, masks), p, jax.vmap(p.prepare)(images))
        for p in (config.perturbation, *config.robust)
    ]
    field = partial(field_of, height=height, width=width, sigma=config.grid_sigma)
    blend = jax.vmap(config.perturbation.apply)
    first_ranking, clean = warm_start(classifier, images, class_index, config)
    target = clean + jnp.log1p(-config.target_drop) - _ROUNDING

    def level_sets(ranking: Array, area: Array) -> Float[Array, "b h w"]:
        return jax.vmap(lambda r, a: level_set(field(r), a, config.softness))(ranking, area)

    def excess_at(ranking: Array, area: Array) -> Float[Array, b]:
        """How far log f_c is above its target at a binary mask, in nats; feasible where <= 0."""
        perturbed = blend(images, blurred, level_sets(ranking, area))
        return log_probability(classifier, perturbed, class_index) - target

    def ascend(state: Search, kind: Array, shift: Array) -> tuple[Search, Float[Array, b]]:
        """Move the ranking along the gradient at the current mask; also the excess there."""

        def total(ranking: Array) -> tuple[Array, Array]:
            masks = level_sets(ranking, state.area)
            perturbed = jax.lax.switch(kind, ways, masks)
            shifted = jnp.roll(perturbed, shift, axis=(1, 2))
            odds = log_odds(classifier, shifted, class_index)
            return jnp.sum(odds), jax.nn.log_sigmoid(odds)

        gradient, values = jax.grad(total, has_aux=True)(state.ranking)
        length = jnp.sqrt(jnp.mean(gradient**2, axis=(1, 2), keepdims=True))
        direction = gradient / (length + jnp.finfo(gradient.dtype).tiny)
        momentum = config.momentum * state.momentum + (1.0 - config.momentum) * direction
        pull = config.anchor * (first_ranking - state.ranking)
        moved = jax.vmap(standardised)(state.ranking - config.learning_rate * momentum + pull)
        return state._replace(ranking=moved, momentum=momentum), values - target

    def active(state: Search) -> Bool[Array, b]:
        return valid & (state.stale < config.patience)

    def step(number: Int[Array, ""], state: Search) -> Search:
        robust, turn = jnp.zeros((), bool), number
        if config.robust_every:
            robust = (number + 1) % config.robust_every == 0
            turn = number // config.robust_every
        shift = jax.random.randint(
            jax.random.fold_in(jax.random.key(config.seed), number), (2,), -config.jitter, config.jitter + 1
        )
        kind = jnp.where(robust, turn % len(ways), 0)
        shift = jnp.where(robust & (kind == 0), shift, 0)
        moved, excess = ascend(state, kind, shift)
        moved = moved._replace(stale=state.stale + 1, passes=state.passes + 1)
        # A robust step has not judged the mask, so neither the best mask nor the area may follow from it.
        noted = note(moved, state.ranking, excess, state.area, config.improvement)
        rate = config.area_rate * jnp.clip(excess / config.margin, -1.0, 1.0)
        noted = noted._replace(area=jnp.clip(state.area * jnp.exp(rate), _SMALLEST_AREA, 1.0))
        judged = jnp.broadcast_to(~robust, (batch,))
        return select(active(state), select(judged, noted, moved), state)

    def first_halving(_: int, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = 0.5 * (low + high)
        feasible = excess_at(first_ranking, middle) <= 0.0
        return jnp.where(feasible, low, middle), jnp.where(feasible, middle, high)

    bounds = (jnp.zeros(batch), jnp.ones(batch))
    _, high = jax.lax.fori_loop(0, config.first_bisections, first_halving, bounds)
    start = Search(
        ranking=first_ranking,
        momentum=jnp.zeros_like(first_ranking),
        area=jnp.minimum(high, config.initial_area),
        best_ranking=first_ranking,
        best_area=jnp.ones(batch),
        best_excess=jnp.full(batch, jnp.inf),
        best_feasible=jnp.zeros(batch, bool),
        stale=jnp.zeros(batch, jnp.int32),
        passes=jnp.full(batch, 1 + config.first_bisections + 2 * config.last_bisections, jnp.int32),
    )
    _, state = jax.lax.while_loop(
        lambda carry: (carry[0] < config.steps) & jnp.any(active(carry[1])),
        lambda carry: (carry[0] + 1, step(*carry)),
        (jnp.zeros((), jnp.int32), start),
    )

    # The rankings went on improving after the smallest mask was judged: close the gap below it along both.
    candidates = jnp.stack([state.best_ranking, state.ranking])

    def last_halving(number: int, carry: tuple[Array, Search]) -> tuple[Array, Search]:
        low, state = carry
        candidate = candidates[number // config.last_bisections]
        low = jnp.where(number % config.last_bisections == 0, 0.5 * state.best_area, low)
        middle = 0.5 * (low + state.best_area)
        excess = excess_at(candidate, middle)
        return jnp.where(excess <= 0.0, low, middle), note(state, candidate, excess, middle, config.improvement)

    halvings = 2 * config.last_bisections
    _, state = jax.lax.fori_loop(0, halvings, last_halving, (0.5 * state.best_area, state))
    masks = jax.vmap(lambda r, a: soft_level_set(field(r), a, config.edge_softness))(
        state.best_ranking, state.best_area
    )
    return masks, state.passes
