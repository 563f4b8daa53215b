"""From a checkpoint's arrays to a network's parameters: a bijection, or an error that names what is amiss."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol

import jax
import numpy as np

Shape = tuple[int, ...]
LayerShapes = Mapping[str, jax.ShapeDtypeStruct]
LayerArrays = dict[str, np.ndarray]


class LayerKeys(Protocol):
    """Where a checkpoint keeps one layer's parameters."""

    @property
    def bias(self) -> str:
        """Key of the array whose length is the number of outputs."""
        ...

    def shapes(self, layer: LayerShapes) -> dict[str, Shape]:
        """Keys and shapes that the checkpoint must have for a layer with these parameters."""
        ...

    def convert(self, arrays: Mapping[str, np.ndarray]) -> LayerArrays:
        """The layer's parameters from the checkpoint's arrays."""
        ...


@dataclass(frozen=True)
class ConvKeys:
    """A convolution stored as (output, input, height, width), with bias."""

    weight: str
    bias: str

    def shapes(self, layer: LayerShapes) -> dict[str, Shape]:
        """See `LayerKeys`."""
        return {self.weight: _oihw(layer["kernel"].shape), self.bias: layer["bias"].shape}

    def convert(self, arrays: Mapping[str, np.ndarray]) -> LayerArrays:
        """See `LayerKeys`."""
        return {"kernel": arrays[self.weight].transpose(2, 3, 1, 0), "bias": arrays[self.bias]}


@dataclass(frozen=True)
class ConvNormKeys:
    """A convolution without bias, followed by a batch normalisation, folded into kernel and bias.

    gamma (K x - mean) / sqrt(variance + epsilon) + beta is a convolution with the kernel K gamma / sqrt(...).
    """

    weight: str
    norm: str
    epsilon: float

    @property
    def bias(self) -> str:
        """Key of beta."""
        return f"{self.norm}.bias"

    def shapes(self, layer: LayerShapes) -> dict[str, Shape]:
        """See `LayerKeys`."""
        statistics = ("weight", "bias", "running_mean", "running_var")
        return {self.weight: _oihw(layer["kernel"].shape)} | {
            f"{self.norm}.{name}": layer["bias"].shape for name in statistics
        }

    def convert(self, arrays: Mapping[str, np.ndarray]) -> LayerArrays:
        """See `LayerKeys`."""
        gamma, beta, mean, variance = (
            arrays[f"{self.norm}.{name}"].astype(np.float64)
            for name in ("weight", "bias", "running_mean", "running_var")
        )
        gain = gamma / np.sqrt(variance + self.epsilon)
        return {"kernel": arrays[self.weight].transpose(2, 3, 1, 0) * gain, "bias": beta - mean * gain}


@dataclass(frozen=True)
class LinearKeys:
    """A fully connected layer stored as (output, input)."""

    weight: str
    bias: str

    def shapes(self, layer: LayerShapes) -> dict[str, Shape]:
        """See `LayerKeys`."""
        return {self.weight: layer["kernel"].shape[::-1], self.bias: layer["bias"].shape}

    def convert(self, arrays: Mapping[str, np.ndarray]) -> LayerArrays:
        """See `LayerKeys`."""
        return {"kernel": arrays[self.weight].T, "bias": arrays[self.bias]}


@dataclass(frozen=True)
class PlainKeys:
    """Parameters stored as they are.

    Attributes:
        keys: Key of every parameter, by the parameter's name.
    """

    keys: Mapping[str, str]

    @property
    def bias(self) -> str:
        """Key of the last parameter; layers of this kind have no outputs to count."""
        return list(self.keys.values())[-1]

    def shapes(self, layer: LayerShapes) -> dict[str, Shape]:
        """See `LayerKeys`."""
        return {key: layer[name].shape for name, key in self.keys.items()}

    def convert(self, arrays: Mapping[str, np.ndarray]) -> LayerArrays:
        """See `LayerKeys`."""
        return {name: arrays[key] for name, key in self.keys.items()}


@dataclass(frozen=True)
class NativeKeys:
    """A layer stored by this package, under its own path and in its own layout."""

    path: str

    @property
    def bias(self) -> str:
        """Key of the bias."""
        return f"{self.path}.bias"

    def shapes(self, layer: LayerShapes) -> dict[str, Shape]:
        """See `LayerKeys`."""
        return {f"{self.path}.{name}": parameter.shape for name, parameter in layer.items()}

    def convert(self, arrays: Mapping[str, np.ndarray]) -> LayerArrays:
        """See `LayerKeys`."""
        start = f"{self.path}."
        return {key.removeprefix(start): array for key, array in arrays.items() if key.startswith(start)}


KeyMap = Mapping[str, LayerKeys]
"""A layer's path in the network, e.g. ``inception_3a.reduce_3x3``, to its keys in the checkpoint."""


def convert_arrays(
    arrays: Mapping[str, np.ndarray],
    *,
    layers: Mapping[str, LayerShapes],
    key_map: KeyMap,
    ignore: Sequence[str],
) -> dict[str, LayerArrays]:
    """Turn a checkpoint into the parameters of every layer.

    Args:
        arrays: The checkpoint.
        layers: Shapes of the network's parameters by layer path and parameter name.
        key_map: Where the checkpoint keeps each layer; one entry per layer.
        ignore: Patterns (``fnmatch``) of keys that a checkpoint may hold in vain.

    Returns:
        float32 parameters by layer path and parameter name.

    Raises:
        ValueError: If keys are missing or left over, or shapes, number types or numbers are wrong.
    """
    expected: dict[str, Shape] = {}
    for path, keys in key_map.items():
        expected |= keys.shapes(layers[path])
    given = {key: array for key, array in arrays.items() if not any(fnmatchcase(key, pattern) for pattern in ignore)}
    problems = []
    if missing := [key for key in expected if key not in given]:
        problems.append(f"{len(missing)} keys missing ({_some(missing)})")
    if left_over := [key for key in given if key not in expected]:
        problems.append(f"{len(left_over)} keys left over ({_some(left_over)})")
    common = [key for key in expected if key in given]
    misshapen = [key for key in common if given[key].shape != expected[key]]
    if misshapen:
        details = [f"{key} is {given[key].shape}, expected {expected[key]}" for key in misshapen]
        problems.append(f"{len(misshapen)} wrong shapes ({_some(details)})")
    if not_numbers := [f"{key} is {given[key].dtype}" for key in common if not _is_float(given[key])]:
        problems.append(f"{len(not_numbers)} arrays not of floating point ({_some(not_numbers)})")
    elif broken := [key for key in common if not np.isfinite(np.asarray(given[key], np.float32)).all()]:
        problems.append(f"{len(broken)} arrays with NaN or infinite numbers ({_some(broken)})")
    if problems:
        raise ValueError("; ".join(problems))
    return {
        path: {name: np.asarray(array, np.float32) for name, array in keys.convert(given).items()}
        for path, keys in key_map.items()
    }


def _is_float(array: np.ndarray) -> bool:
    return np.issubdtype(array.dtype, np.floating) or array.dtype.name == "bfloat16"


def _oihw(hwio: Shape) -> Shape:
    height, width, inputs, outputs = hwio
    return (outputs, inputs, height, width)


def _some(names: Sequence[str], *, at_most: int = 3) -> str:
    return ", ".join(names[:at_most]) + (", ..." if len(names) > at_most else "")
