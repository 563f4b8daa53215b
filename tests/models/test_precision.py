import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vissum_jax.models import load_classifier


@pytest.fixture(scope="module")
def images():
    return jnp.asarray(np.random.default_rng(0).random((2, 112, 112, 3), np.float32))


def test_bfloat16_answers_in_float32_and_nearly_the_same(images):
    exact, rounded = (load_classifier("flowernet", precision=precision) for precision in ("float32", "bfloat16"))
    assert {leaf.dtype for leaf in jax.tree.leaves(rounded.params)} == {jnp.dtype("bfloat16")}
    expected, outputs = exact(images), rounded(images)
    assert {array.dtype for array in jax.tree.leaves(outputs)} == {jnp.dtype("float32")}
    # Eight bits of mantissa, four layers.
    scale = np.abs(expected.logits).max()
    np.testing.assert_allclose(outputs.logits, expected.logits, atol=0.03 * scale)
    assert np.abs(outputs.logits - expected.logits).max() > 1e-5 * scale


def test_activations_are_bfloat16_throughout(images):
    classifier = load_classifier("flowernet", precision="bfloat16")
    program = str(jax.make_jaxpr(classifier)(images))
    convolutions = [line for line in program.splitlines() if "conv_general_dilated" in line or "dot_general" in line]
    assert convolutions
    assert all(":bf16" in line.split("=")[0] for line in convolutions), convolutions


def test_gradients_reach_float32_images(images):
    classifier = load_classifier("flowernet", precision="bfloat16")
    gradient = jax.grad(lambda x: classifier(x).logits[:, 0].sum())(images)
    assert gradient.dtype == jnp.float32
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0


def test_other_number_types_are_refused():
    with pytest.raises(ValueError, match=r"`precision` must be float32 or bfloat16, got 'int8'\."):
        load_classifier("flowernet", precision="int8")
