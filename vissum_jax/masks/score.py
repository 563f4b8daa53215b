"""The class score that masks destroy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vissum_jax.types import Classifier


def log_odds(
    classifier: Classifier, images: Float[Array, "b h w 3"], class_index: Int[Array, " b"]
) -> Float[Array, " b"]:
    """Log f_c / (1 - f_c) for the softmax probability f_c of each image's class, in float32.

    Its gradient points where log f_c's does, d log f_c = (1 - f_c) d log odds, but does not vanish where f_c
    rounds to 1 (logits 17 apart).
    """
    logits = classifier(images).logits.astype(jnp.float32)
    own = jnp.arange(logits.shape[1]) == class_index[:, None]
    others = jax.nn.logsumexp(jnp.where(own, -jnp.inf, logits), axis=1)
    return logits[jnp.arange(logits.shape[0]), class_index] - others


def log_probability(
    classifier: Classifier, images: Float[Array, "b h w 3"], class_index: Int[Array, " b"]
) -> Float[Array, " b"]:
    """Log f_c: logarithm of the softmax probability of each image's class."""
    return jax.nn.log_sigmoid(log_odds(classifier, images, class_index))
