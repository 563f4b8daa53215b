"""Local response normalisation across channels."""

import jax
import jax.numpy as jnp
import numpy as np
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
    energy = bias + alpha / window * _neighbour_sum(images * images, window)
    return images * energy**-beta


def _neighbour_sum(values: Float[Array, "*b c"], window: int) -> Float[Array, "*b c"]:
    """Sum over the `window` channels centred on each channel."""
    radius = window // 2
    if jax.default_backend() == "cpu":
        # A banded matrix product: XLA's CPU backend vectorises sums across the innermost axis poorly.
        distance = np.abs(np.subtract.outer(np.arange(values.shape[-1]), np.arange(values.shape[-1])))
        return values @ jnp.asarray(distance <= radius, values.dtype)
    leading = values.ndim - 1
    return lax.reduce_window(
        values,
        0.0,
        lax.add,
        (1,) * leading + (window,),
        (1,) * values.ndim,
        ((0, 0),) * leading + ((radius, radius),),
    )
