"""Networks by name."""

import dataclasses
import difflib
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp

from vissum_jax.models.architecture import (
    Activation,
    Architecture,
    flat_params,
    initial_params,
    make_network,
    nested_params,
)
from vissum_jax.models.catalogue import ARCHITECTURES
from vissum_jax.models.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from vissum_jax.models.fitting import count_classes, fitting, key_map_for
from vissum_jax.models.imagenet import imagenet_classes
from vissum_jax.models.keys import convert_arrays
from vissum_jax.models.layers import Convolution
from vissum_jax.models.specialized import PREFIX, read_specialization, specialize
from vissum_jax.models.transfer import TransferProgress
from vissum_jax.models.user_network import load_user_network
from vissum_jax.models.weights import have_weights
from vissum_jax.types import Classifier, ClassifierSpec

PRECISIONS = ("float32", "bfloat16")


def load_classifier(
    name: str,
    *,
    weights: str | Path | None = None,
    class_names: Sequence[str] | None = None,
    activation: Activation | None = None,
    convolution: Convolution | None = None,
    precision: str = "float32",
) -> Classifier:
    """Load a network with its weights.

    Two classifiers of one network share their `apply`, and with it every compiled program.

    Args:
        name: A registry name, e.g. ``googlenet-bvlc``, or ``package.module:function`` for a function of yours
            that takes nothing and returns a `Classifier`, or ``specialized:PATH`` for a file that
            `vissum evaluate specialize` wrote; the other arguments are then those of the network inside.
        weights: Weight file (.npz, .safetensors, .pth or .pt) or Orbax folder; None takes those that come with an
            installed package, or the official ones, which are downloaded once (see `fetch_weights`).
        class_names: One name per logit; None takes the file's own, or ImageNet's for 1000 logits.
        activation: Takes the place of the network's own activation function, e.g. for guided backpropagation.
        convolution: Takes the place of `vissum_jax.ops.conv.conv2d`, e.g. `destrided_conv2d` for explanations free of
            stride artefacts.
        precision: Number type of weights and activations, ``float32`` or ``bfloat16`` (faster on GPU and TPU, slower
            on most CPUs). Logits and endpoints come out in float32.

    Returns:
        The classifier.

    Raises:
        FileNotFoundError: If the weights are not there.
        ValueError: If the name is unknown, or the weights are damaged or those of another network.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"`precision` must be {' or '.join(PRECISIONS)}, got {precision!r}.")
    if name.startswith(PREFIX):
        parts, sha256 = read_specialization(Path(name.removeprefix(PREFIX)).expanduser())
        if parts.model.startswith(PREFIX):
            raise ValueError(f"`model` {name!r} was made for {parts.model!r}; only networks can be specialised.")
        base = load_classifier(
            parts.model,
            weights=weights,
            class_names=class_names,
            activation=activation,
            convolution=convolution,
            precision=precision,
        )
        return specialize(base, parts, sha256=sha256)
    if ":" in name:
        if (weights, class_names, activation, convolution, precision) != (None, None, None, None, "float32"):
            raise ValueError(
                f"`weights`, `class_names`, `activation`, `convolution` and `precision` are up to the function {name}."
            )
        return load_user_network(name)
    architecture = find_architecture(name)
    path = have_weights(architecture) if weights is None else Path(weights).expanduser()
    checkpoint = read_checkpoint(path)
    num_classes = count_classes(checkpoint, architecture)
    network = make_network(architecture, num_classes=num_classes, activation=activation, convolution=convolution)
    try:
        layers = convert_arrays(
            checkpoint.arrays,
            layers=network.layers,
            key_map=key_map_for(checkpoint, architecture, network),
            ignore=architecture.ignore,
        )
    except ValueError as error:
        raise ValueError(
            f"`weights`: {path} does not fit {name!r}: {error}. {_remedy(architecture, checkpoint)}"
        ) from error
    names, wordnet_ids = _class_names(num_classes, class_names, checkpoint, path)
    return Classifier(
        params=jax.tree.map(lambda array: jnp.asarray(array, precision), nested_params(layers)),
        apply=network.apply,
        spec=_spec(architecture, names, wordnet_ids, sha256=checkpoint.sha256),
    )


def rebuild(
    classifier: Classifier,
    *,
    activation: Callable[[Activation], Activation],
    convolution: Convolution | None = None,
) -> Classifier:
    """A network with the same parameters, built with other functions.

    Args:
        classifier: A network that `load_classifier` loaded by a name of the registry.
        activation: From the network's own activation to the one that takes its place.
        convolution: Takes the place of `vissum_jax.ops.conv.conv2d`, if given.

    Returns:
        The classifier, which shares the parameters.

    Raises:
        ValueError: If the network is not of the registry, or was already built otherwise.
    """
    name, count = classifier.spec.name, len(classifier.spec.class_names)
    architecture = ARCHITECTURES.get(name)
    if (
        architecture is None
        or classifier.apply
        is not make_network(architecture, num_classes=count, activation=None, convolution=None).apply
    ):
        raise ValueError(
            f"{name!r} cannot be built with other activations: only networks loaded by name can "
            f"({', '.join(ARCHITECTURES)})."
        )
    network = make_network(
        architecture, num_classes=count, activation=activation(architecture.activation), convolution=convolution
    )
    return dataclasses.replace(classifier, apply=network.apply)


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
    architecture = find_architecture(name)
    return Classifier(
        params=initial_params(architecture, num_classes=len(class_names), key=key),
        apply=make_network(architecture, num_classes=len(class_names), activation=None, convolution=None).apply,
        spec=_spec(architecture, tuple(class_names), (), sha256=""),
    )


def save_weights(classifier: Classifier, path: str | Path, *, dtype: str = "float32") -> None:
    """Write a classifier's parameters and class names as a file that `load_classifier` reads.

    Args:
        classifier: A network of the registry.
        path: Destination: ``.npz``, ``.safetensors``, or an Orbax folder (``.orbax`` or no ending).
        dtype: Number type on disk; ``float16`` and ``bfloat16`` halve the file.

    Raises:
        ValueError: If the ending or the number type is unknown, or the number type cannot hold the parameters.
    """
    params = jax.device_get(flat_params(classifier.params))
    write_checkpoint(Path(path), params, class_names=classifier.spec.class_names, dtype=dtype)


def fetch_weights(name: str, *, progress: TransferProgress | None = None) -> Path:
    """Have a network's default weights on this machine, so that `load_classifier` finds them.

    Args:
        name: A registry name.
        progress: Told of every byte of a download.

    Returns:
        The file.

    Raises:
        FileNotFoundError: If they neither come with a package nor can be downloaded.
        OSError: If the download fails; one line with what to fetch by hand and where to put it.
        ValueError: If the name is unknown.
    """
    return have_weights(find_architecture(name), progress=progress)


def find_architecture(name: str) -> Architecture:
    """What the registry knows of a network.

    Raises:
        ValueError: If the name is unknown; the nearest is named.
    """
    if name not in ARCHITECTURES:
        nearest = difflib.get_close_matches(name, ARCHITECTURES, n=1, cutoff=0)
        raise ValueError(
            f"`model` {name!r} is unknown; did you mean {nearest[0]!r}? Known: {', '.join(ARCHITECTURES)}, "
            "or package.module:function."
        )
    return ARCHITECTURES[name]


def _remedy(architecture: Architecture, checkpoint: Checkpoint) -> str:
    """Names the network that the file does fit, if there is one."""
    others = [name for name in fitting(checkpoint, ARCHITECTURES.values()) if name != architecture.name]
    if others:
        return f"They look like those of {' or '.join(map(repr, others))}."
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
        remedy = "" if names else "; give them with --class-names FILE"
        raise ValueError(
            f"`class_names` must hold {num_classes} names, one per class of {path}, got {len(names)}{remedy}."
        )
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
