"""Networks, their checkpoints and the registry: the only user of Flax."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from vissum_jax.models.catalogue import ARCHITECTURES
    from vissum_jax.models.class_names import read_class_names
    from vissum_jax.models.imagenet import imagenet_classes
    from vissum_jax.models.registry import fetch_weights, init_classifier, load_classifier, rebuild, save_weights

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "catalogue": ["ARCHITECTURES"],
        "class_names": ["read_class_names"],
        "imagenet": ["imagenet_classes"],
        "registry": ["fetch_weights", "init_classifier", "load_classifier", "rebuild", "save_weights"],
    },
)

__all__ = [
    "ARCHITECTURES",
    "fetch_weights",
    "imagenet_classes",
    "init_classifier",
    "load_classifier",
    "read_class_names",
    "rebuild",
    "save_weights",
]
