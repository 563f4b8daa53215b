"""What a mask is worth, whatever found it: drops under several perturbations, deletion and insertion curves.

Every binary mask is judged by `vissum_jax.masks.solve.JUDGE` and, for transfer, by the perturbations of
`vissum_jax.masks.perturbation.TRANSFERS`. Rankings of the pixels are judged by the curves of
Petsiuk et al. 2018 (RISE, section 4.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from vissum_jax.masks.binarise import ranking
from vissum_jax.masks.perturbation import TRANSFERS, perturb
from vissum_jax.masks.score import log_probability
from vissum_jax.masks.solve import JUDGE, to_unit
from vissum_jax.types import Classifier


@dataclass(frozen=True, kw_only=True)
class CurveConfig:
    """Constants of the deletion and insertion curves.

    Attributes:
        steps: Equal portions in which the pixels go, the most important first.
    """

    steps: int = 50

    def __post_init__(self) -> None:
        """Check ranges."""
        if self.steps < 1:
            raise ValueError(f"`steps` must be positive, got {self.steps}.")


class Judgement(NamedTuple):
    """Probabilities of each image's class.

    Attributes:
        p_original: On the clean image.
        p_binary: With the binary mask, under the judge.
        p_transfers: The same under each of `TRANSFERS`, in their order.
    """

    p_original: Float[Array, b]
    p_binary: Float[Array, b]
    p_transfers: Float[Array, "b transfers"]


class Curves(NamedTuple):
    """Probabilities of each image's class while its pixels go or come, the most important first.

    Attributes:
        deletion: From the clean image to the blurred one.
        insertion: From the blurred image to the clean one.
    """

    deletion: Float[Array, "b steps+1"]
    insertion: Float[Array, "b steps+1"]


@jax.jit
def judge(
    classifier: Classifier,
    images: UInt8[Array, "b h w 3"],
    class_index: Int[Array, b],
    salient: Bool[Array, "b h w"],
) -> Judgement:
    """Judge binary masks under every perturbation.

    Args:
        classifier: The network explained.
        images: RGB, 8 bit, of the network's input size.
        class_index: Class explained of each image.
        salient: True where pixels are perturbed.
    """
    x = to_unit(images)
    kept = 1.0 - salient

    variants = jnp.stack([x, *(perturb(perturbation, x, kept) for perturbation in (JUDGE, *TRANSFERS.values()))])
    original, binary, *transfers = jnp.exp(jax.lax.map(lambda v: log_probability(classifier, v, class_index), variants))
    return Judgement(original, binary, jnp.stack(transfers, axis=1))


def curve_counts(pixels: int, steps: int) -> Int[np.ndarray, " steps+1"]:
    """How many pixels have gone at each point of a curve: steps + 1 equally spaced numbers from 0 to all."""
    return np.rint(np.linspace(0, pixels, steps + 1)).astype(np.int32)


def area_under(curve: Float[np.ndarray, "*n steps+1"]) -> Float[np.ndarray, "*n"]:
    """Area under curves over the share of pixels, by the trapezoidal rule: in [0, 1] for probabilities."""
    return np.trapezoid(curve, dx=1.0 / (curve.shape[-1] - 1), axis=-1)


@partial(jax.jit, static_argnames="config")
def perturbation_curves(
    classifier: Classifier,
    images: UInt8[Array, "b h w 3"],
    class_index: Int[Array, b],
    importance: Float[Array, "b h w"],
    config: CurveConfig,
) -> Curves:
    """Delete the pixels in order of importance by the judge's blur, and insert them into the blurred image.

    Args:
        classifier: The network explained.
        images: RGB, 8 bit, of the network's input size.
        class_index: Class explained of each image.
        importance: Higher is more important; any scale.
        config: Number of steps.
    """
    x = to_unit(images)
    prepared = jax.vmap(JUDGE.prepare)(x)
    ranks = jax.vmap(ranking)(importance)
    counts = curve_counts(ranks[0].size, config.steps)

    def probability(point: tuple[Array, Array]) -> Float[Array, b]:
        count, inserting = point
        kept = ((ranks < count) == inserting).astype(x.dtype)
        return jnp.exp(log_probability(classifier, jax.vmap(JUDGE.apply)(x, prepared, kept), class_index))

    # The ends of the two curves are the same two images: judged once.
    points = np.concatenate([counts, counts[1:-1]])
    inserting = np.arange(len(points)) >= len(counts)
    values = jax.lax.map(probability, (jnp.asarray(points), jnp.asarray(inserting))).T
    deletion, between = values[:, : len(counts)], values[:, len(counts) :]
    return Curves(deletion, jnp.concatenate([deletion[:, -1:], between, deletion[:, :1]], axis=1))


def drop(p_original: Float[np.ndarray, "*n"], p_perturbed: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """Share of the class's probability that is lost, (p0 - p1) / p0 (VS 4.1)."""
    return (p_original - p_perturbed) / p_original


def redrawn(classifier: Classifier, seed: int) -> Classifier:
    """The same network with meaningless weights (Adebayo et al. 2018, Sanity Checks for Saliency Maps).

    Each array's values are shuffled among themselves, which keeps their distribution, and with it the scale of
    every layer's activations, for any network.
    """
    leaves, structure = jax.tree.flatten(classifier.params)
    keys = jax.random.split(jax.random.key(seed), max(len(leaves), 1))
    shuffled = [
        jax.random.permutation(key, jnp.ravel(leaf)).reshape(jnp.shape(leaf))
        for key, leaf in zip(keys, leaves, strict=False)
    ]
    return Classifier(jax.tree.unflatten(structure, shuffled), classifier.apply, classifier.spec)
