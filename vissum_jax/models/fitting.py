"""Which network a checkpoint belongs to, told by its keys and shapes alone."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from vissum_jax.models.architecture import Architecture, Network, make_network, native_key_map
from vissum_jax.models.checkpoint import Checkpoint
from vissum_jax.models.imagenet import imagenet_classes
from vissum_jax.models.keys import KeyMap, Shape


def fitting(checkpoint: Checkpoint, architectures: Iterable[Architecture]) -> list[str]:
    """Names of the networks whose keys and shapes are exactly the checkpoint's, whatever the number of classes.

    One that is another with other weights is not listed beside it.
    """
    return [entry.name for entry in architectures if not entry.variant_of and _fits(checkpoint, entry)]


def key_map_for(checkpoint: Checkpoint, architecture: Architecture, network: Network) -> KeyMap:
    """Of our own keys and those of public checkpoints, the spelling that most of the file's keys follow."""
    spellings = [] if architecture.key_map is None else [architecture.key_map, *architecture.other_key_maps]
    candidates = [*(spelling() for spelling in spellings), native_key_map(network.layers)]
    return max(candidates, key=lambda keys: sum(layer.bias in checkpoint.arrays for layer in keys.values()))


def count_classes(checkpoint: Checkpoint, architecture: Architecture) -> int:
    """Length of the head's bias; where the file has none, anything will do, the key check will say so."""
    for key in _head_biases(architecture):
        if key in checkpoint.arrays and checkpoint.arrays[key].ndim == 1:
            return checkpoint.arrays[key].size
    return len(imagenet_classes().names)


def _head_biases(architecture: Architecture) -> list[str]:
    native = f"{architecture.head}.bias"
    return [native] if architecture.key_map is None else [native, architecture.key_map()[architecture.head].bias]


def _fits(checkpoint: Checkpoint, architecture: Architecture) -> bool:
    if not any(key in checkpoint.arrays for key in _head_biases(architecture)):
        return False  # without building the network
    network = make_network(architecture, num_classes=count_classes(checkpoint, architecture))
    expected: dict[str, Shape] = {}
    for path, keys in key_map_for(checkpoint, architecture, network).items():
        expected |= keys.shapes(network.layers[path])
    given = {
        key: array.shape
        for key, array in checkpoint.arrays.items()
        if not any(fnmatchcase(key, pattern) for pattern in architecture.ignore)
    }
    return given == expected
