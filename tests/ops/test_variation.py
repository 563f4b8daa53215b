import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles.phased_masks import total_variation as slow_total_variation
from oracles.phased_masks import total_variation_gradient

from vissum_jax.ops.variation import total_variation


@pytest.mark.parametrize("exponent", [1.5, 2.0, 3.0])
@pytest.mark.parametrize("shape", [(2, 2), (7, 7), (5, 12)])
def test_value_and_gradient_equal_loops(shape, exponent):
    field = np.random.default_rng(0).uniform(size=shape)
    value, gradient = jax.jit(jax.value_and_grad(lambda f: total_variation(f, exponent)))(jnp.asarray(field))
    np.testing.assert_allclose(value, slow_total_variation(field, exponent), rtol=1e-5)
    np.testing.assert_allclose(gradient, total_variation_gradient(field, exponent), atol=1e-5)


def test_reductions_are_means():
    field = np.zeros((4, 6), np.float32)
    field[2:] = 0.5  # one of three row differences
    np.testing.assert_allclose(total_variation(jnp.asarray(field), 3.0), 0.5**3 / 3, rtol=1e-6)


def test_a_flat_field_has_none_and_no_gradient():
    value, gradient = jax.value_and_grad(lambda f: total_variation(f, 3.0))(jnp.full((5, 5), 0.3))
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


def test_vmap_equals_one_at_a_time():
    fields = jnp.asarray(np.random.default_rng(1).uniform(size=(3, 6, 5)).astype(np.float32))
    batched = jax.vmap(lambda f: total_variation(f, 3.0))(fields)
    np.testing.assert_allclose(batched, [total_variation(f, 3.0) for f in fields], rtol=1e-6)
