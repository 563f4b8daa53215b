"""Structural similarity of images of any size on canvases of one shape."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num


@dataclass(frozen=True, kw_only=True)
class SsimConfig:
    """Constants of the index (Wang et al. 2004).

    Attributes:
        sigma: Standard deviation of the Gaussian window in pixels.
        truncate: The window ends at this many standard deviations.
        k1: Stabiliser of the luminance term, relative to `data_range`.
        k2: Stabiliser of the contrast and structure term, relative to `data_range`.
        data_range: Largest minus smallest possible value.
    """

    sigma: float = 1.5
    truncate: float = 3.5
    k1: float = 0.01
    k2: float = 0.03
    data_range: float = 255.0

    def __post_init__(self) -> None:
        """Check that every constant is positive."""
        for name in ("sigma", "truncate", "k1", "k2", "data_range"):
            if getattr(self, name) <= 0:
                raise ValueError(f"`{name}` must be positive, got {getattr(self, name)}.")

    @property
    def radius(self) -> int:
        """Reach of the window in pixels."""
        return int(self.truncate * self.sigma + 0.5)


def _window_matrix(length: int, config: SsimConfig) -> Float[np.ndarray, "inner length"]:
    """The Gaussian window at every place of a line where it fits, one row each."""
    taps = np.exp(-0.5 * (np.arange(-config.radius, config.radius + 1) / config.sigma) ** 2)
    offset = np.arange(length)[None] - np.arange(length - 2 * config.radius)[:, None]
    inside = (offset >= 0) & (offset < len(taps))
    weights = np.where(inside, (taps / taps.sum())[np.clip(offset, 0, len(taps) - 1)], 0.0)
    return weights.astype(np.float32)


def ssim_matrix(
    first: Float[Array, "m h w"],
    second: Float[Array, "k h w"],
    size: Num[Array, " 2"],
    *,
    config: SsimConfig,
) -> Float[Array, "m k"]:
    """Mean structural similarity of every image of `first` with every image of `second`.

        SSIM = mean of (2 mu_x mu_y + C1)(2 s_xy + C2) / ((mu_x^2 + mu_y^2 + C1)(s_x^2 + s_y^2 + C2))

    over the places where the whole Gaussian window lies within the image, with population (co)variances
    under the window, C1 = (k1 range)^2 and C2 = (k2 range)^2 (Wang, Bovik, Sheikh, Simoncelli: *Image Quality
    Assessment*, IEEE TIP 2004, equation 13; VS 3.2 for its use).

    Args:
        first: Grey images in [0, data_range], each in the upper left of its canvas.
        second: The same.
        size: (rows, columns) that the images take of their canvases; may be traced.
        config: The index's constants.

    Returns:
        Values in [-1, 1]; NaN where the image is smaller than the window.
    """
    height, width = first.shape[1:]
    rows, columns = _window_matrix(height, config), _window_matrix(width, config)

    def window_mean(image: Float[Array, "h w"]) -> Float[Array, "a b"]:
        return jnp.einsum("ah,hw,bw->ab", rows, image, columns, precision="highest")

    # Variances are differences of large means; centring the values keeps them exact enough in float32.
    centre = config.data_range / 2
    first, second = first - centre, second - centre
    means_first, means_second = jax.vmap(window_mean)(first), jax.vmap(window_mean)(second)
    squares_first, squares_second = jax.vmap(window_mean)(first**2), jax.vmap(window_mean)(second**2)

    inner = jnp.maximum(jnp.asarray(size) - 2 * config.radius, 0)
    inside = (jnp.arange(rows.shape[0])[:, None] < inner[0]) & (jnp.arange(columns.shape[0]) < inner[1])
    luminance_constant = (config.k1 * config.data_range) ** 2
    contrast_constant = (config.k2 * config.data_range) ** 2

    def one_pair(one, other):
        (x, mean_x, square_x), (y, mean_y, square_y) = one, other
        covariance = window_mean(x * y) - mean_x * mean_y
        variances = (square_x - mean_x**2) + (square_y - mean_y**2)
        light_x, light_y = mean_x + centre, mean_y + centre
        luminance = (2 * light_x * light_y + luminance_constant) / (light_x**2 + light_y**2 + luminance_constant)
        structure = (2 * covariance + contrast_constant) / (variances + contrast_constant)
        return jnp.sum(jnp.where(inside, luminance * structure, 0.0)) / (inner[0] * inner[1])

    against_all = jax.vmap(one_pair, in_axes=(None, 0))
    return jax.lax.map(
        lambda one: against_all(one, (second, means_second, squares_second)),
        (first, means_first, squares_first),
    )
