"""Weights as an Orbax folder: the tree of parameters, and what else is known as a JSON item beside it.

``FOLDER/params`` is the tree, layer by layer, and ``FOLDER/about`` holds ``{"class_names": [..]}``. A bare tree, as
`orbax.checkpoint.StandardCheckpointer` saves a classifier's `params`, is read too.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath

_PARAMS, _ABOUT, _TREE_FILE = "params", "about", "_METADATA"


def is_orbax_folder(path: Path) -> bool:
    """Whether a folder has the layout above."""
    return _tree_folder(path) is not None


def read_orbax(path: Path, *, most_bytes: int) -> tuple[dict[str, np.ndarray], Any]:
    """Read all arrays of a tree by their dotted paths, and the JSON item, or None where there is none.

    Raises:
        ValueError: If the folder is damaged, holds other leaves than arrays, or more than `most_bytes`.
    """
    folder = _tree_folder(path)
    if folder is None:
        raise ValueError("not an Orbax folder")
    handler, tree = ocp.PyTreeCheckpointHandler(), epath.Path(folder)
    leaves, _ = jax.tree_util.tree_flatten_with_path(handler.metadata(tree).tree)
    if sum(np.dtype(leaf.dtype).itemsize * int(np.prod(leaf.shape, dtype=object)) for _, leaf in leaves) > most_bytes:
        raise ValueError(f"its arrays take more than {most_bytes} bytes")
    # One at a time: where several reads fail together, Orbax prints a traceback for each but the first.
    named = [(_names(steps), leaf) for steps, leaf in leaves]
    arrays = {".".join(names): _read_leaf(handler, tree, names, leaf) for names, leaf in named}
    if not (path / _ABOUT).is_dir():
        return arrays, None
    return arrays, ocp.JsonCheckpointHandler().restore(epath.Path(path / _ABOUT), args=ocp.args.JsonRestore())


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


def _names(steps: Sequence[Any]) -> list[str]:
    """Names along the path to a leaf."""
    if not all(isinstance(step, jax.tree_util.DictKey) for step in steps):
        raise ValueError("its tree has containers other than mappings from names")
    return [str(step.key) for step in steps]


def _read_leaf(handler: ocp.PyTreeCheckpointHandler, folder: epath.Path, names: Sequence[str], leaf: Any) -> np.ndarray:
    item, how = leaf, ocp.RestoreArgs(restore_type=np.ndarray)
    for name in reversed(names):
        item, how = {name: item}, {name: how}
    tree = handler.restore(folder, args=ocp.args.PyTreeRestore(item=item, restore_args=how, partial_restore=True))
    (array,) = jax.tree.leaves(tree)
    if not isinstance(array, np.ndarray):
        raise ValueError(f"its entry {'.'.join(names)!r} is a {type(array).__name__}, not an array")
    return array
