import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from safetensors.numpy import load_file, save_file

from vissum_jax.analysis.machines import Machines
from vissum_jax.analysis.specialize import mixed
from vissum_jax.models import load_classifier
from vissum_jax.models.specialized import (
    Specialization,
    encode_specialization,
    endpoint_features,
    log_scores,
    machine_arrays,
    read_specialization,
    specialize,
)

IMAGES = jnp.asarray(np.stack([toys.photograph(index, seed) for index in range(3) for seed in range(2)]) / 255.0)


def make_machines(dimensions=3):
    """Two machines of class 1, one of class 3."""
    random = np.random.default_rng(0)
    return Machines(
        weight=random.normal(size=(3, dimensions)).astype(np.float32),
        bias=random.normal(size=3).astype(np.float32),
        slope=-np.array([2.0, 3.0, 1.5], np.float32),
        offset=np.array([0.1, -0.2, 0.3], np.float32),
        class_index=np.array([1, 3, 1], np.int32),
        summary=np.array([0, 0, 1], np.int32),
    )


def make_parts(**changes):
    values = {
        "machines": make_machines(),
        "mixing": 0.3,
        "model": toys.MODEL,
        "weights_sha256": "",
        "endpoint": "features",
        "classes": 4,
    }
    return Specialization(**{**values, **changes})


def oracle(machines, features, classes):
    """Scores one image and one machine at a time."""
    scores = np.zeros((len(features), classes))
    for row, feature in enumerate(features):
        for k in range(len(machines)):
            decision = float(machines.weight[k] @ feature) + machines.bias[k]
            answer = 1 / (1 + np.exp(machines.slope[k] * decision + machines.offset[k]))
            scores[row, machines.class_index[k]] = max(scores[row, machines.class_index[k]], answer)
    return scores / scores.sum(axis=1, keepdims=True)


def test_scores_are_the_best_of_each_class_normalised():
    features = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
    found = jnp.exp(log_scores(machine_arrays(make_machines()), jnp.asarray(features), classes=4))
    np.testing.assert_allclose(found, oracle(make_machines(), features, 4), atol=1e-5)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def test_places_of_an_endpoint_are_averaged_and_length_is_one():
    endpoint = jnp.asarray(np.random.default_rng(2).normal(size=(2, 4, 5, 3)))
    mean = np.asarray(endpoint).mean(axis=(1, 2))
    expected = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    np.testing.assert_allclose(endpoint_features(endpoint), expected, atol=1e-6)
    np.testing.assert_array_equal(endpoint_features(jnp.zeros((1, 3))), np.zeros((1, 3)))


@pytest.mark.parametrize("mixing", [0.0, 0.3, 1.0])
def test_the_softmax_is_the_mixture(mixing):
    base = toys.make_classifier()
    made = specialize(base, make_parts(mixing=mixing))
    outputs = made(IMAGES)
    features = np.asarray(endpoint_features(base(IMAGES).endpoints["features"]))
    probabilities = np.asarray(jax.nn.softmax(base(IMAGES).logits))
    expected = mixed(probabilities, oracle(make_machines(), features, 4), mixing)
    np.testing.assert_allclose(jax.nn.softmax(outputs.logits), expected, atol=1e-5)
    assert np.isfinite(outputs.logits).all()
    assert set(outputs.endpoints) == {"features"}
    assert (made.spec.name, made.spec.known_top1) == ("toy-specialized", None)


@pytest.mark.parametrize("mixing", [0.0, 0.3, 1.0])
def test_masks_can_be_searched_in_it(mixing):
    """The gradient with respect to images is finite."""
    made = specialize(toys.make_classifier(), make_parts(mixing=mixing))
    gradient = jax.jit(jax.grad(lambda images: jax.nn.softmax(made(images).logits)[:, 1].sum()))(IMAGES)
    assert np.isfinite(gradient).all()


def test_without_weight_the_network_is_as_it_was():
    base = toys.make_classifier()
    made = specialize(base, make_parts(mixing=0.0))
    np.testing.assert_allclose(jax.nn.softmax(made(IMAGES).logits), jax.nn.softmax(base(IMAGES).logits), atol=1e-6)


def test_two_specialisations_of_a_network_share_their_program():
    base = toys.make_classifier()
    assert specialize(base, make_parts()).apply is specialize(base, make_parts(mixing=0.9)).apply


def test_a_file_gives_back_what_was_written(tmp_path):
    path = tmp_path / "specialized.safetensors"
    path.write_bytes(encode_specialization(make_parts()))
    parts, sha256 = read_specialization(path)
    assert dataclasses.replace(parts, machines=None) == dataclasses.replace(
        make_parts(mixing=float(np.float32(0.3))), machines=None
    )
    for name, array in vars(make_machines()).items():
        np.testing.assert_array_equal(getattr(parts.machines, name), array)
    assert len(sha256) == 64
    assert encode_specialization(make_parts()) == path.read_bytes()


def test_it_is_loaded_by_name(tmp_path):
    path = tmp_path / "specialized.safetensors"
    path.write_bytes(encode_specialization(make_parts()))
    made = load_classifier(f"specialized:{path}")
    np.testing.assert_array_equal(made(IMAGES).logits, specialize(toys.make_classifier(), make_parts())(IMAGES).logits)
    assert len(made.spec.weights_sha256) == 64
    with pytest.raises(FileNotFoundError, match="there is no file"):
        load_classifier("specialized:nowhere.safetensors")


def test_a_specialisation_of_a_specialised_network_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(encode_specialization(make_parts(model=f"specialized:{path}")))
    with pytest.raises(ValueError, match="only networks can be specialised"):
        load_classifier(f"specialized:{path}")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"weights_sha256": "a" * 64}, r"was made for 'toys:make_classifier' with weights a{12}\.\., got none\.\."),
        ({"classes": 5}, r"was made for 5 classes, 'toy' has 4\."),
        ({"endpoint": "fc6"}, r"'toy' has no endpoint 'fc6'"),
        ({"machines": make_machines(7)}, r"endpoint 'features' of 'toy' has 3 features, the specialisation reads 7\."),
    ],
)
def test_another_network_s_is_refused(changes, complaint):
    with pytest.raises(ValueError, match=complaint):
        specialize(toys.make_classifier(), make_parts(**changes))


def damaged(tmp_path, arrays=None, about=None):
    """A sound file with something changed."""
    path = tmp_path / "sound.safetensors"
    path.write_bytes(encode_specialization(make_parts()))
    sound = load_file(path)
    facts = {"format": "vissum-specialized", "version": 1, "model": "toys:make_classifier"}
    facts |= {"weights_sha256": "", "endpoint": "features", "classes": 4, **(about or {})}
    held = {name: array for name, array in {**sound, **(arrays or {})}.items() if array is not None}
    save_file(held, path, metadata={"vissum": json.dumps(facts)})
    return path


@pytest.mark.parametrize(
    ("arrays", "about", "complaint"),
    [
        ({"bias": None}, {}, "it must hold weight, bias"),
        ({"extra": np.zeros(1, np.float32)}, {}, "it must hold weight, bias"),
        ({"bias": np.zeros(2, np.float32)}, {}, r"its bias must be float32 \(3,\), got float32 \(2,\)"),
        ({"bias": np.zeros(3, np.float64)}, {}, r"its bias must be float32 \(3,\), got float64 \(3,\)"),
        ({"slope": np.full(3, np.nan, np.float32)}, {}, "its slope is not finite everywhere"),
        ({"class_index": np.array([0, 1, 4], np.int32)}, {}, "its class_index leaves the 4 classes"),
        ({"class_index": np.array([0, 1, -1], np.int32)}, {}, "its class_index leaves the 4 classes"),
        ({"mixing": np.array(1.5, np.float32)}, {}, r"its mixing must be in \[0, 1\], got 1\.5"),
        ({"weight": np.zeros((0, 3), np.float32)}, {}, r"its weight has shape \(0, 3\)"),
        ({}, {"format": "other"}, "its format is not vissum-specialized 1"),
        ({}, {"classes": True}, "its number of classes is True"),
        ({}, {"classes": 10**400}, "class_index|classes"),
        ({}, {"endpoint": "\x1b[2J"}, "its endpoint is no text"),
        ({}, {"model": 3}, "its model is no text"),
    ],
)
def test_hostile_files_are_refused_in_one_line(tmp_path, arrays, about, complaint):
    path = damaged(tmp_path, arrays, about)
    with pytest.raises(ValueError, match=complaint) as error:
        specialize(toys.make_classifier(), read_specialization(path)[0])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("data", [b"", b"no safetensors", b"PK\x03\x04", b"\x80\x04."])
def test_other_files_are_refused(tmp_path, data):
    path = tmp_path / "file.safetensors"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="is no specialised network: "):
        read_specialization(path)


def test_a_weight_file_is_not_mistaken_for_one(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"conv": np.zeros(3, np.float32)}, path)
    with pytest.raises(ValueError, match="is no specialised network: "):
        read_specialization(path)
