"""Inception-v3 (Szegedy et al. 2016) in torchvision's form."""

from collections.abc import Iterator
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from vissum_jax.models.architecture import Activation
from vissum_jax.models.keys import ConvNormKeys, KeyMap, LinearKeys
from vissum_jax.models.layers import Conv, Linear, average_around, convolve_together, global_average
from vissum_jax.models.torchvision import COUNTERS, UNIT, torchvision_architecture
from vissum_jax.ops.pooling import max_pool

_NORM_EPSILON = 1e-3


class Step(NamedTuple):
    """One convolution; `name` is torchvision's. Those that stride have no padding, the others keep the size."""

    name: str
    outputs: int
    size: tuple[int, int] = (1, 1)
    stride: int = 1


# The steps of one entry of a chain have the same input and go side by side.
Chain = tuple[tuple[Step, ...], ...]


class Mixed(NamedTuple):
    """An inception module: chains of convolutions beside a pooling.

    Attributes:
        chains: The branches in order.
        pool: The projection after averaging, or None for a largest value with stride 2.
    """

    chains: tuple[Chain, ...]
    pool: Step | None = None


def _chain(*steps: Step) -> Chain:
    return tuple((step,) for step in steps)


_TRIPLE = (Step("branch3x3dbl_1", 64), Step("branch3x3dbl_2", 96, (3, 3)))


def _module_a(pool: int) -> Mixed:
    """35 x 35: one 5x5, and two 3x3 in its place (figure 5)."""
    return Mixed(
        (
            _chain(Step("branch1x1", 64)),
            _chain(Step("branch5x5_1", 48), Step("branch5x5_2", 64, (5, 5))),
            _chain(*_TRIPLE, Step("branch3x3dbl_3", 96, (3, 3))),
        ),
        Step("branch_pool", pool),
    )


def _module_b() -> Mixed:
    """35 x 35 to 17 x 17 (figure 10)."""
    return Mixed(
        (
            _chain(Step("branch3x3", 384, (3, 3), stride=2)),
            _chain(*_TRIPLE, Step("branch3x3dbl_3", 96, (3, 3), stride=2)),
        )
    )


def _module_c(width: int) -> Mixed:
    """17 x 17: 7x7 as 1x7 and 7x1 (figure 6)."""
    return Mixed(
        (
            _chain(Step("branch1x1", 192)),
            _chain(Step("branch7x7_1", width), Step("branch7x7_2", width, (1, 7)), Step("branch7x7_3", 192, (7, 1))),
            _chain(
                Step("branch7x7dbl_1", width),
                Step("branch7x7dbl_2", width, (7, 1)),
                Step("branch7x7dbl_3", width, (1, 7)),
                Step("branch7x7dbl_4", width, (7, 1)),
                Step("branch7x7dbl_5", 192, (1, 7)),
            ),
        ),
        Step("branch_pool", 192),
    )


def _module_d() -> Mixed:
    """17 x 17 to 8 x 8."""
    return Mixed(
        (
            _chain(Step("branch3x3_1", 192), Step("branch3x3_2", 320, (3, 3), stride=2)),
            _chain(
                Step("branch7x7x3_1", 192),
                Step("branch7x7x3_2", 192, (1, 7)),
                Step("branch7x7x3_3", 192, (7, 1)),
                Step("branch7x7x3_4", 192, (3, 3), stride=2),
            ),
        )
    )


def _module_e() -> Mixed:
    """8 x 8: chains that end in a 1x3 beside a 3x1 (figure 7)."""
    return Mixed(
        (
            _chain(Step("branch1x1", 320)),
            ((Step("branch3x3_1", 384),), (Step("branch3x3_2a", 384, (1, 3)), Step("branch3x3_2b", 384, (3, 1)))),
            (
                (Step("branch3x3dbl_1", 448),),
                (Step("branch3x3dbl_2", 384, (3, 3)),),
                (Step("branch3x3dbl_3a", 384, (1, 3)), Step("branch3x3dbl_3b", 384, (3, 1))),
            ),
        ),
        Step("branch_pool", 192),
    )


_MODULES = {
    "5b": _module_a(32),
    "5c": _module_a(64),
    "5d": _module_a(64),
    "6a": _module_b(),
    "6b": _module_c(128),
    "6c": _module_c(160),
    "6d": _module_c(160),
    "6e": _module_c(192),
    "7a": _module_d(),
    "7b": _module_e(),
    "7c": _module_e(),
}


class InceptionModule(nnx.Module):
    """Branches of different receptive fields, concatenated."""

    def __init__(self, inputs: int, mixed: Mixed, *, activation: Activation, rngs: nnx.Rngs):
        self.outputs = 0
        for chain in mixed.chains:
            channels = inputs
            for steps in chain:
                for step in steps:
                    setattr(self, step.name, _convolution(channels, step, rngs))
                channels = sum(step.outputs for step in steps)
            self.outputs += channels
        if mixed.pool is not None:
            setattr(self, mixed.pool.name, _convolution(inputs, mixed.pool, rngs))
        self.outputs += inputs if mixed.pool is None else mixed.pool.outputs
        self.mixed = mixed
        self.activation = activation

    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b out_h out_w o"]:
        """Concatenate the branches, the pooling last."""
        branches = []
        started = self._first_reductions(x)
        for chain in self.mixed.chains:
            branch = x
            for steps in chain:
                if steps[0].name in started:
                    branch = started[steps[0].name]
                else:
                    branch = jnp.concatenate([self._apply(step, branch) for step in steps], axis=-1)
            branches.append(branch)
        pool = self.mixed.pool
        if pool is None:
            branches.append(max_pool(x, window=3, stride=2))
        else:
            branches.append(self._apply(pool, average_around(x, window=3)))
        return jnp.concatenate(branches, axis=-1)

    def _apply(self, step: Step, x: Float[Array, "b h w i"]) -> Float[Array, "b out_h out_w o"]:
        return self.activation(getattr(self, step.name)(x))

    def _first_reductions(self, x: Float[Array, "b h w i"]) -> dict[str, Float[Array, "b h w o"]]:
        """Outputs of the 1x1 convolutions that chains begin with, by name: one matrix product for all."""
        steps = [chain[0][0] for chain in self.mixed.chains if chain[0][0].size == (1, 1)]
        cuts = np.cumsum([step.outputs for step in steps])[:-1]
        together = self.activation(convolve_together([getattr(self, step.name) for step in steps], x))
        return {step.name: part for step, part in zip(steps, jnp.split(together, cuts, axis=-1), strict=True)}


def _convolution(inputs: int, step: Step, rngs: nnx.Rngs) -> Conv:
    padding = "SAME" if step.stride == 1 else "VALID"
    return Conv(inputs, step.outputs, step.size, stride=step.stride, padding=padding, rngs=rngs)


class InceptionV3(nnx.Module):
    """Inception-v3 for inputs of 299 x 299."""

    def __init__(self, *, num_classes: int, activation: Activation, rngs: nnx.Rngs):
        self.conv_1a = Conv(3, 32, 3, stride=2, padding="VALID", rngs=rngs)
        self.conv_2a = Conv(32, 32, 3, padding="VALID", rngs=rngs)
        self.conv_2b = Conv(32, 64, 3, rngs=rngs)
        self.conv_3b = Conv(64, 80, 1, rngs=rngs)
        self.conv_4a = Conv(80, 192, 3, padding="VALID", rngs=rngs)
        channels = 192
        for name, mixed in _MODULES.items():
            module = InceptionModule(channels, mixed, activation=activation, rngs=rngs)
            setattr(self, f"mixed_{name}", module)
            channels = module.outputs
        self.classifier = Linear(channels, num_classes, rngs=rngs)
        self.activation = activation

    def __call__(self, x: Float[Array, "b 299 299 3"]) -> tuple[Float[Array, "b classes"], dict[str, Array]]:
        """Logits and endpoints."""
        endpoints = {}
        for name in _STEM:
            if name == "conv_3b":
                x = max_pool(x, window=3, stride=2)
            endpoints[name] = x = self.activation(getattr(self, name)(x))
        x = max_pool(x, window=3, stride=2)
        for name in _MODULES:
            endpoints[f"mixed_{name}"] = x = getattr(self, f"mixed_{name}")(x)
        endpoints["pooled"] = x = global_average(x)
        return self.classifier(x), endpoints


_STEM = {
    "conv_1a": "Conv2d_1a_3x3",
    "conv_2a": "Conv2d_2a_3x3",
    "conv_2b": "Conv2d_2b_3x3",
    "conv_3b": "Conv2d_3b_1x1",
    "conv_4a": "Conv2d_4a_3x3",
}


def _steps(mixed: Mixed) -> Iterator[Step]:
    for chain in mixed.chains:
        for steps in chain:
            yield from steps
    if mixed.pool is not None:
        yield mixed.pool


def key_map() -> KeyMap:
    """Keys of torchvision's checkpoints."""
    names = _STEM | {
        f"mixed_{module}.{step.name}": f"Mixed_{module}.{step.name}"
        for module, mixed in _MODULES.items()
        for step in _steps(mixed)
    }
    convolutions = {
        path: ConvNormKeys(f"{name}.conv.weight", f"{name}.bn", _NORM_EPSILON) for path, name in names.items()
    }
    return convolutions | {"classifier": LinearKeys("fc.weight", "fc.bias")}


INCEPTION_V3 = torchvision_architecture(
    "inception_v3",
    build=InceptionV3,
    key_map=key_map,
    weights="inception_v3_google-0cc3c7bd.pth",
    known_top1=0.77294,
    input_size=299,
    resize_short_side=342,
    normalization=UNIT,
    ignore=(COUNTERS, "AuxLogits.*"),
)
