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

Every step also pulls the ranking back a little to where it started (`warm_start`): between masks that hide the class
equally well, those on the object survive other perturbations better.

Every plain step judges exactly the mask it differentiates, so the best feasible mask is known without further
evaluations. Robust steps see a shifted image or another perturbation; they move the ranking alone.

A search is three functions that images pass through, `begin`, `advance` (a round of steps, as often as it takes) and
`conclude`; between rounds, images may leave and others take their place (see `vissum_jax.masks.slots`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from vissum_jax.masks.config import BINARISE_BELOW, CompactConfig
from vissum_jax.masks.level_set import field_of, grid_of, level_set, soft_level_set, standardised
from vissum_jax.masks.perturbation import Perturbation
from vissum_jax.masks.score import log_odds, log_probability
from vissum_jax.ops.blur import gaussian_blur
from vissum_jax.types import Classifier

_SMALLEST_AREA = 1e-3
_TIE_BREAK = 1e-3  # standard deviations of the ranking
_ROUNDING = 1e-3  # nats by which a judged mask must beat its target, so that rounding cannot undo it
_GROWTH = 1.2  # most by which the smallest mask grows where it misses the target when painted again


class Search(NamedTuple):
    """How far the search is; one row an image.

    `first_ranking` and `target`, the highest log f_c that will do, stay as they began. `best_*` describe the best
    binary mask judged so far: the smallest that meets the target or, while there is none, the one with the largest
    drop (`best_feasible` tells which).
    """

    first_ranking: Float[Array, "b g g"]
    target: Float[Array, b]
    ranking: Float[Array, "b g g"]
    momentum: Float[Array, "b g g"]
    area: Float[Array, b]
    best_ranking: Float[Array, "b g g"]
    best_area: Float[Array, b]
    best_excess: Float[Array, b]
    best_feasible: Bool[Array, b]
    steps: Int[Array, b]
    stale: Int[Array, b]
    passes: Int[Array, b]


def warm_start(
    classifier: Classifier,
    images: Float[Array, "b h w 3"],
    class_index: Int[Array, b],
    config: CompactConfig,
) -> tuple[Float[Array, "b g g"], Float[Array, b]]:
    """Rank pixels by what the network says of them before the first mask.

        S_0 = std(G * max_c |d g / d x_c| at x)  +  std(G * sum_k d g / d m at m = (k + 1/2) / n),

    g the log odds, G a Gaussian, std to zero mean and unit variance. The first term is gradient saliency. The second is
    what each pixel gives to g on the way from the blurred image to the clean one: integrated gradients (Sundararajan et
    al. 2017) along the perturbation itself, as in I-GOS (Qi et al. 2020); it knows of evidence that only counts when
    other evidence has gone. Where the network has no gradient the centre comes first: a constant ranking would have no
    level sets to start from. Also returns log f_c of the clean images.
    """
    line = jnp.linspace(-1.0, 1.0, config.grid)
    centre = _TIE_BREAK * standardised(-(line[:, None] ** 2 + line**2))
    gone = _Batch(classifier, images, class_index, config).ways()[0](jnp.zeros(images.shape[:3]))
    detail = images - gone

    def total(x: Array) -> tuple[Array, Array]:
        odds = log_odds(classifier, x, class_index)
        return jnp.sum(odds), jax.nn.log_sigmoid(odds)

    def look(kept: Float[Array, ""]) -> tuple[Array, Array, Array]:
        gradient, log_probabilities = jax.grad(total, has_aux=True)(gone + kept * detail)
        return jnp.max(jnp.abs(gradient), axis=-1), jnp.sum(gradient * detail, axis=-1), log_probabilities

    way = (np.arange(config.path_points) + 0.5) / max(config.path_points, 1)
    saliency, gain, log_probabilities = jax.lax.map(look, jnp.asarray([1.0, *way]))

    def ranked(values: Float[Array, "h w"]) -> Float[Array, "g g"]:
        smoothed = gaussian_blur(values, config.warm_start_sigma)
        return standardised(grid_of(smoothed, config.grid, config.grid_sigma))

    first = jax.vmap(ranked)(saliency[0]) + jax.vmap(ranked)(jnp.sum(gain[1:], axis=0))
    return jax.vmap(lambda one: standardised(standardised(one) + centre))(first), log_probabilities[0]


def improves(state: Search, excess: Float[Array, b], area: Float[Array, b]) -> Bool[Array, b]:
    """Whether judged masks are the best so far."""
    feasible = excess <= 0.0
    nearer = feasible | (excess < state.best_excess)
    return jnp.where(state.best_feasible, feasible & (area < state.best_area), nearer)


def note(
    state: Search,
    ranking: Float[Array, "b g g"],
    excess: Float[Array, b],
    area: Float[Array, b],
    improvement: float,
) -> Search:
    """Remember judged masks that are the best so far, and count steps without progress."""
    feasible, better = excess <= 0.0, improves(state, excess, area)
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


def active(state: Search, config: CompactConfig) -> Bool[Array, b]:
    """Images whose search goes on: there are steps left, and the last `patience` of them were not in vain."""
    return (state.steps < config.steps) & (state.stale < config.patience)


def round_length(config: CompactConfig) -> int:
    """Steps of a round: every way of looking has its turn once, so that all images of a batch look the same way."""
    return max(1, config.robust_every) * (1 + len(config.robust))


def first_gradients(config: CompactConfig) -> int:
    """Gradients of an image before its first step: of the clean image, and on the way to it."""
    return 1 + config.path_points


def judgements(config: CompactConfig) -> int:
    """Network evaluations of an image without gradient: the bisections at both ends, and the best mask once more."""
    return config.first_bisections + 1 + 2 * config.last_bisections


def evaluations(config: CompactConfig) -> int:
    """Network evaluations that `search` spends on an image whose search does not stop early."""
    return first_gradients(config) + config.steps + judgements(config)


class _Batch:
    """The masks that rankings stand for, on one batch of images."""

    def __init__(
        self, classifier: Classifier, images: Float[Array, "b h w 3"], class_index: Int[Array, b], config: CompactConfig
    ) -> None:
        self.classifier, self.images, self.class_index, self.config = classifier, images, class_index, config
        _, height, width, _ = images.shape
        self.field = partial(field_of, height=height, width=width, sigma=config.grid_sigma)

    def level_sets(self, ranking: Float[Array, "b g g"], area: Float[Array, b]) -> Float[Array, "b h w"]:
        """Binary masks."""
        return jax.vmap(lambda r, a: level_set(self.field(r), a, self.config.softness))(ranking, area)

    def ways(self) -> list[Callable[[Float[Array, "b h w"]], Float[Array, "b h w 3"]]]:
        """What masks can do to the images: the perturbation that judges them, then those of robust steps."""

        def way(perturbation: Perturbation) -> Callable[[Array], Array]:
            prepared = jax.vmap(perturbation.prepare)(self.images)
            return lambda masks: jax.vmap(perturbation.apply)(self.images, prepared, masks)

        return [way(perturbation) for perturbation in (self.config.perturbation, *self.config.robust)]

    def judge(self) -> Callable[[Float[Array, "b h w"], Float[Array, b]], Float[Array, b]]:
        """A function: how far log f_c is above its target at binary masks, in nats; feasible where <= 0."""
        blend = self.ways()[0]
        return lambda masks, target: log_probability(self.classifier, blend(masks), self.class_index) - target


def begin(
    classifier: Classifier, images: Float[Array, "b h w 3"], class_index: Int[Array, b], config: CompactConfig
) -> Search:
    """Rank the pixels by gradients and bisect the area that this ranking needs.

    Args:
        classifier: The network explained.
        images: RGB in [0, 1].
        class_index: Class explained of each image.
        config: The search's constants.
    """
    count = len(images)
    batch = _Batch(classifier, images, class_index, config)
    excess_of = batch.judge()
    ranking, clean = warm_start(classifier, images, class_index, config)
    target = clean + jnp.log1p(-config.target_drop) - _ROUNDING

    def halve(_: int, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = 0.5 * (low + high)
        feasible = excess_of(batch.level_sets(ranking, middle), target) <= 0.0
        return jnp.where(feasible, low, middle), jnp.where(feasible, middle, high)

    _, high = jax.lax.fori_loop(0, config.first_bisections, halve, (jnp.zeros(count), jnp.ones(count)))
    return Search(
        first_ranking=ranking,
        target=target,
        ranking=ranking,
        momentum=jnp.zeros_like(ranking),
        area=jnp.minimum(high, config.initial_area),
        best_ranking=ranking,
        best_area=jnp.ones(count),
        best_excess=jnp.full(count, jnp.inf),
        best_feasible=jnp.zeros(count, bool),
        steps=jnp.zeros(count, jnp.int32),
        stale=jnp.zeros(count, jnp.int32),
        passes=jnp.full(count, first_gradients(config) + config.first_bisections, jnp.int32),
    )


def advance(
    classifier: Classifier,
    images: Float[Array, "b h w 3"],
    class_index: Int[Array, b],
    valid: Bool[Array, b],
    state: Search,
    config: CompactConfig,
) -> Search:
    """A round of steps; images do not interact, those that have stopped or are not valid stay as they are.

    Args:
        classifier: The network explained.
        images: RGB in [0, 1].
        class_index: Class explained of each image.
        valid: False for rows that only fill the batch.
        state: How far the searches are, each after any number of rounds.
        config: The search's constants.
    """
    batch = _Batch(classifier, images, class_index, config)
    ways = batch.ways()

    def shifts(steps: Int[Array, b]) -> Int[Array, "b 2"]:
        def draw(number: Array) -> Array:
            key = jax.random.fold_in(jax.random.key(config.seed), number)
            return jax.random.randint(key, (2,), -config.jitter, config.jitter + 1)

        return jax.vmap(draw)(steps)

    def shifted(images: Array, shift: Array) -> Array:
        return jax.vmap(partial(jnp.roll, axis=(0, 1)))(images, shift)

    def ascend(state: Search, kind: Array, shifting: Array) -> tuple[Search, Float[Array, b]]:
        """Move the ranking along the gradient at the current mask; also the excess there."""

        def total(ranking: Array) -> tuple[Array, Array]:
            perturbed = jax.lax.switch(kind, ways, batch.level_sets(ranking, state.area))
            seen = jax.lax.cond(shifting, shifted, lambda images, _: images, perturbed, shifts(state.steps))
            odds = log_odds(classifier, seen, class_index)
            return jnp.sum(odds), jax.nn.log_sigmoid(odds)

        gradient, values = jax.grad(total, has_aux=True)(state.ranking)
        length = jnp.sqrt(jnp.mean(gradient**2, axis=(1, 2), keepdims=True))
        direction = gradient / (length + jnp.finfo(gradient.dtype).tiny)
        momentum = config.momentum * state.momentum + (1.0 - config.momentum) * direction
        pull = config.anchor * (state.first_ranking - state.ranking)
        moved = jax.vmap(standardised)(state.ranking - config.learning_rate * momentum + pull)
        return state._replace(ranking=moved, momentum=momentum), values - state.target

    def step(number: Int[Array, ""], state: Search) -> Search:
        robust, turn = jnp.zeros((), bool), number
        if config.robust_every:
            robust = (number + 1) % config.robust_every == 0
            turn = number // config.robust_every
        kind = jnp.where(robust, turn % len(ways), 0)
        moved, excess = ascend(state, kind, robust & (kind == 0))
        moved = moved._replace(steps=state.steps + 1, stale=state.stale + 1, passes=state.passes + 1)
        # A robust step has not judged the mask, so neither the best mask nor the area may follow from it.
        noted = note(moved, state.ranking, excess, state.area, config.improvement)
        rate = config.area_rate * jnp.clip(excess / config.margin, -1.0, 1.0)
        noted = noted._replace(area=jnp.clip(state.area * jnp.exp(rate), _SMALLEST_AREA, 1.0))
        judged = jnp.broadcast_to(~robust, valid.shape)
        return select(valid & active(state, config), select(judged, noted, moved), state)

    _, state = jax.lax.while_loop(
        lambda carry: (carry[0] < round_length(config)) & jnp.any(valid & active(carry[1], config)),
        lambda carry: (carry[0] + 1, step(*carry)),
        (jnp.zeros((), jnp.int32), state),
    )
    return state


def conclude(
    classifier: Classifier,
    images: Float[Array, "b h w 3"],
    class_index: Int[Array, b],
    state: Search,
    config: CompactConfig,
) -> tuple[Float[Array, "b h w"], Int[Array, b]]:
    """Close the gap below the smallest mask along its ranking and along the last one, which went on improving.

    A mask's pixels at the edge depend on the last bit of its field, which no two programs round alike, and on a steep
    image they decide. So the masks judged here are the very arrays that are given back; the search's best is judged
    again, and grows where it misses.

    Args:
        classifier: The network explained.
        images: RGB in [0, 1].
        class_index: Class explained of each image.
        state: Searches that have stopped.
        config: The search's constants.

    Returns:
        Continuous masks in [0, 1], below 1/2 exactly on the best binary mask, and the number of network
        evaluations spent on each image.
    """
    batch = _Batch(classifier, images, class_index, config)
    excess_of = batch.judge()
    best, last = state.best_ranking, state.ranking
    tries = judgements(config) - config.first_bisections

    def narrow(number: int, carry: tuple[Array, Array, Array, Search]) -> tuple[Array, Array, Array, Search]:
        """Judge the search's best mask; then halve the area's bracket along the one ranking, then the other."""
        masks, low, high, state = carry
        turn = number == 1 + config.last_bisections
        low, high = jnp.where(turn, 0.5 * state.best_area, low), jnp.where(turn, state.best_area, high)
        area = jnp.where(number == 0, state.best_area, 0.5 * (low + high))
        candidate = jnp.where(number <= config.last_bisections, best, last)
        painted = jax.vmap(lambda r, a: soft_level_set(batch.field(r), a, config.edge_softness))(candidate, area)
        excess = excess_of((painted >= BINARISE_BELOW).astype(painted.dtype), state.target)
        better = (number == 0) | improves(state, excess, area)
        masks = jnp.where(better[:, None, None], painted, masks)
        low, high = jnp.where(excess <= 0.0, low, area), jnp.where(excess <= 0.0, area, high)
        return masks, low, high, note(state, candidate, excess, area, config.improvement)

    unjudged = state._replace(
        best_excess=jnp.full_like(state.best_excess, jnp.inf), best_feasible=jnp.zeros_like(state.best_feasible)
    )
    bracket = 0.5 * state.best_area, jnp.minimum(_GROWTH * state.best_area, 1.0)
    masks, *_ = jax.lax.fori_loop(0, tries, narrow, (jnp.ones(images.shape[:3]), *bracket, unjudged))
    return masks, state.passes + tries


def search(
    classifier: Classifier,
    images: Float[Array, "b h w 3"],
    class_index: Int[Array, b],
    valid: Bool[Array, b],
    config: CompactConfig,
) -> tuple[Float[Array, "b h w"], Int[Array, b]]:
    """Find the masks of one batch, which ends when all of its images have stopped.

    Args:
        classifier: The network explained.
        images: RGB in [0, 1].
        class_index: Class explained of each image.
        valid: False for rows that only fill the batch.
        config: The search's constants.

    Returns:
        As `conclude`.
    """
    state = jax.lax.while_loop(
        lambda state: jnp.any(valid & active(state, config)),
        lambda state: advance(classifier, images, class_index, valid, state, config),
        begin(classifier, images, class_index, config),
    )
    return conclude(classifier, images, class_index, state, config)
