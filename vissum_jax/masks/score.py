"""The class score that masks destroy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vissum_jax.types import Classifier


def log_probability(
    classifier: Classifier, images: Float[Array, "b h w 3"], class_index: Int[Array, b]
) -> Float[Array, b]:
    """Log f_c: logarithm of the softmax probability of each image's class.

    In float32 whatever the network computes in, and as a logarithm because a probability that has been destroyed
    has no gradient left.
    """
    logits = classifier(images).logits.astype(jnp.float32)
    return jax.nn.log_softmax(logits)[jnp.arange(logits.shape[0]), class_index]
