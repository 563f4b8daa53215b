"""Formats: what is written comes back, and what is damaged or hostile is refused in one line."""

import io
import itertools
import json
import os
import re
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import orbax.checkpoint as ocp
import pytest
from safetensors.numpy import save_file

from vissum_jax.models import ARCHITECTURES, checkpoint, init_classifier, load_classifier, save_weights
from vissum_jax.models.architecture import flat_params
from vissum_jax.models.checkpoint import hash_path, read_checkpoint, write_checkpoint
from vissum_jax.models.convert import convert_weights
from vissum_jax.types import Classifier

CLASSES = ("daisy", "tulip", "röd ros")
DESTINATIONS = ("w.npz", "w.safetensors", "w.orbax", "folder")
ARRAYS = {
    "stem.kernel": np.linspace(-2, 2, 24, dtype=np.float32).reshape(2, 3, 4),
    "blocks.0.bias": np.array([0.5, -1.25], np.float32),
    "scalar": np.array(3.0, np.float32),
}


@pytest.fixture(scope="module")
def flowernet() -> Classifier:
    return init_classifier("flowernet", class_names=CLASSES, key=jax.random.key(0))


def _raises(error: type[Exception], message: str):
    return pytest.raises(error, match=f"^{re.escape(message)}$")


def _refused(path: Path) -> str:
    with pytest.raises(ValueError, match="cannot be read as weights") as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"`weights`: {path} cannot be read as weights (")
    assert message.endswith("; it may be damaged or incomplete, fetch it again.")
    return message


@pytest.mark.parametrize("name", DESTINATIONS)
def test_arrays_and_class_names_come_back(tmp_path: Path, name: str):
    write_checkpoint(tmp_path / name, ARRAYS, class_names=CLASSES)
    found = read_checkpoint(tmp_path / name)
    assert found.class_names == CLASSES
    assert set(found.arrays) == set(ARRAYS)
    for key, array in ARRAYS.items():
        assert found.arrays[key].dtype == np.float32
        np.testing.assert_array_equal(found.arrays[key], array)
    assert found.sha256 == hash_path(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", DESTINATIONS)
def test_paths_may_be_relative(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write_checkpoint(Path(name), ARRAYS, class_names=CLASSES)
    assert read_checkpoint(Path(name)).class_names == CLASSES


@pytest.mark.parametrize(
    ("name", "dtype"),
    [pair for pair in itertools.product(DESTINATIONS, ("float16", "bfloat16")) if pair != ("w.npz", "bfloat16")],
)
def test_half_of_the_numbers_bits_come_back(tmp_path: Path, name: str, dtype: str):
    write_checkpoint(tmp_path / name, ARRAYS, class_names=(), dtype=dtype)
    for key, array in read_checkpoint(tmp_path / name).arrays.items():
        assert array.dtype.name == dtype
        np.testing.assert_array_equal(array, ARRAYS[key].astype(dtype))


@pytest.mark.parametrize(("first", "second"), list(itertools.product(DESTINATIONS, repeat=2)))
def test_every_format_converts_into_every_other(tmp_path: Path, flowernet: Classifier, first: str, second: str):
    source, destination = tmp_path / "a" / first, tmp_path / "b" / second
    source.parent.mkdir()
    destination.parent.mkdir()
    save_weights(flowernet, source)
    converted = convert_weights(source, destination)
    assert (converted.model, converted.classes) == ("flowernet", 3)
    assert converted.parameters == sum(leaf.size for leaf in jax.tree.leaves(flowernet.params))
    assert converted.sha256 == read_checkpoint(destination).sha256
    loaded = load_classifier("flowernet", weights=destination)
    assert loaded.spec.class_names == CLASSES
    jax.tree.map(np.testing.assert_array_equal, loaded.params, flowernet.params)


def test_public_checkpoints_are_converted_into_our_layout(tmp_path: Path):
    architecture = ARCHITECTURES["squeezenet1_1"]
    random = np.random.default_rng(0)
    classifier = init_classifier("squeezenet1_1", class_names=CLASSES, key=jax.random.key(0))
    assert architecture.key_map is not None
    arrays = {}
    for path, keys in architecture.key_map().items():
        layer = {name: leaf for name, leaf in _layer(classifier, path).items()}
        shapes = keys.shapes({name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for name, leaf in layer.items()})
        arrays |= {key: random.normal(size=shape).astype(np.float32) for key, shape in shapes.items()}
    save_file(arrays, tmp_path / "public.safetensors")
    converted = convert_weights(tmp_path / "public.safetensors", tmp_path / "own.npz", class_names=CLASSES)
    assert converted.model == "squeezenet1_1"
    public = load_classifier("squeezenet1_1", weights=tmp_path / "public.safetensors", class_names=CLASSES)
    own = load_classifier("squeezenet1_1", weights=tmp_path / "own.npz")
    assert own.spec.class_names == CLASSES
    jax.tree.map(np.testing.assert_array_equal, own.params, public.params)


def _layer(classifier: Classifier, path: str) -> dict:
    start = f"{path}."
    leaves = flat_params(classifier.params)
    return {name.removeprefix(start): leaf for name, leaf in leaves.items() if name.startswith(start)}


def test_weights_of_no_known_network_list_the_known_ones(tmp_path: Path):
    write_checkpoint(tmp_path / "w.npz", ARRAYS, class_names=())
    message = (
        f"{str(tmp_path / 'w.npz')!r} has the keys and shapes of no known network ({', '.join(ARCHITECTURES)}); name "
        "one with --model to see what differs."
    )
    with _raises(ValueError, message):
        convert_weights(tmp_path / "w.npz", tmp_path / "x.npz")


def test_weights_that_fit_several_networks_list_them(
    tmp_path: Path, flowernet: Classifier, monkeypatch: pytest.MonkeyPatch
):
    twin = type(ARCHITECTURES["flowernet"])(**{**vars(ARCHITECTURES["flowernet"]), "name": "twin"})
    monkeypatch.setitem(ARCHITECTURES, "twin", twin)
    save_weights(flowernet, tmp_path / "w.npz")
    with _raises(ValueError, f"{str(tmp_path / 'w.npz')!r} fits flowernet and twin; say which with --model."):
        convert_weights(tmp_path / "w.npz", tmp_path / "x.npz")
    assert convert_weights(tmp_path / "w.npz", tmp_path / "x.npz", model="twin").model == "twin"


def test_a_destination_must_be_free_and_of_a_known_kind(tmp_path: Path, flowernet: Classifier):
    source = tmp_path / "w.npz"
    save_weights(flowernet, source)
    with _raises(ValueError, f"{str(source)!r} exists; name another file, or remove it first."):
        convert_weights(source, source)
    message = (
        "'w.pth': weights are written as .npz, .safetensors, or an Orbax folder (.orbax or no ending), not as .pth."
    )
    with _raises(ValueError, message):
        convert_weights(source, Path("w.pth"))
    with _raises(FileNotFoundError, f"there is no folder {str(tmp_path / 'none')!r} to write to."):
        convert_weights(source, tmp_path / "none" / "w.npz")
    with _raises(ValueError, "`dtype` must be one of float32, float16, bfloat16, got 'int8'."):
        convert_weights(source, tmp_path / "x.npz", dtype="int8")
    with _raises(ValueError, "`dtype` bfloat16 is unknown to .npz; write .safetensors or an Orbax folder."):
        convert_weights(source, tmp_path / "x.npz", dtype="bfloat16")
    assert {path.name for path in tmp_path.iterdir()} == {"w.npz"}


def test_numbers_beyond_half_precision_are_not_turned_into_infinity(tmp_path: Path):
    arrays = {"stem.kernel": np.array([1.0, 1e5], np.float32)}
    message = "`dtype` float16 cannot hold stem.kernel, which reaches 1e+05; take bfloat16 or float32."
    with _raises(ValueError, message):
        write_checkpoint(tmp_path / "w.npz", arrays, class_names=(), dtype="float16")
    assert list(tmp_path.iterdir()) == []
    write_checkpoint(tmp_path / "w.safetensors", arrays, class_names=(), dtype="bfloat16")


@pytest.mark.parametrize("start", ["module.", "_orig_mod.", "_orig_mod.module."])
def test_what_wraps_a_network_in_training_is_taken_off(tmp_path: Path, flowernet: Classifier, start: str):
    arrays = jax.device_get(flat_params(flowernet.params))
    save_file({f"{start}{name}": array for name, array in arrays.items()}, tmp_path / "w.safetensors")
    assert set(read_checkpoint(tmp_path / "w.safetensors").arrays) == set(arrays)
    loaded = load_classifier("flowernet", weights=tmp_path / "w.safetensors", class_names=CLASSES)
    jax.tree.map(np.testing.assert_array_equal, loaded.params, flowernet.params)


def test_a_tree_that_orbax_saved_by_itself_is_read(tmp_path: Path, flowernet: Classifier):
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "tree", flowernet.params)
        checkpointer.wait_until_finished()
    loaded = load_classifier("flowernet", weights=tmp_path / "tree", class_names=CLASSES)
    jax.tree.map(np.testing.assert_array_equal, loaded.params, flowernet.params)


def test_bfloat16_from_outside_is_float32_in_memory(tmp_path: Path, flowernet: Classifier):
    arrays = {
        name: np.asarray(array).astype(ml_dtypes.bfloat16) for name, array in flat_params(flowernet.params).items()
    }
    save_file(arrays, tmp_path / "w.safetensors")
    loaded = load_classifier("flowernet", weights=tmp_path / "w.safetensors", class_names=CLASSES)
    for name, array in flat_params(loaded.params).items():
        assert array.dtype == jnp.float32
        np.testing.assert_array_equal(array, arrays[name].astype(np.float32))


@pytest.mark.parametrize("name", DESTINATIONS[1:])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_truncated_files_are_refused(tmp_path: Path, flowernet: Classifier, name: str, share: float, capfd):
    path = tmp_path / name
    save_weights(flowernet, path)
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.stat().st_size > 10_000]
    assert files
    for file in files:
        content = file.read_bytes()
        file.write_bytes(content[: int(share * len(content))])
    _refused(path)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("lost", ["params/_METADATA", "params/manifest.ocdbt", "params", "about/metadata"])
def test_an_orbax_folder_with_a_part_missing_is_refused(tmp_path: Path, flowernet: Classifier, lost: str, capfd):
    path = tmp_path / "w"
    save_weights(flowernet, path)
    (path / lost).rename(tmp_path / "lost")
    _refused(path)
    assert "Traceback" not in capfd.readouterr().err


def test_a_folder_of_something_else_is_refused(tmp_path: Path):
    (tmp_path / "photos").mkdir()
    assert "a folder, and not one of Orbax" in _refused(tmp_path / "photos")


def test_an_orbax_tree_of_something_else_is_refused(tmp_path: Path):
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "tree", {"layers": [np.ones(2)]})
        checkpointer.wait_until_finished()
    assert "its tree has containers other than mappings from names" in _refused(tmp_path / "tree")


@pytest.mark.parametrize("name", ["w.npz", "w.orbax"])
def test_files_that_unpack_to_too_much_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    write_checkpoint(tmp_path / name, {"zeros": np.zeros(100_000, np.float32)}, class_names=())
    monkeypatch.setattr(checkpoint, "MOST_BYTES", 200_000)
    assert "more than 200000 bytes" in _refused(tmp_path / name)


def test_an_array_that_claims_more_than_there_is_is_refused(tmp_path: Path):
    stream = io.BytesIO()
    np.save(stream, np.zeros(10, np.float32))
    claimed = stream.getvalue().replace(b"(10,), }    ", b"(999999,), }")
    assert claimed != stream.getvalue()
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.writestr("a.npy", claimed)
    assert "reading array data" in _refused(tmp_path / "w.npz")


@pytest.mark.parametrize("names", ['{"0": "a"}', '["a", 1]', "not json"])
def test_class_names_of_another_kind_are_refused(tmp_path: Path, names: str):
    save_file(ARRAYS, tmp_path / "w.safetensors", metadata={"class_names": names})
    _refused(tmp_path / "w.safetensors")


def test_names_that_would_move_the_cursor_are_refused(tmp_path: Path):
    save_file({"a\x1b[2Jb": np.zeros(1, np.float32)}, tmp_path / "w.safetensors")
    assert "the array name 'a\\x1b[2Jb' holds control characters" in _refused(tmp_path / "w.safetensors")


def test_a_pipe_is_no_file(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    with _raises(FileNotFoundError, f"`weights`: there is no file {tmp_path / 'pipe'}."):
        read_checkpoint(tmp_path / "pipe")


def test_a_folders_hash_is_that_of_names_and_contents(tmp_path: Path):
    hashes = set()
    for content in ({"a": b"1", "b/c": b"2"}, {"a": b"2", "b/c": b"1"}, {"a": b"1", "b/d": b"2"}, {"a": b"1"}):
        folder = tmp_path / str(len(hashes))
        for name, data in content.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        hashes.add(hash_path(folder))
    assert len(hashes) == 4


def test_metadata_of_safetensors_is_json(tmp_path: Path):
    write_checkpoint(tmp_path / "w.safetensors", ARRAYS, class_names=CLASSES)
    length = int.from_bytes((tmp_path / "w.safetensors").read_bytes()[:8], "little")
    header = json.loads((tmp_path / "w.safetensors").read_bytes()[8 : 8 + length])
    assert json.loads(header["__metadata__"]["class_names"]) == list(CLASSES)
