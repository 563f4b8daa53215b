"""From any weight file that can be read to one in this package's own layout."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax

from vissum_jax.models.catalogue import ARCHITECTURES
from vissum_jax.models.checkpoint import check_destination, hash_path, read_checkpoint
from vissum_jax.models.fitting import fitting
from vissum_jax.models.registry import load_classifier, save_weights


@dataclass(frozen=True, kw_only=True)
class Converted:
    """What was converted.

    Attributes:
        model: The network.
        parameters: How many numbers the file holds.
        classes: How many logits the network has.
        sha256: Hash of the new file or folder.
    """

    model: str
    parameters: int
    classes: int
    sha256: str


def convert_weights(
    source: Path,
    destination: Path,
    *,
    model: str | None = None,
    class_names: Sequence[str] | None = None,
    dtype: str = "float32",
) -> Converted:
    """Write a network's weights in this package's own layout.

    Args:
        source: Weight file or Orbax folder.
        destination: ``.npz``, ``.safetensors``, or an Orbax folder (``.orbax`` or no ending); must not exist.
        model: The network; None finds it by the file's keys and shapes.
        class_names: One name per logit; None takes the file's own, or ImageNet's for 1000 logits.
        dtype: Number type on disk.

    Returns:
        What was converted.

    Raises:
        FileNotFoundError: If there is no such file, or no folder for the new one.
        ValueError: If the file cannot be read, fits no network or several, or the destination is none.
    """
    check_destination(destination, dtype)
    if destination.exists():
        raise ValueError(f"{str(destination)!r} exists; name another file, or remove it first.")
    if not destination.absolute().parent.is_dir():
        raise FileNotFoundError(f"there is no folder {str(destination.absolute().parent)!r} to write to.")
    classifier = load_classifier(model or _model_of(source), weights=source, class_names=class_names)
    save_weights(classifier, destination, dtype=dtype)
    return Converted(
        model=classifier.spec.name,
        parameters=sum(leaf.size for leaf in jax.tree.leaves(classifier.params)),
        classes=len(classifier.spec.class_names),
        sha256=hash_path(destination),
    )


def _model_of(source: Path) -> str:
    candidates = fitting(read_checkpoint(source), ARCHITECTURES.values())
    if not candidates:
        raise ValueError(
            f"{str(source)!r} has the keys and shapes of no known network ({', '.join(ARCHITECTURES)}); name one with "
            "--model to see what differs."
        )
    if len(candidates) > 1:
        raise ValueError(f"{str(source)!r} fits {' and '.join(candidates)}; say which with --model.")
    return candidates[0]
