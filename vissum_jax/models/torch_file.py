"""PyTorch weight files without PyTorch, and without running what they contain.

Such a file is a pickle, and a pickle is a program. The unpickler here knows two functions (put a tensor
together) and the names of the number types; any other name ends the reading before anything is called.
Tensors come into being only afterwards, from checked sizes. Both layouts of `torch.save` are read: the zip
archive (PyTorch >= 1.6) and the older sequence of pickles followed by raw storages.
"""

import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import ml_dtypes
import numpy as np

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_START = pickle.dumps(LEGACY_MAGIC, protocol=2)
_LEGACY_PROTOCOL = 1001

_STORAGE_DTYPES = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}

WRAPPERS = ("state_dict", "model")
"""Entries under which training scripts put the weights beside the optimiser's state."""


class ForbiddenPickleError(ValueError):
    """A weight file asks for something that is not a tensor."""


class _Storage(NamedTuple):
    """A block of numbers elsewhere in the file."""

    key: str
    dtype: str
    count: int


class _Tensor(NamedTuple):
    """A view of a storage, not read yet."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class _RebuildTensor:
    """Stands for torch._utils._rebuild_tensor_v2. Without a __dict__, so that a pickle cannot alter it."""

    __slots__ = ()

    def __call__(self, storage: _Storage, offset: int, shape: tuple, stride: tuple, *_: object) -> _Tensor:
        return _Tensor(storage, offset, tuple(shape), tuple(stride))


class _RebuildParameter:
    """Stands for torch._utils._rebuild_parameter."""

    __slots__ = ()

    def __call__(self, data: _Tensor, *_: object) -> _Tensor:
        return data


class _TensorUnpickler(pickle.Unpickler):
    """Builds containers, numbers, strings and tensors; raises on every other name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _RebuildTensor()
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _RebuildParameter()
        if module == "torch" and name in _STORAGE_DTYPES:
            return name
        raise ForbiddenPickleError(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, count, *view = pid
        if kind != "storage" or dtype not in _STORAGE_DTYPES or any(part is not None for part in view):
            raise pickle.UnpicklingError(f"unknown storage {pid!r}")
        return _Storage(str(key), dtype, int(count))


def is_torch_archive(path: Path) -> bool:
    """Whether a readable zip archive has the layout of `torch.save`."""
    with zipfile.ZipFile(path) as archive:
        return any(name.split("/")[-1] == "data.pkl" for name in archive.namelist())


def read_torch_archive(path: Path) -> dict[str, np.ndarray]:
    """Read the tensors of a zip archive written by `torch.save`.

    Raises:
        ForbiddenPickleError: If the file asks for anything but tensors.
        ValueError: If the file is damaged, or holds something else than named tensors.
    """
    with zipfile.ZipFile(path) as archive:
        pickled = next(name for name in archive.namelist() if name.split("/")[-1] == "data.pkl")
        folder = pickled.removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
            raise ValueError("its numbers are stored big-endian")
        with archive.open(pickled) as stream:
            content = _TensorUnpickler(stream).load()
        return _named_arrays(content, lambda storage: archive.read(f"{folder}data/{storage.key}"))


def read_torch_legacy(path: Path) -> dict[str, np.ndarray]:
    """Read the tensors of a file in the older layout of `torch.save`.

    Raises:
        ForbiddenPickleError: If the file asks for anything but tensors.
        ValueError: If the file is damaged, or holds something else than named tensors.
    """
    with path.open("rb") as stream:
        magic, protocol, system = (_TensorUnpickler(stream).load() for _ in range(3))
        if (magic, protocol) != (LEGACY_MAGIC, _LEGACY_PROTOCOL) or not system["little_endian"]:
            raise ValueError("its header is not that of a little-endian PyTorch file")
        content = _TensorUnpickler(stream).load()
        keys = [str(key) for key in _TensorUnpickler(stream).load()]
        dtypes = {tensor.storage.key: tensor.storage.dtype for tensor in _tensors(content).values()}
        blocks = {}
        for key in keys:
            if key not in dtypes:
                raise ValueError(f"no tensor uses its storage {key}")
            count = int.from_bytes(_read_exactly(stream, 8), "little")
            blocks[key] = _read_exactly(stream, count * _STORAGE_DTYPES[dtypes[key]].itemsize)
    return _named_arrays(content, lambda storage: blocks[storage.key])


def _read_exactly(stream: BinaryIO, size: int) -> bytes:
    block = stream.read(size)
    if len(block) != size:
        raise EOFError("the file ends too early")
    return block


def _tensors(content: Any) -> dict[str, _Tensor]:
    """The named tensors of an unpickled file, out of a wrapper such as ``{"state_dict": ...}`` if need be."""
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping):
        raise ValueError(f"it holds a {type(content).__name__}, not a mapping from names to tensors")
    for name, value in content.items():
        if not isinstance(value, _Tensor):
            raise ValueError(f"its entry {name!r} is a {type(value).__name__}, not a tensor")
    return dict(content)


def _named_arrays(content: Any, read: Callable[[_Storage], bytes]) -> dict[str, np.ndarray]:
    blocks: dict[str, np.ndarray] = {}
    arrays = {}
    for name, tensor in _tensors(content).items():
        storage = tensor.storage
        if storage.key not in blocks:
            block = np.frombuffer(read(storage), _STORAGE_DTYPES[storage.dtype])
            if block.size != storage.count:
                raise ValueError(f"storage {storage.key} holds {block.size} numbers instead of {storage.count}")
            blocks[storage.key] = block
        arrays[name] = _view(name, blocks[storage.key], tensor)
    return arrays


def _view(name: str, block: np.ndarray, tensor: _Tensor) -> np.ndarray:
    """The tensor as an array of its own, after checking that it lies inside its storage."""
    if len(tensor.shape) != len(tensor.stride) or min((tensor.offset, *tensor.shape, *tensor.stride)) < 0:
        raise ValueError(f"tensor {name!r} has an impossible layout")
    size = math.prod(tensor.shape)
    last = tensor.offset + sum((length - 1) * step for length, step in zip(tensor.shape, tensor.stride, strict=True))
    if size and (last >= block.size or size > block.size):
        raise ValueError(f"tensor {name!r} reaches beyond its storage")
    bytes_stride = tuple(step * block.itemsize for step in tensor.stride)
    if not size:
        return np.zeros(tensor.shape, block.dtype)
    return np.lib.stride_tricks.as_strided(block[tensor.offset :], tensor.shape, bytes_stride).copy()
