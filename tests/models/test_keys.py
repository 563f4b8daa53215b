"""From a checkpoint's arrays to parameters: layouts, what is ignored, and the text of errors."""

import re

import jax
import numpy as np
import pytest

from vissum_jax.models.keys import ConvNormKeys, LinearKeys, PlainKeys, convert_arrays

RANDOM = np.random.default_rng(0)


def _random(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


def _shapes(**shapes: tuple[int, ...]) -> dict[str, jax.ShapeDtypeStruct]:
    return {name: jax.ShapeDtypeStruct(shape, np.float32) for name, shape in shapes.items()}


def test_batch_normalisation_is_folded():
    keys = ConvNormKeys("w", "n", 1e-3)
    arrays = {
        "w": _random(4, 3, 1, 1),
        "n.weight": _random(4),
        "n.bias": _random(4),
        "n.running_mean": _random(4),
        "n.running_var": np.array([0, 1e-4, 0.5, 30], np.float32),
    }
    layer = keys.convert(arrays)
    pixel = _random(3)
    convolved = arrays["w"][:, :, 0, 0] @ pixel
    deviation = np.sqrt(arrays["n.running_var"].astype(float) + 1e-3)
    theirs = (convolved - arrays["n.running_mean"]) / deviation * arrays["n.weight"] + arrays["n.bias"]
    np.testing.assert_allclose(pixel @ layer["kernel"][0, 0] + layer["bias"], theirs, rtol=1e-5, atol=1e-5)


def test_plain_parameters_go_by_name():
    keys = PlainKeys({"scale": "n.weight", "bias": "n.bias"})
    assert keys.shapes(_shapes(scale=(3,), bias=(2,))) == {"n.weight": (3,), "n.bias": (2,)}
    arrays = {"n.weight": _random(3), "n.bias": _random(2)}
    converted = keys.convert(arrays)
    assert converted["scale"] is arrays["n.weight"]
    assert converted["bias"] is arrays["n.bias"]
    assert keys.bias == "n.bias"


def _convert(arrays: dict[str, np.ndarray], ignore: tuple[str, ...]):
    return convert_arrays(
        arrays,
        layers={"head": _shapes(kernel=(3, 2), bias=(2,))},
        key_map={"head": LinearKeys("fc.weight", "fc.bias")},
        ignore=ignore,
    )


def test_what_is_ignored_is_a_pattern():
    wanted = {"fc.weight": _random(2, 3), "fc.bias": _random(2)}
    others = {"aux.fc.bias": _random(7), "bn.num_batches_tracked": np.int64(3)}
    converted = _convert(wanted | others, ("aux.*", "*.num_batches_tracked"))
    np.testing.assert_array_equal(converted["head"]["kernel"], wanted["fc.weight"].T)
    assert list(converted) == ["head"]


@pytest.mark.parametrize("pattern", ["*.num_batches", "Aux.*", "fc"])
def test_a_pattern_means_whole_keys_and_cases(pattern: str):
    arrays = {"fc.weight": _random(2, 3), "fc.bias": _random(2), "aux.num_batches_tracked": _random(1)}
    with pytest.raises(ValueError, match=f"^{re.escape('1 keys left over (aux.num_batches_tracked)')}$"):
        _convert(arrays, (pattern,))
