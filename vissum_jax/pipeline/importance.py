"""How much a network's answer rests on the part that a summary stands for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from vissum_jax.masks.extract import batches
from vissum_jax.masks.measures import drop
from vissum_jax.masks.perturbation import perturb
from vissum_jax.masks.score import log_probability
from vissum_jax.masks.solve import JUDGE, to_unit
from vissum_jax.summaries import numbered
from vissum_jax.types import Classifier, ClassSummaries, MaskBatch, Summary


@jax.jit
def _probability_without(
    classifier: Classifier,
    images: UInt8[Array, "b h w 3"],
    class_index: Int[Array, b],
    salient: Bool[Array, "b h w"],
    boxes: Int[Array, "b 4"],
) -> Float[Array, b]:
    """Probability of each image's class when the salient pixels inside its box are blurred."""
    _, height, width, _ = images.shape

    def within(start: Int[Array, b], side: Int[Array, b], length: int) -> Bool[Array, "b length"]:
        place = jnp.arange(length)
        return (place >= start[:, None]) & (place < (start + side)[:, None])

    x, y, w, h = boxes.T
    part = salient & within(y, h, height)[:, :, None] & within(x, w, width)[:, None, :]
    blurred = perturb(JUDGE, to_unit(images), 1.0 - part)
    return jnp.exp(log_probability(classifier, blurred, class_index))


def rank_by_importance(
    result: ClassSummaries,
    classifier: Classifier,
    images: UInt8[np.ndarray, "n h w 3"],
    masks: MaskBatch,
    *,
    batch_size: int,
    progress: Callable[[int], object],
) -> ClassSummaries:
    """Measure how important the kept summaries are, and number them by it.

        importance = mean over the kept members of (p0 - p1) / p0

    with p0 the class's probability on the clean image and p1 that with the member's part alone blurred: the
    salient pixels inside its box, by the perturbation that judges all masks. A summary whose part the network can
    do without has an importance near 0; it is negative where the network is surer without the part.

    Args:
        result: Summaries of a class.
        classifier: The network explained.
        images: The class's images.
        masks: Their masks.
        batch_size: Images on the device at once.
        progress: Called with numbers of members done.
    """
    members = [(summary.number, member) for summary in result.kept for member in summary.kept_members]
    rows = np.array([member.image for _, member in members], dtype=int)
    boxes = np.array([member.box for _, member in members], dtype=np.int32).reshape(-1, 4)
    class_index = np.full(batch_size, result.class_index)
    perturbed = np.empty(len(members), np.float32)
    for filled, real in batches(np.arange(len(members)), batch_size):
        shown = rows[filled]
        batch = (images[shown], class_index, masks.salient[shown], boxes[filled])
        p = _probability_without(classifier, *map(jnp.asarray, batch))
        perturbed[real] = np.asarray(p)[: len(real)]
        progress(len(real))
    drops = drop(masks.p_original[rows], perturbed)
    owner = np.array([number for number, _ in members], dtype=int)

    def measured(summary: Summary) -> Summary:
        own = drops[owner == summary.number].astype(np.float64)
        own = own[np.isfinite(own)]
        return dataclasses.replace(summary, importance=float(own.mean()) if own.size else float("nan"))

    return dataclasses.replace(result, summaries=numbered(map(measured, result.summaries)))
