"""Files as PyTorch writes them, without PyTorch."""

import io
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

TENSORS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "conv.bias": np.array([1.5, -2.0], np.float16),
    "norm.num_batches_tracked": np.array(7, np.int64),
    "empty": np.zeros((0, 3), np.float32),
}
"""Tensors of several kinds."""
STORAGES = {
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
}


def pretend_torch(patch: pytest.MonkeyPatch) -> types.ModuleType:
    """Modules with the names that PyTorch writes into its files; there is no PyTorch in them."""

    def _rebuild_tensor_v2(*arguments):
        raise AssertionError("only its name is wanted")

    def _rebuild_parameter(*arguments):
        raise AssertionError("only its name is wanted")

    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for function in (_rebuild_tensor_v2, _rebuild_parameter):
        function.__module__, function.__qualname__ = "torch._utils", function.__name__
        setattr(utils, function.__name__, function)
    for name in STORAGES.values():
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    patch.setitem(sys.modules, "torch", torch)
    patch.setitem(sys.modules, "torch._utils", utils)
    return torch


class Storage:
    def __init__(self, key: str, array: np.ndarray, torch: types.ModuleType):
        self.identity = ("storage", getattr(torch, STORAGES[array.dtype.name]), key, "cpu", array.size)


class Tensor:
    """Pickles as PyTorch's tensors do."""

    def __init__(self, storage: Storage, shape: tuple, stride: tuple, *, offset: int = 0, parameter: bool = False):
        self.arguments = (storage, offset, shape, stride, False, OrderedDict())
        self.parameter = parameter

    def __reduce__(self):
        rebuild = sys.modules["torch._utils"]
        if self.parameter:
            plain = Tensor.__new__(Tensor)
            plain.arguments, plain.parameter = self.arguments, False
            return rebuild._rebuild_parameter, (plain, True, OrderedDict())
        return rebuild._rebuild_tensor_v2, self.arguments


class Pickler(pickle.Pickler):
    legacy = False

    def persistent_id(self, obj: object):
        if isinstance(obj, Storage):
            return (*obj.identity, None) if self.legacy else obj.identity
        return None


def stride(array: np.ndarray) -> tuple[int, ...]:
    return tuple(step // array.itemsize for step in array.strides)


def state(torch: types.ModuleType, tensors: Mapping[str, np.ndarray] = TENSORS) -> OrderedDict:
    """A network's `state_dict`."""
    tensors_of = OrderedDict(
        (
            name,
            Tensor(Storage(name, array, torch), array.shape, stride(array), parameter=name == "conv.bias"),
        )
        for name, array in tensors.items()
    )
    tensors_of._metadata = OrderedDict({"": {"version": 1}})  # as PyTorch adds it to every state_dict
    return tensors_of


def write_zip(path: Path, content: object, tensors: Mapping[str, np.ndarray] = TENSORS) -> Path:
    """A file in the layout of today."""
    stream = io.BytesIO()
    Pickler(stream, protocol=2).dump(content)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", stream.getvalue())
        archive.writestr("archive/byteorder", "little")
        for name, array in tensors.items():
            archive.writestr(f"archive/data/{name}", array.tobytes())
    return path
