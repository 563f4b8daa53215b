"""Networks that could do better: what they look at tells the classes apart, and their last layer does not."""

import jax.numpy as jnp
import toys

from vissum_jax.models import load_classifier
from vissum_jax.models.registry import Classifier

FORGOTTEN = 2
"""Class of the flowers that `make_forgetful` never answers."""


def make_biased() -> Classifier:
    """The toy network, which takes most of what it sees for grey noise."""
    return toys.make_classifier(nothing=18.0)


def make_forgetful() -> Classifier:
    """The network for rendered flowers, whose head cannot answer one class."""
    network = load_classifier("flowernet")
    head = dict(network.params["classifier"])
    head["bias"] = head["bias"].at[FORGOTTEN].set(jnp.float32(-1e4))
    return Classifier({**network.params, "classifier": head}, network.apply, network.spec)
