"""Weight files: named arrays out of whatever format a file is in, and our own `.npz` in return."""

import hashlib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file as read_safetensors

from vissum_jax.models.torch_file import (
    LEGACY_START,
    ForbiddenPickleError,
    is_torch_archive,
    read_torch_archive,
    read_torch_legacy,
)

CLASS_NAMES_KEY = "class_names"
_ZIP_START = b"PK"
_SAFETENSORS_HEADER = 8  # bytes of the header's length; the header itself is a JSON object


@dataclass(frozen=True)
class Checkpoint:
    """What a weight file holds.

    Attributes:
        arrays: The weights by the file's own names.
        class_names: One name per logit where the file says so, else empty.
        sha256: Hash of the file.
    """

    arrays: Mapping[str, np.ndarray]
    class_names: tuple[str, ...]
    sha256: str


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a `.npz`, `.safetensors`, `.pth` or `.pt` file; its content, not its name, tells the format.

    Args:
        path: The weight file.

    Returns:
        The named arrays, class names where the file has them, and its hash.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, of an unknown format, holds something else than named arrays, or
            asks for code to be run.
    """
    if not path.is_file():
        raise FileNotFoundError(f"`weights`: there is no file {path}.")
    try:
        arrays = dict(_reader(path)(path))
    except ForbiddenPickleError as error:
        raise ValueError(
            f"`weights`: {path} asks for `{error}`, which is not a tensor; nothing of it was run. "
            "Save the network's `state_dict()` instead."
        ) from error
    except Exception as error:  # damaged pickles and archives raise almost anything
        raise ValueError(
            f"`weights`: {path} cannot be read as weights ({type(error).__name__}: {error}); it may be "
            "damaged or incomplete, fetch it again."
        ) from error
    names = arrays.pop(CLASS_NAMES_KEY, None)
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return Checkpoint(arrays, () if names is None else tuple(str(name) for name in names), sha256)


def write_checkpoint(
    path: Path, arrays: Mapping[str, np.ndarray], *, class_names: Sequence[str], dtype: str = "float32"
) -> None:
    """Write named arrays and class names as a compressed `.npz` that `read_checkpoint` reads.

    Args:
        path: Destination.
        arrays: The weights by name.
        class_names: One name per logit.
        dtype: Number type on disk; ``float16`` halves the file.
    """
    stored = {name: np.asarray(array).astype(dtype) for name, array in arrays.items()}
    with path.open("wb") as stream:  # an open file, because NumPy appends `.npz` to names that lack it
        np.savez_compressed(stream, allow_pickle=False, **stored, **{CLASS_NAMES_KEY: np.array(class_names)})


def _reader(path: Path) -> Callable[[Path], Mapping[str, np.ndarray]]:
    """The function that reads this file's format."""
    with path.open("rb") as stream:
        start = stream.read(max(len(LEGACY_START), _SAFETENSORS_HEADER + 1))
    if start.startswith(_ZIP_START):
        return read_torch_archive if is_torch_archive(path) else _read_npz
    if start.startswith(LEGACY_START):
        return read_torch_legacy
    if start[_SAFETENSORS_HEADER:].startswith(b"{"):
        return read_safetensors
    raise ValueError("not a .npz, .safetensors, .pth or .pt file")


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        strangers = [name for name in archive.namelist() if not name.endswith(".npy")]
    if strangers:
        raise ValueError(f"the archive holds {strangers[0]}, which is not an array")
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
