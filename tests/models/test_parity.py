"""The ports against PyTorch networks with the same weights: `make parity`."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
from skimage import data

from vissum_jax.models import ARCHITECTURES, load_classifier
from vissum_jax.models.architecture import nested_params
from vissum_jax.models.checkpoint import read_checkpoint
from vissum_jax.types import Classifier

torch = pytest.importorskip("torch", reason="needs the [parity] extra")
torch_vision = pytest.importorskip("oracles.torch_vision", reason="needs the [parity] extra")

pytestmark = pytest.mark.parity

# Two endpoints of every network: torchvision's module whose output they are.
WATCHED = {
    "alexnet": {"conv2": "features.4", "fc6": "classifier.2"},
    "vgg16": {"conv3_2": "features.13", "fc7": "classifier.4"},
    "googlenet": {"conv2": "conv3", "inception_4c": "inception4c"},
    "inception_v3": {"mixed_6a": "Mixed_6a", "mixed_7b": "Mixed_7b"},
    "resnet18": {"stem": "relu", "stage_3_block_0": "layer3.0"},
    "resnet50": {"stage_1": "layer1", "stage_3_block_2": "layer3.2"},
    "vit_b_16": {"encoder_4": "encoder.layers.encoder_layer_4", "pooled": "encoder.ln"},
}


class Answers(NamedTuple):
    """What a network says about some images; channels last, endpoints by our names."""

    logits: np.ndarray
    gradient: np.ndarray
    endpoints: dict[str, np.ndarray]


def photographs(size: int) -> np.ndarray:
    """Two crops of a photograph, RGB in [0, 1], with a little noise.

    Without the noise, pixels of evenly coloured regions would tie in the poolings, and rounding would choose which
    of them gets the gradient.
    """
    astronaut = data.astronaut().astype(np.float32) / 255
    crops = np.stack([astronaut[:size, 100 : 100 + size], astronaut[-size:, -size:]])
    noise = np.random.default_rng(0).uniform(-0.02, 0.02, crops.shape).astype(np.float32)
    return np.clip(crops + noise, 0, 1)


def direction(num_classes: int) -> np.ndarray:
    """A random direction among the logits, along which gradients are taken."""
    return np.random.default_rng(1).standard_normal(num_classes)


def ours(classifier: Classifier, images: np.ndarray) -> Answers:
    along = direction(len(classifier.spec.class_names)).astype(images.dtype)

    def score(images, classifier):
        outputs = classifier(images)
        return (outputs.logits @ along).sum(), outputs

    gradient, outputs = jax.jit(jax.grad(score, has_aux=True))(images, classifier)
    return jax.device_get(Answers(outputs.logits, gradient, outputs.endpoints))


def theirs(logits_of: Callable, images: np.ndarray, watched: dict[str, Any] | None = None) -> Answers:
    """PyTorch's answers; `watched` are the modules whose outputs our endpoints must equal."""
    seen: dict[str, np.ndarray] = {}

    def watch(name: str) -> Callable:
        def hook(_module, _inputs, output) -> None:
            # Only the first call counts, since modules are used again, and it is copied, since others work in place.
            seen.setdefault(name, _our_layout(output.detach().clone().numpy()))

        return hook

    hooks = [module.register_forward_hook(watch(name)) for name, module in (watched or {}).items()]
    x = _tensor(images).requires_grad_(True)
    logits = logits_of(x)
    along = torch.from_numpy(direction(logits.shape[1])).to(logits.dtype)
    (gradient,) = torch.autograd.grad((logits @ along).sum(), x)
    for hook in hooks:
        hook.remove()
    return Answers(logits.detach().numpy(), _our_layout(gradient.numpy()), seen)


def _tensor(images: np.ndarray):
    return torch.from_numpy(images.transpose(0, 3, 1, 2).copy())


def _our_layout(array: np.ndarray) -> np.ndarray:
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array


def _patch_tokens(tokens: np.ndarray) -> np.ndarray:
    side = round((tokens.shape[1] - 1) ** 0.5)
    return tokens[:, 1:].reshape(len(tokens), side, side, -1)


def largest_error(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference, in units of the largest number."""
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def typical_error(found: np.ndarray, expected: np.ndarray) -> float:
    """Norm of the difference, in units of the norm."""
    assert found.shape == expected.shape
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def in_double_precision(classifier: Classifier, checkpoint: Mapping[str, np.ndarray]) -> Classifier:
    """The classifier with its parameters converted anew, and nothing rounded to float32 in between."""
    key_map = ARCHITECTURES[classifier.spec.name].key_map
    assert key_map is not None
    doubled = {key: array.astype(np.float64) for key, array in checkpoint.items() if array.dtype.kind == "f"}
    params = nested_params({path: keys.convert(doubled) for path, keys in key_map().items()})
    return dataclasses.replace(classifier, params=params)


def assert_gradients_agree(
    classifier: Classifier, checkpoint: Mapping[str, np.ndarray], network: Any, logits_of: Callable, images: np.ndarray
) -> None:
    """Compare input gradients in double precision.

    Millions of units bend at zero or choose a maximum, and in single precision rounding decides some of them
    otherwise in two programs. Each moves the gradient by a thousandth of its norm or more, so that two right
    answers differ by up to .02. In double precision rounding decides nothing.
    """
    doubled = images[:1].astype(np.float64)
    with jax.enable_x64(True):
        found = ours(in_double_precision(classifier, checkpoint), doubled)
    network.double()
    expected = theirs(logits_of, doubled)
    assert largest_error(found.gradient, expected.gradient) <= 1e-5


def saved_and_loaded(network: Any, name: str, path: Path, *, legacy: bool = False, **options: Any) -> Classifier:
    """The network's weights, written by PyTorch itself and read by us."""
    torch.save(network.state_dict(), path, _use_new_zipfile_serialization=not legacy)
    classifier = load_classifier(name, weights=path, **options)
    path.unlink()  # half a gigabyte
    return classifier


@pytest.mark.parametrize("name", WATCHED)
def test_torchvision_network_agrees(name: str, tmp_path: Path):
    images = photographs(ARCHITECTURES[name].input_size)
    network = torch_vision.random_network(name, _tensor(images))
    checkpoint = {key: value.numpy() for key, value in network.state_dict().items()}
    classifier = saved_and_loaded(network, name, tmp_path / "weights.pth")
    watched = {endpoint: network.get_submodule(module) for endpoint, module in WATCHED[name].items()}

    def logits_of(images):
        return torch_vision.logits_of(network, images)

    found, expected = ours(classifier, images), theirs(logits_of, images, watched)
    assert np.abs(expected.logits[0] - expected.logits[1]).max() > 0.1, "the images must not look the same"
    assert largest_error(found.logits, expected.logits) <= 1e-4
    assert len(expected.endpoints) == 2
    for endpoint, activations in expected.endpoints.items():
        if activations.ndim == 3:  # tokens of a transformer
            activations = activations[:, 0] if endpoint == "pooled" else _patch_tokens(activations)
        assert largest_error(found.endpoints[endpoint], activations) <= 1e-4, endpoint
    if name == "vit_b_16":  # smooth: nothing bends
        assert typical_error(found.gradient, expected.gradient) <= 1e-3
    else:
        assert typical_error(found.gradient, expected.gradient) <= 5e-2
        assert_gradients_agree(classifier, checkpoint, network, logits_of, images)


def test_a_fine_tuned_network_in_the_legacy_format_agrees(tmp_path: Path):
    images = photographs(224)
    network = torch_vision.random_network("resnet18", _tensor(images), num_classes=7)
    names = [f"class {number}" for number in range(7)]
    classifier = saved_and_loaded(network, "resnet18", tmp_path / "tuned.pt", legacy=True, class_names=names)
    assert classifier.spec.class_names == tuple(names)
    assert classifier.spec.known_top1 is None
    with torch.no_grad():
        expected = torch_vision.logits_of(network, _tensor(images)).numpy()
    assert largest_error(np.asarray(classifier(images).logits), expected) <= 1e-4


@pytest.mark.shared
def test_bvlc_googlenet_agrees(shared_data: Path):
    from benchmarks.peers import torch_networks

    weights = shared_data / "weights" / "bvlc_googlenet_f32.npz"
    classifier = load_classifier("googlenet-bvlc", weights=weights)
    arrays = read_checkpoint(weights).arrays
    network = torch_networks.GoogLeNet(arrays).eval()
    images = photographs(classifier.spec.input_height)
    expected = theirs(network, images)
    assert largest_error(np.asarray(classifier(images).logits), expected.logits) <= 1e-4
    assert_gradients_agree(classifier, arrays, network, network, images)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_efficientnet_lite_agrees_with_its_own_package(number: int):
    package = pytest.importorskip("efficientnet_lite_pytorch", reason="needs the [parity] extra")
    name = f"efficientnet-lite{number}"
    find = ARCHITECTURES[name].default_weights
    weights = find() if find else None
    if weights is None:
        pytest.skip("needs the [weights] extra")
    classifier = load_classifier(name)
    network = package.EfficientNet.from_pretrained(name, weights_path=str(weights)).eval()
    images = photographs(classifier.spec.input_height)

    def logits_of(images):
        return network((images * 255 - 127) / 128)

    expected = theirs(logits_of, images)
    assert largest_error(np.asarray(classifier(images).logits), expected.logits) <= 1e-4
    if number == 0:  # the others have more of the same blocks
        assert_gradients_agree(classifier, read_checkpoint(weights).arrays, network, logits_of, images)
