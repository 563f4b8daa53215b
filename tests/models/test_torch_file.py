"""The restricted unpickler: reads both layouts of PyTorch files and runs nothing that they contain."""

import io
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from vissum_jax.models.checkpoint import read_checkpoint
from vissum_jax.models.torch_file import LEGACY_MAGIC

TENSORS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "conv.bias": np.array([1.5, -2.0], np.float16),
    "norm.num_batches_tracked": np.array(7, np.int64),
    "empty": np.zeros((0, 3), np.float32),
}
STORAGES = {"float32": "FloatStorage", "float16": "HalfStorage", "int64": "LongStorage"}


@pytest.fixture
def torch_names(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
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
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)
    return torch


class _Storage:
    def __init__(self, key: str, array: np.ndarray, torch: types.ModuleType):
        self.identity = ("storage", getattr(torch, STORAGES[array.dtype.name]), key, "cpu", array.size)


class _Tensor:
    """Pickles as PyTorch's tensors do."""

    def __init__(self, storage: _Storage, shape: tuple, stride: tuple, *, offset: int = 0, parameter: bool = False):
        self.arguments = (storage, offset, shape, stride, False, OrderedDict())
        self.parameter = parameter

    def __reduce__(self):
        rebuild = sys.modules["torch._utils"]
        if self.parameter:
            plain = _Tensor.__new__(_Tensor)
            plain.arguments, plain.parameter = self.arguments, False
            return rebuild._rebuild_parameter, (plain, True, OrderedDict())
        return rebuild._rebuild_tensor_v2, self.arguments


class _Pickler(pickle.Pickler):
    legacy = False

    def persistent_id(self, obj: object):
        if isinstance(obj, _Storage):
            return (*obj.identity, None) if self.legacy else obj.identity
        return None


class _LegacyPickler(_Pickler):
    legacy = True


def _stride(array: np.ndarray) -> tuple[int, ...]:
    return tuple(step // array.itemsize for step in array.strides)


def _state(torch: types.ModuleType, tensors: dict[str, np.ndarray] = TENSORS) -> OrderedDict:
    state = OrderedDict(
        (
            name,
            _Tensor(_Storage(name, array, torch), array.shape, _stride(array), parameter=name == "conv.bias"),
        )
        for name, array in tensors.items()
    )
    state._metadata = OrderedDict({"": {"version": 1}})  # as PyTorch adds it to every state_dict
    return state


def _write_zip(path: Path, content: object, tensors: dict[str, np.ndarray] = TENSORS) -> Path:
    stream = io.BytesIO()
    _Pickler(stream, protocol=2).dump(content)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", stream.getvalue())
        archive.writestr("archive/byteorder", "little")
        for name, array in tensors.items():
            archive.writestr(f"archive/data/{name}", array.tobytes())
    return path


def _write_legacy(path: Path, content: object, tensors: dict[str, np.ndarray] = TENSORS) -> Path:
    with path.open("wb") as stream:
        for header in (
            LEGACY_MAGIC,
            1001,
            {"protocol_version": 1001, "little_endian": True, "type_sizes": {}},
        ):
            pickle.dump(header, stream, protocol=2)
        _LegacyPickler(stream, protocol=2).dump(content)
        pickle.dump(list(tensors), stream, protocol=2)
        for array in tensors.values():
            stream.write(struct.pack("<q", array.size) + array.tobytes())
    return path


WRITERS = {"zip": _write_zip, "legacy": _write_legacy}


@pytest.fixture(params=WRITERS.values(), ids=WRITERS.keys())
def write(request: pytest.FixtureRequest):
    return request.param


def _assert_equal(arrays, tensors=TENSORS):
    assert list(arrays) == list(tensors)
    for name, array in tensors.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


def test_tensors_come_out_as_they_went_in(tmp_path: Path, write, torch_names):
    path = write(tmp_path / "w.pth", _state(torch_names))
    _assert_equal(read_checkpoint(path).arrays)


@pytest.mark.parametrize("wrapper", ["state_dict", "model"])
def test_weights_beside_the_state_of_a_training_are_found(tmp_path: Path, write, torch_names, wrapper: str):
    path = write(tmp_path / "w.pth", {"epoch": 3, wrapper: _state(torch_names)})
    _assert_equal(read_checkpoint(path).arrays)


def test_strides_and_offsets_are_followed(tmp_path: Path, write, torch_names):
    block = {"block": np.arange(20, dtype=np.float32)}
    transposed = _Tensor(_Storage("block", block["block"], torch_names), (4, 3), (1, 4), offset=5)
    path = write(tmp_path / "w.pth", {"transposed": transposed}, block)
    expected = np.arange(5, 17, dtype=np.float32).reshape(3, 4).T
    np.testing.assert_array_equal(read_checkpoint(path).arrays["transposed"], expected)


class _CreatesFile:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


class _EvaluatesThroughBuild:
    """Attacks through the state of an allowed object."""

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, (), {"__class__": "changed"}


def test_a_pickle_with_code_is_refused_by_name_and_not_run(tmp_path: Path, write, torch_names):
    victim = tmp_path / "created"
    path = write(tmp_path / "w.pth", {"a": _CreatesFile(victim)})
    with pytest.raises(ValueError, match="nothing of it was run") as caught:
        read_checkpoint(path)
    assert not victim.exists()
    assert str(caught.value) == (
        f"`weights`: {path} asks for `{open.__module__}.open`, which is not a tensor; nothing of it was run. "
        "Save the network's `state_dict()` instead."
    )


def test_code_hidden_in_the_legacy_header_is_refused(tmp_path: Path):
    victim = tmp_path / "created"
    path = tmp_path / "w.pth"
    path.write_bytes(pickle.dumps(LEGACY_MAGIC, protocol=2) + pickle.dumps(_CreatesFile(victim), protocol=2))
    with pytest.raises(ValueError, match="nothing of it was run"):
        read_checkpoint(path)
    assert not victim.exists()


def test_a_whole_pickled_network_is_refused_by_name(tmp_path: Path, write, torch_names):
    network = type("Network", (), {"__module__": "torch"})
    torch_names.Network = network
    path = write(tmp_path / "w.pth", network())
    with pytest.raises(ValueError, match=r"asks for `(copy_reg\._reconstructor|torch\.Network)`, which is not"):
        read_checkpoint(path)


def test_state_cannot_be_pushed_into_the_reader(tmp_path: Path, write, torch_names):
    path = write(tmp_path / "w.pth", {"a": _EvaluatesThroughBuild()})
    with pytest.raises(ValueError, match="cannot be read as weights"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("shape", "stride", "offset"),
    [((25,), (1,), 0), ((2,), (1,), 23), ((1000, 1000), (0, 0), 0), ((2,), (-1,), 5), ((2, 2), (1,), 0)],
)
def test_a_tensor_outside_its_storage_is_refused(
    tmp_path: Path, write, torch_names, shape: tuple, stride: tuple, offset: int
):
    block = {"block": np.arange(24, dtype=np.float32)}
    tensor = _Tensor(_Storage("block", block["block"], torch_names), shape, stride, offset=offset)
    path = write(tmp_path / "w.pth", {"t": tensor}, block)
    with pytest.raises(ValueError, match=r"tensor 't' (reaches beyond its storage|has an impossible layout)"):
        read_checkpoint(path)


def test_entries_that_are_not_tensors_are_named(tmp_path: Path, write, torch_names):
    path = write(tmp_path / "w.pth", {"a": 3})
    with pytest.raises(ValueError, match="its entry 'a' is a int, not a tensor"):
        read_checkpoint(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_an_error(tmp_path: Path, write, torch_names, share: float):
    path = write(tmp_path / "w.pth", _state(torch_names))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match="it may be damaged or incomplete, fetch it again"):
        read_checkpoint(path)
