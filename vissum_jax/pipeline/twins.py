"""Networks built once more, for signals sent back through them."""

from __future__ import annotations

from vissum_jax.attribution.guided import guided
from vissum_jax.models import rebuild
from vissum_jax.ops.destrided import destrided_conv2d
from vissum_jax.types import Classifier


def guided_twin(classifier: Classifier, *, destrided: bool) -> Classifier:
    """A network with guided activations, which shares its parameters.

    Args:
        classifier: A network loaded by name.
        destrided: Whether signals come back free of stride artefacts, see `destrided_conv2d`.

    Raises:
        ValueError: If the network is a function of the user's, which cannot be built anew.
    """
    return rebuild(classifier, activation=guided, convolution=destrided_conv2d if destrided else None)
