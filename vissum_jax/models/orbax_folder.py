"""Weights as an Orbax folder: the tree of parameters, and what else is known as a JSON item beside it.

``FOLDER/params`` is the tree, layer by layer, and ``FOLDER/about`` holds ``{"class_names": [..]}``. A bare tree, as
`orbax.checkpoint.StandardCheckpointer` saves a classifier's `params`, is read too.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
import tensorstore
from etils import epath

_PARAMS, _ABOUT = "params", "about"
_TREE_FILE, _STORE_FILE = "_METADATA", "manifest.ocdbt"


def is_orbax_folder(path: Path) -> bool:
    """Whether a folder has the layout above."""
    return _tree_folder(path) is not None


def read_orbax(path: Path, *, most_bytes: int) -> tuple[dict[str, np.ndarray], Any]:
    """Read all arrays of a tree by their dotted paths, and the JSON item, or None where there is none.

    Raises:
        ValueError: If the folder is damaged, holds other leaves than arrays, or more than `most_bytes`.
    """
    path = path.absolute()
    folder = _tree_folder(path)
    if folder is None:
        raise ValueError("not an Orbax folder")
    _check_store(folder)
    handler, tree = ocp.PyTreeCheckpointHandler(), epath.Path(folder)
    expected = handler.metadata(tree).tree
    leaves, _ = jax.tree_util.tree_flatten_with_path(expected)
    if not all(isinstance(step, jax.tree_util.DictKey) for steps, _ in leaves for step in steps):
        raise ValueError("its tree has containers other than mappings from names")
    if sum(np.dtype(leaf.dtype).itemsize * math.prod(leaf.shape) for _, leaf in leaves) > most_bytes:
        raise ValueError(f"its arrays take more than {most_bytes} bytes")
    how = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), expected)
    restored = handler.restore(tree, args=ocp.args.PyTreeRestore(restore_args=how))
    arrays, _ = jax.tree_util.tree_flatten_with_path(restored)
    if not all(isinstance(array, np.ndarray) for _, array in arrays):
        raise ValueError("its tree has leaves other than arrays")
    about = path / _ABOUT
    item = (
        ocp.JsonCheckpointHandler().restore(epath.Path(about), args=ocp.args.JsonRestore()) if about.is_dir() else None
    )
    return {".".join(str(step.key) for step in steps): array for steps, array in arrays}, item


def write_orbax(path: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, Sequence[str]]) -> None:
    """Write arrays with dotted names as a tree, and a JSON item; the folder appears when it is complete.

    Raises:
        ValueError: If the folder exists.
    """
    tree: dict[str, Any] = {}
    for name, array in arrays.items():
        *steps, last = name.split(".")
        node = tree
        for step in steps:
            node = node.setdefault(step, {})
        node[last] = array
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
        checkpointer.save(
            path.absolute(),
            args=ocp.args.Composite(**{_PARAMS: ocp.args.StandardSave(tree), _ABOUT: ocp.args.JsonSave(dict(about))}),
        )


def _tree_folder(path: Path) -> Path | None:
    return next((folder for folder in (path / _PARAMS, path) if (folder / _TREE_FILE).is_file()), None)


def _check_store(folder: Path) -> None:
    """Read every value of the folder's key-value store once.

    Orbax reads all arrays at the same time, and where several reads fail prints a traceback for each but the first.
    """
    if not (folder / _STORE_FILE).is_file():
        raise ValueError(f"its {_STORE_FILE} is missing")
    base = {"driver": "file", "path": f"{folder}/"}
    store = tensorstore.KvStore.open({"driver": "ocdbt", "base": base}).result()
    for key in store.list().result():
        store.read(key).result()
