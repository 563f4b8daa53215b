"""What the networks ported from torchvision have in common: where their weights are and what they expect."""

from collections.abc import Callable
from pathlib import PurePosixPath

import jax

from vissum_jax.models.architecture import Activation, Architecture, Build, Download
from vissum_jax.models.keys import KeyMap
from vissum_jax.models.layers import Normalization

IMAGENET = Normalization(mean=(123.675, 116.28, 103.53), scale=(58.395, 57.12, 57.375))
"""Mean and standard deviation of ImageNet's pixels."""

UNIT = Normalization(mean=(127.5, 127.5, 127.5), scale=(127.5, 127.5, 127.5))
"""To [-1, 1]: the two Inception networks were trained so elsewhere, and torchvision's ``transform_input`` turns
ImageNet's normalisation into this one before their first layer. Fine-tuned copies of its weights keep that."""

COUNTERS = "*.num_batches_tracked"
"""What batch normalisation counts in training."""

_FOLDER = "https://download.pytorch.org/models"


def torchvision_architecture(
    name: str,
    *,
    build: Build,
    key_map: Callable[[], KeyMap],
    weights: str,
    known_top1: float,
    feature_endpoint: str = "pooled",
    activation: Activation = jax.nn.relu,
    input_size: int = 224,
    resize_short_side: int = 256,
    normalization: Normalization = IMAGENET,
    other_key_maps: tuple[Callable[[], KeyMap], ...] = (),
    ignore: tuple[str, ...] = (COUNTERS,),
) -> Architecture:
    """Describe a network by its name in torchvision and the file name of its ImageNet weights (version 1).

    The file's name ends in the beginning of its SHA-256; top-1 and the resize rule are torchvision's own.
    """
    url = f"{_FOLDER}/{weights}"
    return Architecture(
        name=name,
        build=build,
        activation=activation,
        head="classifier",
        input_size=input_size,
        resize_short_side=resize_short_side,
        feature_endpoint=feature_endpoint,
        normalization=normalization,
        key_map=key_map,
        other_key_maps=other_key_maps,
        ignore=ignore,
        known_top1=known_top1,
        download=Download(url=url, sha256_prefix=PurePosixPath(weights).stem.rpartition("-")[2]),
        source=f"torchvision, {url}",
        licence="BSD-3-Clause (torchvision)",
    )
