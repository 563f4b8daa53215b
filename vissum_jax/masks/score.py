"""The class score that masks destroy."""

from __future__ import annotations

import jax
from jaxtyping import Array, Float, Int

from vissum_jax.attribution.gradient import own_log_odds
from vissum_jax.types import Classifier


def log_odds(
    classifier: Classifier, images: Float[Array, "b h w 3"], class_index: Int[Array, " b"]
) -> Float[Array, " b"]:
    """Log f_c / (1 - f_c) for the softmax probability f_c of each image's class, in float32.

    Its gradient points where log f_c's does, d log f_c = (1 - f_c) d log odds, but does not vanish where f_c
    rounds to 1 (logits 17 apart).
    """
    return own_log_odds(classifier(images).logits, class_index)


def log_probability(
    classifier: Classifier, images: Float[Array, "b h w 3"], class_index: Int[Array, " b"]
) -> Float[Array, " b"]:
    """Log f_c: logarithm of the softmax probability of each image's class."""
    return jax.nn.log_sigmoid(log_odds(classifier, images, class_index))
