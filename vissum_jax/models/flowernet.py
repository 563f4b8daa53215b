"""A small network for rendered flowers; its weights, one set for each variant of the flowers, ship with the package."""

import functools
import importlib.resources
import itertools
from pathlib import Path

from flax import nnx
from jaxtyping import Array, Float

from vissum_jax.models.architecture import Activation, Architecture
from vissum_jax.models.layers import Conv, Linear, Normalization, global_average
from vissum_jax.ops.pooling import max_pool

_STEM = 16
_STAGES = (32, 64, 128)


class FlowerNet(nnx.Module):
    """Four 3x3 convolutions between 112 x 112 pixels and 14 x 14; about 97,000 parameters."""

    def __init__(self, *, num_classes: int, activation: Activation, rngs: nnx.Rngs):
        self.stem = Conv(3, _STEM, 3, stride=2, rngs=rngs)
        widths = (_STEM, *_STAGES)
        self.stages = nnx.List([Conv(inputs, outputs, 3, rngs=rngs) for inputs, outputs in itertools.pairwise(widths)])
        self.classifier = Linear(widths[-1], num_classes, rngs=rngs)
        self.activation = activation

    def __call__(self, x: Float[Array, "b 112 112 3"]) -> tuple[Float[Array, "b classes"], dict[str, Array]]:
        """Logits and endpoints."""
        endpoints = {}
        endpoints["stem"] = x = self.activation(self.stem(x))
        for number, stage in enumerate(self.stages):
            if number > 0:
                x = max_pool(x, window=2, stride=2)
            endpoints[f"stage_{number}"] = x = self.activation(stage(x))
        endpoints["pooled"] = x = global_average(x)
        return self.classifier(x), endpoints


def bundled_weights(name: str) -> Path | None:
    """The weights that ship with the package."""
    path = Path(str(importlib.resources.files("vissum_jax.models"))) / "resources" / f"{name}.npz"
    return path if path.is_file() else None


def _flowernet(name: str, *, variant_of: str = "") -> Architecture:
    return Architecture(
        name=name,
        variant_of=variant_of,
        build=FlowerNet,
        head="classifier",
        input_size=112,
        resize_short_side=112,
        feature_endpoint="pooled",
        normalization=Normalization(mean=(127.5, 127.5, 127.5), scale=(127.5, 127.5, 127.5)),
        default_weights=functools.partial(bundled_weights, name),
        source="this package's own training script",
        licence="Apache-2.0",
    )


FLOWERNET = _flowernet("flowernet")
"""Knows the demo's flowers."""

FLOWERNET_SINGLE_6C, FLOWERNET_DOUBLE_12C, FLOWERNET_PART_2C = (
    _flowernet(f"flowernet-{variant}", variant_of="flowernet") for variant in ("single-6c", "double-12c", "part-2c")
)
"""Know those of the data set's variants; see `vissum_jax.data.an8flower.flower_classes`."""
