"""torchvision's networks without torch: their size, their endpoints, their keys, and what is said of wrong files."""

import hashlib
import math
import re
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from vissum_jax.models import ARCHITECTURES, load_classifier
from vissum_jax.models.architecture import make_network, nested_params
from vissum_jax.models.checkpoint import Checkpoint
from vissum_jax.models.fitting import key_map_for
from vissum_jax.models.keys import KeyMap, Shape, convert_arrays
from vissum_jax.models.torchvision import IMAGENET, UNIT

# As torchvision publishes them; the two Inception networks without their auxiliary classifiers.
PARAMETERS = {
    "alexnet": 61_100_840,
    "vgg16": 138_357_544,
    "googlenet": 6_624_904,
    "inception_v3": 23_834_568,
    "resnet18": 11_689_512,
    "resnet50": 25_557_032,
    "vit_b_16": 86_567_656,
}
# Number and hash of the lines "key shape" of torchvision 0.28's state dictionaries, sorted, without counters and
# auxiliary classifiers. (The parity tests load the dictionaries themselves; they need torch.)
KEYS = {
    "alexnet": (16, "935c1ea73a7869eef424454bd79f9a16fdcb7a6342ab404d13f9ead2466d1092"),
    "vgg16": (32, "ba63c2556d912509cba94697742dd762a05c284047650150bab0c2ddc806bb59"),
    "googlenet": (287, "b2fadd85b321b7a9e2de639295912f7fd63d35ee82e7d109c0152880bfb614bd"),
    "inception_v3": (472, "5beceaea5a4204b95b31a90a20ffc73700f8ebf7e925a3bacb6fbc3a52807c1d"),
    "resnet18": (102, "2bb53b15765c4651c9f371fb47d78ca6d34a306e7a0b11007b6c2c2ce195baac"),
    "resnet50": (267, "cf11dad974eadeaaacacc7af8f712d7e05766d1627d3c8842ab8e5f421ecb9eb"),
    "vit_b_16": (152, "2c2360f6707280a86df9a1440d55f804bda47bd947f0b8d71ac03cee48c0f1d1"),
}
ENDPOINTS = {
    "alexnet": {"conv1": (55, 55, 64), "conv2": (27, 27, 192), "conv5": (13, 13, 256), "fc6": (4096,), "fc7": (4096,)},
    "vgg16": {"conv1_1": (224, 224, 64), "conv3_3": (56, 56, 256), "conv5_3": (14, 14, 512), "fc6": (4096,)},
    "googlenet": {"conv1": (112, 112, 64), "inception_3a": (28, 28, 256), "inception_5b": (7, 7, 1024)},
    "inception_v3": {"conv_1a": (149, 149, 32), "mixed_5d": (35, 35, 288), "mixed_7c": (8, 8, 2048)},
    "resnet18": {"stem": (112, 112, 64), "stage_2": (28, 28, 128), "stage_4_block_1": (7, 7, 512), "pooled": (512,)},
    "resnet50": {"stem": (112, 112, 64), "stage_3_block_5": (14, 14, 1024), "stage_4": (7, 7, 2048)},
    "vit_b_16": {"patches": (14, 14, 768), "encoder_11": (14, 14, 768), "pooled": (768,)},
}
NUMBER_OF_ENDPOINTS = {
    "alexnet": 7,
    "vgg16": 15,
    "googlenet": 13,
    "inception_v3": 17,
    "resnet18": 1 + 8 + 4 + 1,
    "resnet50": 1 + 16 + 4 + 1,
    "vit_b_16": 14,
}
FEATURES = {"alexnet": ("fc6", 4096), "vgg16": ("fc6", 4096)} | {
    name: ("pooled", width)
    for name, width in {
        "googlenet": 1024,
        "inception_v3": 2048,
        "resnet18": 512,
        "resnet50": 2048,
        "vit_b_16": 768,
    }.items()
}
AUXILIARY = {"googlenet": "aux1.conv.bn.weight", "inception_v3": "AuxLogits.fc.bias"}


def _expected_keys(name: str, *, num_classes: int = 1000, key_map: KeyMap | None = None) -> dict[str, Shape]:
    architecture = ARCHITECTURES[name]
    network = make_network(architecture, num_classes=num_classes)
    assert architecture.key_map is not None
    shapes: dict[str, Shape] = {}
    for path, keys in (key_map or architecture.key_map()).items():
        layer = keys.shapes(network.layers[path])
        assert not layer.keys() & shapes.keys(), "two layers share a key"
        shapes |= layer
    return shapes


def _checkpoint(name: str, **options) -> dict[str, np.ndarray]:
    """Zeros under the keys of torchvision, and a counter; hardly any memory."""
    zeros = {key: np.broadcast_to(np.float32(0), shape) for key, shape in _expected_keys(name, **options).items()}
    return zeros | {"bn1.num_batches_tracked": np.array(7)}


def _convert(name: str, arrays: dict[str, np.ndarray], *, num_classes: int = 1000):
    architecture = ARCHITECTURES[name]
    network = make_network(architecture, num_classes=num_classes)
    checkpoint = Checkpoint(arrays, (), "")
    layers = convert_arrays(
        arrays,
        layers=network.layers,
        key_map=key_map_for(checkpoint, architecture, network),
        ignore=architecture.ignore,
    )
    return layers, network


@pytest.mark.parametrize("name", KEYS)
def test_keys_and_shapes_are_those_of_torchvision(name: str):
    lines = sorted(f"{key} {shape}" for key, shape in _expected_keys(name).items())
    assert (len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest()) == KEYS[name]


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_as_many_as_published(name: str):
    statistics = ("running_mean", "running_var")
    shapes = _expected_keys(name)
    assert sum(math.prod(shape) for key, shape in shapes.items() if not key.endswith(statistics)) == PARAMETERS[name]


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_parameter_comes_from_the_checkpoint(name: str):
    layers, network = _convert(name, _checkpoint(name))
    assert {path: {name: array.shape for name, array in layer.items()} for path, layer in layers.items()} == {
        path: {name: parameter.shape for name, parameter in layer.items()} for path, layer in network.layers.items()
    }


@pytest.mark.parametrize("name", ENDPOINTS)
def test_endpoints_are_named(name: str):
    architecture = ARCHITECTURES[name]
    calls = []

    def counted(x: jax.Array) -> jax.Array:
        calls.append(x.shape)
        return architecture.activation(x)

    network = make_network(architecture, num_classes=1000, activation=counted)
    side = architecture.input_size
    images = jax.ShapeDtypeStruct((2, side, side, 3), np.float32)
    outputs = jax.eval_shape(network.apply, nested_params(network.layers), images)
    assert outputs.logits.shape == (2, 1000)
    shapes = {endpoint: array.shape[1:] for endpoint, array in outputs.endpoints.items()}
    assert ENDPOINTS[name].items() <= shapes.items()
    assert len(shapes) == NUMBER_OF_ENDPOINTS[name]
    feature, width = FEATURES[name]
    assert architecture.feature_endpoint == feature
    assert shapes[feature] == (width,)
    assert calls, "the network must use the activation it is given"


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_spec_is_torchvisions(name: str):
    architecture = ARCHITECTURES[name]
    assert (architecture.input_size, architecture.resize_short_side) == (
        (299, 342) if name == "inception_v3" else (224, 256)
    )
    assert architecture.interpolation == "bilinear"
    assert architecture.download is not None
    assert re.fullmatch(
        rf"https://download\.pytorch\.org/models/{name}.*-{architecture.download.sha256_prefix}\.pth",
        architecture.download.url,
    )
    assert re.fullmatch("[0-9a-f]{8}", architecture.download.sha256_prefix)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_inception_networks_see_what_transform_input_gives(name: str):
    assert ARCHITECTURES[name].normalization is UNIT
    pixel = np.random.default_rng(0).random((1, 1, 1, 3)).astype(np.float32)
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    normalised = (pixel - mean) / deviation
    np.testing.assert_allclose(IMAGENET(pixel), normalised, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(UNIT(pixel), normalised * (deviation / 0.5) + (mean - 0.5) / 0.5, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", AUXILIARY)
def test_auxiliary_classifiers_are_left_out(name: str):
    _convert(name, _checkpoint(name) | {AUXILIARY[name]: np.zeros(3, np.float32)})


def test_auxiliary_classifiers_of_a_network_that_has_none_are_an_error():
    with pytest.raises(ValueError, match=r"^1 keys left over \(aux1\.conv\.bn\.weight\)$"):
        _convert("resnet18", _checkpoint("resnet18") | {"aux1.conv.bn.weight": np.zeros(3, np.float32)})


def test_former_names_of_a_transformers_layers_are_read():
    (former,) = ARCHITECTURES["vit_b_16"].other_key_maps
    arrays = _checkpoint("vit_b_16", key_map=former())
    assert "encoder.layers.encoder_layer_0.mlp.linear_1.weight" in arrays
    layers, _ = _convert("vit_b_16", arrays)
    assert layers["encoder.0.expand"]["kernel"].shape == (768, 3072)


def test_a_head_of_any_width_is_read(tmp_path: Path):
    arrays = {key: np.ascontiguousarray(array) for key, array in _checkpoint("resnet18", num_classes=2).items()}
    arrays["fc.bias"] = np.array([1, -1], np.float32)
    save_file(arrays, tmp_path / "tuned.safetensors")
    classifier = load_classifier("resnet18", weights=tmp_path / "tuned.safetensors", class_names=("cat", "dog"))
    assert classifier.spec.class_names == ("cat", "dog")
    assert classifier.spec.known_top1 is None
    np.testing.assert_array_equal(classifier.params["classifier"]["bias"], arrays["fc.bias"])


def test_missing_extra_and_misshapen_keys_are_named():
    arrays = _checkpoint("resnet18")
    arrays["layer1.0.conv9.weight"] = arrays.pop("layer1.0.conv1.weight")
    arrays["fc.weight"] = np.zeros((1000, 2048), np.float32)
    message = (
        "1 keys missing (layer1.0.conv1.weight); 1 keys left over (layer1.0.conv9.weight); "
        "1 wrong shapes (fc.weight is (1000, 2048), expected (1000, 512))"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        _convert("resnet18", arrays)


def test_weights_of_another_network_name_it(tmp_path: Path):
    arrays = {key: np.ascontiguousarray(array) for key, array in _checkpoint("resnet18").items()}
    path = tmp_path / "resnet.safetensors"
    save_file(arrays, path)
    with pytest.raises(ValueError, match=r"does not fit 'alexnet': 16 keys missing .* like those of 'resnet18'\.$"):
        load_classifier("alexnet", weights=path)
