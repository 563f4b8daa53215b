"""PyTorch weight files without PyTorch, and without running what they contain.

Such a file is a pickle, and a pickle is a program. The unpickler here knows two functions (put a tensor
together) and the names of the number types; any other name ends the reading before anything is called.
Tensors come into being only afterwards, as views of storages whose sizes were checked against the file, so
that no file takes more memory than it has bytes. Both layouts of `torch.save` are read: the zip archive
(PyTorch >= 1.6) and the older sequence of pickles followed by raw storages.
"""

import math
import os
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

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

_MOST_DIMENSIONS = 64  # of a NumPy array
_LARGEST = 2**48  # of an offset, a length or a step: no file is larger
_NUMBERING = ("PUT", "BINPUT", "LONG_BINPUT")

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
        if type(storage) is not _Storage or type(shape) is not tuple or type(stride) is not tuple:
            raise pickle.UnpicklingError("it puts a tensor together from something else")
        return _Tensor(storage, offset, shape, stride)


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
        # Never shown in the error: a small pickle can nest what takes for ever to print.
        if type(pid) is not tuple or not 5 <= len(pid) <= 6:
            raise pickle.UnpicklingError("its storages are not those of a tensor")
        kind, dtype, key, _, count, *view = pid
        known = kind == "storage" and type(dtype) is str and dtype in _STORAGE_DTYPES
        if not known or type(key) is not str or type(count) is not int or any(part is not None for part in view):
            raise pickle.UnpicklingError("its storages are not those of a tensor")
        return _Storage(key, dtype, count)


def _unpickle(stream: IO[bytes]) -> Any:
    """The next pickle of a stream.

    A pickle numbers what it refers to again, and the unpickler makes room for the highest number: twelve bytes
    can ask for gigabytes. Numbers that exceed the pickle's own length are refused beforehand.
    """
    start = stream.tell()
    for count, (operation, argument, _) in enumerate(pickletools.genops(stream)):
        if operation.name in _NUMBERING and isinstance(argument, int) and argument > count:
            raise pickle.UnpicklingError("it asks for more memory than it can need")
    stream.seek(start)
    return _TensorUnpickler(stream).load()


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
        members = {
            member.filename: member
            for member in archive.infolist()
            if member.filename in (pickled, f"{folder}byteorder") or member.filename.startswith(f"{folder}data/")
        }
        # PyTorch compresses none of these and stores everything once; an archive that does otherwise may unpack to
        # any size.
        if any(member.compress_type != zipfile.ZIP_STORED for member in members.values()):
            raise ValueError("parts of it are compressed, which `torch.save` never does")
        if sum(member.file_size for member in members.values()) > path.stat().st_size:
            raise ValueError("its parts overlap")
        if f"{folder}byteorder" in members and archive.read(f"{folder}byteorder") != b"little":
            raise ValueError("its numbers are stored big-endian")
        with archive.open(pickled) as stream:
            content = _unpickle(stream)

        def read(storage: _Storage) -> bytes:
            name = f"{folder}data/{storage.key}"
            if name not in members:
                raise ValueError(f"its storage {storage.key!r} is missing")
            return archive.read(name)

        return _named_arrays(content, read)


def read_torch_legacy(path: Path) -> dict[str, np.ndarray]:
    """Read the tensors of a file in the older layout of `torch.save`.

    Raises:
        ForbiddenPickleError: If the file asks for anything but tensors.
        ValueError: If the file is damaged, or holds something else than named tensors.
    """
    with path.open("rb") as stream:
        magic, protocol, system = (_unpickle(stream) for _ in range(3))
        if (magic, protocol) != (LEGACY_MAGIC, _LEGACY_PROTOCOL) or not system["little_endian"]:
            raise ValueError("its header is not that of a little-endian PyTorch file")
        content = _unpickle(stream)
        keys = _unpickle(stream)
        dtypes = {tensor.storage.key: tensor.storage.dtype for tensor in _tensors(content).values()}
        blocks = {}
        for key in keys:
            if type(key) is not str or key not in dtypes:
                raise ValueError("it holds a storage that no tensor uses")
            count = int.from_bytes(_read_exactly(stream, 8), "little")
            blocks[key] = _read_exactly(stream, count * _STORAGE_DTYPES[dtypes[key]].itemsize)
    return _named_arrays(content, lambda storage: blocks[storage.key])


def _read_exactly(stream: IO[bytes], size: int) -> bytes:
    if size > os.fstat(stream.fileno()).st_size - stream.tell():
        raise EOFError("the file ends too early")
    return stream.read(size)


def _tensors(content: Any) -> dict[str, _Tensor]:
    """The named tensors of an unpickled file, out of a wrapper such as ``{"state_dict": ...}`` if need be."""
    for wrapper in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}, not a mapping from names to tensors")
    for name, value in content.items():
        if type(name) is not str:
            raise ValueError(f"it names an entry by a {type(name).__name__}")
        if not isinstance(value, _Tensor):
            raise ValueError(f"its entry {name!r} is a {type(value).__name__}, not a tensor")
    return dict(content)


def _named_arrays(content: Any, read: Callable[[_Storage], bytes]) -> dict[str, np.ndarray]:
    blocks: dict[str, np.ndarray] = {}
    arrays = {}
    for name, tensor in _tensors(content).items():
        storage = tensor.storage
        if storage.key not in blocks:
            blocks[storage.key] = np.frombuffer(read(storage), _STORAGE_DTYPES[storage.dtype])
        block = blocks[storage.key]
        if (block.dtype, block.size) != (_STORAGE_DTYPES[storage.dtype], storage.count):
            raise ValueError(f"storage {storage.key!r} holds {block.size} numbers instead of {storage.count}")
        arrays[name] = _view(name, block, tensor)
    return arrays


def _view(name: str, block: np.ndarray, tensor: _Tensor) -> np.ndarray:
    """The tensor as a read-only view of its storage, after checking that it lies inside."""
    numbers = (tensor.offset, *tensor.shape, *tensor.stride)
    possible = len(tensor.shape) == len(tensor.stride) <= _MOST_DIMENSIONS
    if not possible or any(type(number) is not int or not 0 <= number <= _LARGEST for number in numbers):
        raise ValueError(f"tensor {name!r} has an impossible layout")
    size = math.prod(tensor.shape)
    last = tensor.offset + sum((length - 1) * step for length, step in zip(tensor.shape, tensor.stride, strict=True))
    if size and (last >= block.size or size > block.size):
        raise ValueError(f"tensor {name!r} reaches beyond its storage")
    if not size:
        return np.zeros(tensor.shape, block.dtype)
    # A view, not a copy: a thousand tensors of one large storage take its memory once.
    bytes_stride = tuple(step * block.itemsize for step in tensor.stride)
    return np.lib.stride_tricks.as_strided(block[tensor.offset :], tensor.shape, bytes_stride, writeable=False)
