"""One compiled program for a batch of images: find the masks, judge them."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt8

from vissum_jax.masks import compact, phased
from vissum_jax.masks.config import BINARISE_BELOW, CompactConfig, MaskConfig
from vissum_jax.masks.perturbation import MeanColour, VaryingBlur, perturb
from vissum_jax.masks.score import log_probability
from vissum_jax.types import Classifier

JUDGE = VaryingBlur()
"""The perturbation that judges every binary mask, whatever it was optimised with (sigma_0 = 10 px)."""

TRANSFER = MeanColour()
"""The perturbation of `transfer_drop`."""


class Solution(NamedTuple):
    """Masks of a batch with the class's probabilities (see `vissum_jax.types.MaskBatch`); device arrays."""

    soft: Float[Array, "b h w"]
    salient: Bool[Array, "b h w"]
    p_original: Float[Array, b]
    p_soft: Float[Array, b]
    p_binary: Float[Array, b]
    p_transfer: Float[Array, b]
    area: Float[Array, b]
    passes: Int[Array, b]


def to_unit(images: UInt8[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
    """8-bit images to [0, 1]."""
    return images.astype(jnp.float32) / 255.0


@jax.jit
def predict(classifier: Classifier, images: UInt8[Array, "b h w 3"]) -> Float[Array, "b classes"]:
    """Class probabilities of clean images."""
    return jax.nn.softmax(classifier(to_unit(images)).logits.astype(jnp.float32))


def judge(
    classifier: Classifier,
    images: Float[Array, "b h w 3"],
    class_index: Int[Array, b],
    soft: Float[Array, "b h w"],
    passes: Int[Array, b],
    config: MaskConfig,
) -> Solution:
    """Judge the masks that a preset has found.

    Args:
        classifier: The network explained.
        images: RGB in [0, 1].
        class_index: Class explained of each image.
        soft: Continuous masks.
        passes: Network evaluations spent on finding each.
        config: The preset.
    """
    own = JUDGE if isinstance(config, CompactConfig) else config.perturbation
    salient = soft < BINARISE_BELOW
    binary = 1.0 - salient

    # One loop over the four judgements: a network's program is compiled once for all of them.
    variants = jnp.stack(
        [images, perturb(own, images, soft), perturb(JUDGE, images, binary), perturb(TRANSFER, images, binary)]
    )
    log_probabilities = jax.lax.map(lambda v: log_probability(classifier, v, class_index), variants)
    p_original, p_soft, p_binary, p_transfer = jnp.exp(log_probabilities)
    return Solution(
        soft=soft,
        salient=salient,
        p_original=p_original,
        p_soft=p_soft,
        p_binary=p_binary,
        p_transfer=p_transfer,
        area=jnp.mean(salient, axis=(1, 2)),
        passes=passes + len(variants),
    )


@partial(jax.jit, static_argnames="config")
def solve(
    classifier: Classifier,
    images: UInt8[Array, "b h w 3"],
    class_index: Int[Array, b],
    valid: Bool[Array, b],
    config: MaskConfig,
) -> Solution:
    """Find and judge the masks of a batch.

    Args:
        classifier: The network explained.
        images: RGB, 8 bit, of the network's input size.
        class_index: Class explained of each image.
        valid: False for rows that only fill the batch; their results mean nothing.
        config: A preset.
    """
    x = to_unit(images)
    if isinstance(config, CompactConfig):
        soft, passes = compact.search(classifier, x, class_index, valid, config)
    else:
        soft = phased.minimise(classifier, x, class_index, config)
        passes = jnp.full(class_index.shape, phased.evaluations(config), jnp.int32)
    return judge(classifier, x, class_index, soft, passes, config)
