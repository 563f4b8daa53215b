"""Local response normalisation across channels."""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


def local_response_normalization(
    images: Float[Array, "*b c"], *, window: int, alpha: float, beta: float, bias: float
) -> Float[Array, "*b c"]:
    """Divide by the energy of neighbouring channels: y_c = x_c / (bias + alpha/window sum_c' x_c'^2)^beta.

    The sum runs over the `window` channels centred on c; channels beyond the first and last count as zero
    (Krizhevsky et al. 2012, section 3.3, with Caffe's division of alpha by the window).

    Args:
        images: Channels last.
        window: Number of channels in the sum; odd.
        alpha: Weight of the mean energy.
        beta: Exponent.
        bias: Constant of the denominator.

    Returns:
        The normalised array.

    Raises:
        ValueError: If `window` is even.
    """
    if window % 2 == 0:
        raise ValueError(f"`window` must be odd, got {window}.")
    return _normalize(images, window, alpha / window, beta, bias)


# The derivative by hand, dx = g e^-beta - 2 rate beta x sum_c' (g x e^(-beta-1))_c', keeps the energy e alone and
# needs no power but those of the forward pass.
@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3, 4))
def _normalize(images: Array, window: int, rate: float, beta: float, bias: float) -> Array:
    return images * _inverse_power(_energy(images, window, rate, bias), beta)


def _normalize_forward(
    images: Array, window: int, rate: float, beta: float, bias: float
) -> tuple[Array, tuple[Array, Array]]:
    energy = _energy(images, window, rate, bias)
    return images * _inverse_power(energy, beta), (images, energy)


def _normalize_backward(
    window: int, rate: float, beta: float, bias: float, kept: tuple[Array, Array], upstream: Array
) -> tuple[Array]:
    images, energy = kept
    direct = upstream * _inverse_power(energy, beta)
    return (direct - 2 * rate * beta * images * _neighbour_sum(direct * images / energy, window),)


_normalize.defvjp(_normalize_forward, _normalize_backward)


def _energy(images: Array, window: int, rate: float, bias: float) -> Array:
    return bias + rate * _neighbour_sum(images * images, window)


def _inverse_power(energy: Array, beta: float) -> Array:
    """energy^-beta; for the exponent that all published networks use out of square roots, which vectorise."""
    if beta == 0.75:
        root = lax.rsqrt(energy)
        return root * jnp.sqrt(root)
    return energy**-beta


def _neighbour_sum(values: Float[Array, "*b c"], window: int) -> Float[Array, "*b c"]:
    """Sum over the `window` channels centred on each channel.

    As shifted additions: on a CPU six times faster than a banded matrix product, and a window reduction over the
    innermost axis is slower still.
    """
    radius = window // 2
    channels = values.shape[-1]
    padded = jnp.pad(values, ((0, 0),) * (values.ndim - 1) + ((radius, radius),))
    return sum((padded[..., shift : shift + channels] for shift in range(1, window)), start=padded[..., :channels])
