"""The restricted unpickler: reads both layouts of PyTorch files and runs nothing that they contain."""

import io
import pickle
import struct
import sys
import types
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from torch_files import TENSORS, Pickler, Storage, Tensor, pretend_torch, state, write_zip

from vissum_jax.models.checkpoint import read_checkpoint
from vissum_jax.models.torch_file import LEGACY_MAGIC, LEGACY_START


@pytest.fixture
def torch_names(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    return pretend_torch(monkeypatch)


class _LegacyPickler(Pickler):
    legacy = True


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


WRITERS = {"zip": write_zip, "legacy": _write_legacy}


@pytest.fixture(params=WRITERS.values(), ids=WRITERS.keys())
def write(request: pytest.FixtureRequest):
    return request.param


def _assert_equal(arrays, tensors=TENSORS):
    assert list(arrays) == list(tensors)
    for name, array in tensors.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


def test_tensors_come_out_as_they_went_in(tmp_path: Path, write, torch_names):
    path = write(tmp_path / "w.pth", state(torch_names))
    _assert_equal(read_checkpoint(path).arrays)


@pytest.mark.parametrize("wrapper", ["state_dict", "model"])
def test_weights_beside_the_state_of_a_training_are_found(tmp_path: Path, write, torch_names, wrapper: str):
    path = write(tmp_path / "w.pth", {"epoch": 3, wrapper: state(torch_names)})
    _assert_equal(read_checkpoint(path).arrays)


def test_strides_and_offsets_are_followed(tmp_path: Path, write, torch_names):
    block = {"block": np.arange(20, dtype=np.float32)}
    transposed = Tensor(Storage("block", block["block"], torch_names), (4, 3), (1, 4), offset=5)
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
    tensor = Tensor(Storage("block", block["block"], torch_names), shape, stride, offset=offset)
    path = write(tmp_path / "w.pth", {"t": tensor}, block)
    with pytest.raises(ValueError, match=r"tensor 't' (reaches beyond its storage|has an impossible layout)"):
        read_checkpoint(path)


def test_entries_that_are_not_tensors_are_named(tmp_path: Path, write, torch_names):
    path = write(tmp_path / "w.pth", {"a": 3})
    with pytest.raises(ValueError, match="its entry 'a' is a int, not a tensor"):
        read_checkpoint(path)


HUGE = 2**62


@pytest.mark.parametrize(
    "layout",
    [
        {"shape": (2.0,), "stride": (1,)},
        {"shape": (True,), "stride": (1,)},
        {"shape": ("2",), "stride": (1,)},
        {"shape": (HUGE, 0), "stride": (1, 1)},
        {"shape": (2,), "stride": (HUGE,)},
        {"shape": (2,), "stride": (1,), "offset": -1},
        {"shape": (1,) * 65, "stride": (1,) * 65},
        {"shape": [2], "stride": [1]},
    ],
)
def test_layouts_that_no_tensor_has_are_refused(tmp_path: Path, write, torch_names, layout: dict):
    block = {"block": np.arange(24, dtype=np.float32)}
    path = write(tmp_path / "w.pth", {"t": Tensor(Storage("block", block["block"], torch_names), **layout)}, block)
    with pytest.raises(ValueError, match=r"an impossible layout|puts a tensor together from something else"):
        read_checkpoint(path)


def test_views_of_one_storage_share_its_memory(tmp_path: Path, write, torch_names):
    block = {"block": np.arange(1000, dtype=np.float32)}
    storage = Storage("block", block["block"], torch_names)
    path = write(tmp_path / "w.pth", {f"t{n}": Tensor(storage, (10, 10), (10, 1), offset=n) for n in range(900)}, block)
    arrays = read_checkpoint(path).arrays
    assert all(np.shares_memory(arrays["t0"], arrays[f"t{n}"]) for n in (1, 50))
    np.testing.assert_array_equal(arrays["t899"], np.arange(899, 999).reshape(10, 10))
    with pytest.raises(ValueError, match="read-only"):
        arrays["t0"][0, 0] = 1


class _Identity:
    """Something that is pickled as a persistent id of the test's choice."""

    def __init__(self, identity: object):
        self.identity = identity


class _AnyIdentityPickler(Pickler):
    def persistent_id(self, obj: object):
        return obj.identity if isinstance(obj, _Identity) else super().persistent_id(obj)


def _nested(depth: int) -> tuple:
    """A tuple that takes 2 ** depth steps to print, and depth to store."""
    value: tuple = ()
    for _ in range(depth):
        value = (value, value)
    return value


@pytest.mark.parametrize(
    "identity",
    [
        "storage",
        3,
        [],
        ("storage",),
        ("module", "FloatStorage", "0", "cpu", 24),
        ("storage", "UntypedStorage", "0", "cpu", 24),
        ("storage", ["FloatStorage"], "0", "cpu", 24),
        ("storage", "FloatStorage", 0, "cpu", 24),
        ("storage", "FloatStorage", "0", "cpu", "24"),
        ("storage", "FloatStorage", "0", "cpu", 24.0),
        ("storage", "FloatStorage", _nested(60), "cpu", 24),
        _nested(60),
    ],
)
def test_persistent_ids_of_other_kinds_are_refused(tmp_path: Path, torch_names, identity: object):
    stream = io.BytesIO()
    _AnyIdentityPickler(stream, protocol=2).dump({"a": _Identity(identity)})
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.writestr("archive/data.pkl", stream.getvalue())
    with pytest.raises(ValueError, match="its storages are not those of a tensor") as caught:
        read_checkpoint(tmp_path / "w.pth")
    assert len(str(caught.value)) < 500


def test_a_storage_that_is_not_in_the_archive_is_named(tmp_path: Path, torch_names):
    path = write_zip(tmp_path / "w.pth", state(torch_names), {})
    with pytest.raises(ValueError, match=r"its storage 'conv\.weight' is missing"):
        read_checkpoint(path)


@pytest.mark.parametrize("count", [0, 23, 25, 10**15, -1])
def test_storages_of_another_size_are_refused(tmp_path: Path, write, torch_names, count: int):
    storage = Storage("block", np.zeros(24, np.float32), torch_names)
    storage.identity = (*storage.identity[:4], count)
    path = write(tmp_path / "w.pth", {"t": Tensor(storage, (2,), (1,))}, {"block": np.zeros(24, np.float32)})
    with pytest.raises(ValueError, match=f"storage 'block' holds 24 numbers instead of {count}"):
        read_checkpoint(path)


def test_a_storage_that_claims_more_than_the_file_holds_is_refused(tmp_path: Path, torch_names):
    path = _write_legacy(tmp_path / "w.pth", state(torch_names))
    content = path.read_bytes()
    size = struct.pack("<q", TENSORS["conv.weight"].size)
    assert content.count(size + TENSORS["conv.weight"].tobytes()) == 1
    for claimed in (2**40, 2**63 - 1, -1):
        path.write_bytes(content.replace(size + TENSORS["conv.weight"].tobytes(), struct.pack("<q", claimed)))
        with pytest.raises(ValueError, match="the file ends too early"):
            read_checkpoint(path)


def test_one_storage_under_two_number_types_is_refused(tmp_path: Path, write, torch_names):
    block = np.zeros(24, np.float32)
    other = Storage("block", block, torch_names)
    other.identity = ("storage", torch_names.LongStorage, "block", "cpu", 12)
    tensors = {"a": Tensor(Storage("block", block, torch_names), (2,), (1,)), "b": Tensor(other, (2,), (1,))}
    path = write(tmp_path / "w.pth", tensors, {"block": block})
    with pytest.raises(ValueError, match=r"holds \d+ numbers instead of \d+|ends too early"):
        read_checkpoint(path)


@pytest.mark.parametrize("number", [2**28, 2**32 - 1])
def test_a_short_pickle_does_not_get_much_memory(tmp_path: Path, number: int):
    bomb = b"\x80\x02}r" + number.to_bytes(4, "little") + b"."
    with zipfile.ZipFile(tmp_path / "zip.pth", "w") as archive:
        archive.writestr("archive/data.pkl", bomb)
    (tmp_path / "legacy.pth").write_bytes(LEGACY_START + bomb)
    (tmp_path / "text.pth").write_bytes(LEGACY_START + b"(dp%d\n." % number)
    for name in ("zip.pth", "legacy.pth", "text.pth"):
        with pytest.raises(ValueError, match="it asks for more memory than it can need"):
            read_checkpoint(tmp_path / name)


def test_compressed_parts_are_refused(tmp_path: Path, torch_names):
    plain = write_zip(tmp_path / "plain.pth", state(torch_names))
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in source.namelist():
            archive.writestr(name, source.read(name))
        archive.writestr("archive/data/zeros", bytes(10_000_000))
    assert path.stat().st_size < 100_000
    with pytest.raises(ValueError, match="parts of it are compressed, which"):
        read_checkpoint(path)


def test_parts_that_overlap_are_refused(tmp_path: Path, torch_names):
    path = tmp_path / "w.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        archive.writestr("archive/data/0", bytes(10_000))
        for number in range(1, 100):  # entries of the directory that point at one and the same part
            twin = zipfile.ZipInfo(f"archive/data/{number}")
            twin.CRC, twin.file_size, twin.compress_size = 0, 10_000, 10_000
            twin.header_offset = archive.getinfo("archive/data/0").header_offset
            archive.filelist.append(twin)
    with pytest.raises(ValueError, match="its parts overlap"):
        read_checkpoint(path)


@pytest.mark.parametrize("name", [1, ("a",), None, b"a"])
def test_entries_are_named_by_text(tmp_path: Path, write, torch_names, name: object):
    path = write(tmp_path / "w.pth", {name: Tensor(Storage("block", np.zeros(2), torch_names), (2,), (1,))}, {})
    with pytest.raises(ValueError, match=r"it names an entry by a (int|tuple|NoneType)|_codecs.encode"):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [[], (1, 2), "text", 3, {"state_dict": [1]}])
def test_what_holds_no_named_tensors_is_refused(tmp_path: Path, write, torch_names, content: object):
    path = write(tmp_path / "w.pth", content, {})
    with pytest.raises(ValueError, match=r"not a mapping from names to tensors|is a list, not a tensor"):
        read_checkpoint(path)


def test_a_tensor_of_something_else_is_refused(tmp_path: Path, write, torch_names):
    tensor = Tensor(Storage("block", np.zeros(2, np.float32), torch_names), (2,), (1,))
    tensor.arguments = ("not a storage", *tensor.arguments[1:])
    path = write(tmp_path / "w.pth", {"t": tensor}, {"block": np.zeros(2, np.float32)})
    with pytest.raises(ValueError, match="it puts a tensor together from something else"):
        read_checkpoint(path)


def test_bfloat16_is_read(tmp_path: Path, write, torch_names):
    block = {"block": np.array([1.0, -2.5, 3.0], ml_dtypes.bfloat16)}
    path = write(tmp_path / "w.pth", {"t": Tensor(Storage("block", block["block"], torch_names), (3,), (1,))}, block)
    found = read_checkpoint(path).arrays["t"]
    assert found.dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(found, block["block"])


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_an_error(tmp_path: Path, write, torch_names, share: float):
    path = write(tmp_path / "w.pth", state(torch_names))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match="it may be damaged or incomplete, fetch it again"):
        read_checkpoint(path)
