"""Networks by name."""

import difflib
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp

from vissum_jax.models.architecture import (
    Activation,
    Architecture,
    Network,
    flat_params,
    initial_params,
    make_network,
    native_key_map,
    nested_params,
)
from vissum_jax.models.catalogue import ARCHITECTURES
from vissum_jax.models.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from vissum_jax.models.imagenet import imagenet_classes
from vissum_jax.models.keys import KeyMap, convert_arrays
from vissum_jax.types import Classifier, ClassifierSpec


def load_classifier(
    name: str,
    *,
    weights: str | Path | None = None,
    class_names: Sequence[str] | None = None,
    activation: Activation | None = None,
) -> Classifier:
    """Load a network with its weights.

    Two classifiers of one network share their `apply`, and with it every compiled program.

    Args:
        name: A registry name, e.g. ``googlenet-bvlc``, or ``package.module:function`` for a function of yours
            that takes nothing and returns a `Classifier`.
        weights: Weight file (.npz, .safetensors, .pth or .pt); None takes those that come with a package, if
            any do.
        class_names: One name per logit; None takes the file's own, or ImageNet's for 1000 logits.
        activation: Takes the place of the network's own activation function, e.g. for guided backpropagation.

    Returns:
        The classifier.

    Raises:
        FileNotFoundError: If the weights are not there.
        ValueError: If the name is unknown, or the weights are damaged or those of another network.
    """
    if ":" in name:
        if (weights, class_names, activation) != (None, None, None):
            raise ValueError(f"`weights`, `class_names` and `activation` are up to the function {name}.")
        return _call_factory(name)
    architecture = _architecture(name)
    path = _weights_path(architecture, weights)
    checkpoint = read_checkpoint(path)
    num_classes = _count_classes(architecture, checkpoint)
    network = make_network(architecture, num_classes=num_classes, activation=activation)
    try:
        layers = convert_arrays(
            checkpoint.arrays,
            layers=network.layers,
            key_map=_key_map(architecture, checkpoint, network),
            ignore=architecture.ignore,
        )
    except ValueError as error:
        raise ValueError(
            f"`weights`: {path} does not fit {name!r}: {error}. {_remedy(architecture, checkpoint)}"
        ) from None
    names, wordnet_ids = _class_names(num_classes, class_names, checkpoint, path)
    return Classifier(
        params=jax.tree.map(jnp.asarray, nested_params(layers)),
        apply=network.apply,
        spec=_spec(architecture, names, wordnet_ids, sha256=checkpoint.sha256),
    )


def init_classifier(name: str, *, class_names: Sequence[str], key: jax.Array) -> Classifier:
    """A network with random parameters, to be trained.

    Args:
        name: A registry name.
        class_names: One name per logit.
        key: Random key of the parameters.

    Returns:
        The classifier; train its `params`, then `save_weights`.

    Raises:
        ValueError: If the name is unknown.
    """
    architecture = _architecture(name)
    return Classifier(
        params=initial_params(architecture, num_classes=len(class_names), key=key),
        apply=make_network(architecture, num_classes=len(class_names), activation=None).apply,
        spec=_spec(architecture, tuple(class_names), (), sha256=""),
    )


def save_weights(classifier: Classifier, path: str | Path, *, dtype: str = "float32") -> None:
    """Write a classifier's parameters and class names as a `.npz` that `load_classifier` reads.

    Args:
        classifier: A network of the registry.
        path: Destination.
        dtype: Number type on disk; ``float16`` halves the file.
    """
    params = jax.device_get(flat_params(classifier.params))
    write_checkpoint(Path(path), params, class_names=classifier.spec.class_names, dtype=dtype)


def _architecture(name: str) -> Architecture:
    if name not in ARCHITECTURES:
        nearest = difflib.get_close_matches(name, ARCHITECTURES, n=1, cutoff=0)
        raise ValueError(
            f"`model` {name!r} is unknown; did you mean {nearest[0]!r}? Known: {', '.join(ARCHITECTURES)}, "
            "or package.module:function."
        )
    return ARCHITECTURES[name]


def _weights_path(architecture: Architecture, weights: str | Path | None) -> Path:
    if weights is not None:
        return Path(weights).expanduser()
    path = architecture.default_weights() if architecture.default_weights else None
    if path is None:
        raise FileNotFoundError(
            f"`weights` of {architecture.name!r} are not installed; name a file. They come from {architecture.source}."
        )
    return path


def _key_map(architecture: Architecture, checkpoint: Checkpoint, network: Network) -> KeyMap:
    """Our own keys if the file has any of them, else those of public checkpoints."""
    native = native_key_map(network.layers)
    if architecture.key_map is None or any(keys.bias in checkpoint.arrays for keys in native.values()):
        return native
    return architecture.key_map()


def _count_classes(architecture: Architecture, checkpoint: Checkpoint) -> int:
    """Length of the head's bias; where the file has none, anything will do, the key check will say so."""
    candidates = [f"{architecture.head}.bias"]
    if architecture.key_map is not None:
        candidates.append(architecture.key_map()[architecture.head].bias)
    for key in candidates:
        if key in checkpoint.arrays and checkpoint.arrays[key].ndim == 1:
            return checkpoint.arrays[key].size
    return len(imagenet_classes().names)


def _remedy(architecture: Architecture, checkpoint: Checkpoint) -> str:
    """Names the network that does have the file's keys, if one does."""
    for other in ARCHITECTURES.values():
        if other is architecture or other.key_map is None:
            continue
        if all(keys.bias in checkpoint.arrays for keys in other.key_map().values()):
            return f"They look like those of {other.name!r}."
    return f"Wanted: {architecture.source}."


def _class_names(
    num_classes: int, given: Sequence[str] | None, checkpoint: Checkpoint, path: Path
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names and, for ImageNet's classes, WordNet ids."""
    imagenet = imagenet_classes()
    names = tuple(given) if given is not None else checkpoint.class_names
    if not names and num_classes == len(imagenet.names):
        return imagenet.names, imagenet.wordnet_ids
    if len(names) != num_classes:
        raise ValueError(f"`class_names` must hold {num_classes} names, one per class of {path}, got {len(names)}.")
    return names, imagenet.wordnet_ids if names == imagenet.names else ()


def _spec(
    architecture: Architecture, names: tuple[str, ...], wordnet_ids: tuple[str, ...], *, sha256: str
) -> ClassifierSpec:
    return ClassifierSpec(
        name=architecture.name,
        input_height=architecture.input_size,
        input_width=architecture.input_size,
        resize_short_side=architecture.resize_short_side,
        interpolation=architecture.interpolation,
        class_names=names,
        wordnet_ids=wordnet_ids,
        known_top1=architecture.known_top1 if wordnet_ids else None,
        feature_endpoint=architecture.feature_endpoint,
        weights_sha256=sha256,
    )


def _call_factory(name: str) -> Classifier:
    """Call the user's function ``package.module:function``."""
    module_name, _, function_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"`model` {name!r}: no module {error.name!r} on the Python path; add its folder to PYTHONPATH."
        ) from error
    factory: Callable[[], Classifier] | None = getattr(module, function_name, None)
    if not callable(factory):
        raise ValueError(f"`model` {name!r}: module {module_name!r} has no function {function_name!r}.")
    classifier = factory()
    if not isinstance(classifier, Classifier):
        raise ValueError(f"`model` {name!r} must return a vissum_jax.Classifier, got {type(classifier).__name__}.")
    return classifier
