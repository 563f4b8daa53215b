"""Weight files: named arrays and class names, out of whatever format a file is in, and into our own."""

import hashlib
import json
import os
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from vissum_jax.models.torch_file import (
    LEGACY_START,
    ForbiddenPickleError,
    is_torch_archive,
    read_torch_archive,
    read_torch_legacy,
)

CLASS_NAMES_KEY = "class_names"
DTYPES: dict[str, np.dtype] = {
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}
"""Number types that weights can be written in."""

MOST_BYTES = 2**33
"""What compressed or sparse files may unpack to: a billion parameters twice over."""

# What wraps a network for training puts its own name before every parameter's.
_WRAPPING = ("module.", "_orig_mod.")
_ZIP_START = b"PK"
_SAFETENSORS_HEADER = 8  # bytes of the header's length; the header itself is a JSON object


@dataclass(frozen=True)
class Checkpoint:
    """What a weight file holds.

    Attributes:
        arrays: The weights by the file's own names.
        class_names: One name per logit where the file says so, else empty.
        sha256: Hash of the file; of a folder, of the names and hashes of its files.
    """

    arrays: Mapping[str, np.ndarray]
    class_names: tuple[str, ...]
    sha256: str


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a `.npz`, `.safetensors`, `.pth` or `.pt` file or an Orbax folder; its content tells the format.

    Args:
        path: The weight file or folder.

    Returns:
        The named arrays, class names where the file has them, and its hash.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, of an unknown format, holds something else than named arrays, or
            asks for code to be run.
    """
    if not (path.is_file() or path.is_dir()):
        raise FileNotFoundError(f"`weights`: there is no file {path}.")
    try:
        arrays, names = _read(path)
        _check_names(arrays, names)
    except ForbiddenPickleError as error:
        raise ValueError(
            f"`weights`: {path} asks for `{error}`, which is not a tensor; nothing of it was run. "
            "Save the network's `state_dict()` instead."
        ) from error
    except Exception as error:  # damaged pickles and archives raise almost anything
        message = " ".join(str(error).split()) or "no reason given"
        raise ValueError(
            f"`weights`: {path} cannot be read as weights ({type(error).__name__}: {message}); it may be "
            "damaged or incomplete, fetch it again."
        ) from error
    return Checkpoint(_unwrapped(arrays), tuple(names), hash_path(path))


def write_checkpoint(
    path: Path, arrays: Mapping[str, np.ndarray], *, class_names: Sequence[str], dtype: str = "float32"
) -> None:
    """Write named arrays and class names in the format that the destination's name asks for.

    ``.npz`` and ``.safetensors`` are files; a name without an ending, or ``.orbax``, is an Orbax folder, which
    must not exist. Nothing half-written ever has the destination's name.

    Args:
        path: Destination.
        arrays: The weights by name; dots in the names become levels of an Orbax tree.
        class_names: One name per logit.
        dtype: Number type on disk: ``float32``, or one of the two half as large, ``float16`` and ``bfloat16``.

    Raises:
        ValueError: If the ending or the number type is unknown, or the number type cannot hold the weights.
    """
    check_destination(path, dtype)
    stored = {name: _as_dtype(name, array, dtype) for name, array in arrays.items()}
    if path.suffix not in (".npz", ".safetensors"):
        from vissum_jax.models.orbax_folder import write_orbax  # half a second to import

        write_orbax(path, stored, {CLASS_NAMES_KEY: list(class_names)})
        return
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        if path.suffix == ".npz":
            with partial.open("wb") as stream:  # an open file, because NumPy appends `.npz` to names that lack it
                np.savez_compressed(stream, allow_pickle=False, **stored, **{CLASS_NAMES_KEY: np.array(class_names)})
        else:
            save_file(stored, partial, metadata={CLASS_NAMES_KEY: json.dumps(list(class_names))})
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def check_destination(path: Path, dtype: str) -> None:
    """Check before any work that weights can be written there, in that number type.

    Raises:
        ValueError: If they cannot.
    """
    if path.suffix not in (".npz", ".safetensors", ".orbax", ""):
        raise ValueError(
            f"{str(path)!r}: weights are written as .npz, .safetensors, or an Orbax folder (.orbax or no ending), "
            f"not as {path.suffix}."
        )
    if dtype not in DTYPES:
        raise ValueError(f"`dtype` must be one of {', '.join(DTYPES)}, got {dtype!r}.")
    if dtype == "bfloat16" and path.suffix == ".npz":
        raise ValueError("`dtype` bfloat16 is unknown to .npz; write .safetensors or an Orbax folder.")


def hash_path(path: Path) -> str:
    """SHA-256 of a file, or of the relative names and hashes of a folder's files."""
    if path.is_dir():
        files = sorted((file.relative_to(path).as_posix(), file) for file in path.rglob("*") if file.is_file())
        lines = "".join(f"{hash_path(file)}  {name}\n" for name, file in files)
        return hashlib.sha256(lines.encode()).hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _as_dtype(name: str, array: np.ndarray, dtype: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        stored = np.ascontiguousarray(array, DTYPES[dtype]).reshape(np.shape(array))
    if np.isfinite(array).all() and not np.isfinite(stored.astype(np.float32)).all():
        raise ValueError(
            f"`dtype` {dtype} cannot hold {name}, which reaches {np.abs(array).max():.3g}; take bfloat16 or float32."
        )
    return stored


def _read(path: Path) -> tuple[dict[str, np.ndarray], Sequence[str]]:
    """Arrays and class names by the reader of this file's format."""
    if path.is_dir():
        from vissum_jax.models.orbax_folder import is_orbax_folder, read_orbax  # half a second to import

        if not is_orbax_folder(path):
            raise ValueError("a folder, and not one of Orbax")
        arrays, about = read_orbax(path, most_bytes=MOST_BYTES)
        return arrays, [] if about is None else about[CLASS_NAMES_KEY]
    with path.open("rb") as stream:
        start = stream.read(max(len(LEGACY_START), _SAFETENSORS_HEADER + 1))
    if start.startswith(_ZIP_START):
        return (read_torch_archive(path), []) if is_torch_archive(path) else _read_npz(path)
    if start.startswith(LEGACY_START):
        return read_torch_legacy(path), []
    if start[_SAFETENSORS_HEADER:].startswith(b"{"):
        return _read_safetensors(path)
    raise ValueError("not a .npz, .safetensors, .pth or .pt file")


def _read_npz(path: Path) -> tuple[dict[str, np.ndarray], Sequence[str]]:
    with zipfile.ZipFile(path) as archive:
        strangers = [name for name in archive.namelist() if not name.endswith(".npy")]
        if strangers:
            raise ValueError(f"the archive holds {strangers[0]!r}, which is not an array")
        if sum(member.file_size for member in archive.infolist()) > MOST_BYTES:
            raise ValueError(f"it unpacks to more than {MOST_BYTES} bytes")
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    names = arrays.pop(CLASS_NAMES_KEY, None)
    return arrays, [] if names is None else names.tolist()


def _read_safetensors(path: Path) -> tuple[dict[str, np.ndarray], Sequence[str]]:
    with safe_open(path, framework="np") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it cannot be iterated
        metadata = file.metadata() or {}
    return arrays, json.loads(metadata[CLASS_NAMES_KEY]) if CLASS_NAMES_KEY in metadata else []


def _check_names(arrays: Mapping[str, np.ndarray], class_names: Any) -> None:
    """Names come from outside and end up in messages and on pages."""
    if strange := [name for name in arrays if not name.isprintable()]:
        raise ValueError(f"the array name {strange[0]!r} holds control characters")
    if not isinstance(class_names, list) or not all(isinstance(name, str) for name in class_names):
        raise ValueError("its class names are not a list of texts")


def _unwrapped(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Without what `DataParallel` and `torch.compile` put before every name."""
    for start in _WRAPPING:
        if arrays and all(name.startswith(start) for name in arrays):
            return _unwrapped({name.removeprefix(start): array for name, array in arrays.items()})
    return arrays
