"""What there is to choose from: every network of the registry, and where its weights are."""

import math
from dataclasses import dataclass

from vissum_jax.models.architecture import Architecture, make_network
from vissum_jax.models.catalogue import ARCHITECTURES
from vissum_jax.models.checkpoint import read_checkpoint
from vissum_jax.models.imagenet import imagenet_classes
from vissum_jax.models.weights import WeightsPlace, WeightsState, locate_weights


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """One network.

    Attributes:
        name: Registry name.
        parameters: How many numbers it has, for its own classes; batch normalisation is folded into the layers.
        input_size: Side of the square input in pixels.
        known_top1: Published top-1 accuracy on ImageNet's validation images, as a share, or None.
        source: Where the weights come from.
        licence: Licence of the weights.
        weights: Where the weights are.
    """

    name: str
    parameters: int
    input_size: int
    known_top1: float | None
    source: str
    licence: str
    weights: WeightsPlace


def list_models() -> list[ModelFacts]:
    """All networks of the registry, in its order."""
    return [_facts(architecture) for architecture in ARCHITECTURES.values()]


def _facts(architecture: Architecture) -> ModelFacts:
    place = locate_weights(architecture)
    return ModelFacts(
        name=architecture.name,
        parameters=_count_parameters(architecture, place),
        input_size=architecture.input_size,
        known_top1=architecture.known_top1,
        source=architecture.source,
        licence=architecture.licence,
        weights=place,
    )


def _count_parameters(architecture: Architecture, place: WeightsPlace) -> int:
    if architecture.key_map is None and place.state is WeightsState.INSTALLED and place.path is not None:
        # Weights that only this package writes: their classes are not ImageNet's, so the file has to tell.
        return sum(array.size for array in read_checkpoint(place.path).arrays.values())
    layers = make_network(architecture, num_classes=len(imagenet_classes().names)).layers
    return sum(math.prod(parameter.shape) for layer in layers.values() for parameter in layer.values())
