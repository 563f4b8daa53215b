"""The other descriptor of a proposal: a network's own features, pooled over the box."""

from __future__ import annotations

from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from vissum_jax.matching.whitening import Whitening, cholesky_with_ridge, invert_lower
from vissum_jax.ops.resize import sampling_matrix


def pooled_features(
    feature_map: Float[Array, "rows columns channels"], boxes: Num[Array, "p 4"], *, image_size: tuple[int, int]
) -> Float[Array, "p channels"]:
    """Mean of a feature map over each box, counting of every cell the share that the box covers.

        f(B) = 1/|B| integral over B of F

    with F constant over each cell of a grid that is spread evenly over the image. A side shorter than a cell
    counts as one cell around its middle, which interpolates between neighbours. The integral is separable.

    Args:
        feature_map: F, the activations of one image.
        boxes: (x, y, width, height) in pixels of the image; padding may hold anything.
        image_size: (height, width) of the image in pixels.
    """
    rows, columns, _ = feature_map.shape
    height, width = image_size
    boxes = jnp.asarray(boxes, dtype=feature_map.dtype)
    start, side = boxes[:, :2], jnp.maximum(boxes[:, 2:], 1)

    def shares(low, extent, *, cells: int, pixels: int) -> Float[Array, "p cells"]:
        # Resampled to a single value, an interval gives its mean.
        one = jax.vmap(lambda a, b: sampling_matrix(a, b, 1, rows=1, source=cells)[0])
        return one(low * (cells / pixels), extent * (cells / pixels))

    vertical = shares(start[:, 1], side[:, 1], cells=rows, pixels=height)
    horizontal = shares(start[:, 0], side[:, 0], cells=columns, pixels=width)
    weights = (vertical[:, :, None] * horizontal[:, None, :]).reshape(len(boxes), -1)
    return jnp.einsum("pk,kc->pc", weights, feature_map.reshape(rows * columns, -1), precision="highest")


def estimate_whitening(images: Iterable[Float[np.ndarray, "p channels"]], ridge: float) -> Whitening:
    """Mean and whitening of the features of a class's boxes; a network has no background statistics to ship.

        S = cov(f) + k r tr(cov(f)) / c I,   for the smallest k = 1, 2, .. for which it is positive definite

    Args:
        images: Features of the boxes of each image.
        ridge: r, the ridge as a share of the channels' mean variance: boxes may be fewer than channels.
    """
    count, sums, products = 0, np.zeros(()), np.zeros(())
    for features in images:
        count += len(features)
        sums = sums + features.sum(axis=0, dtype=np.float64)
        products = products + features.T @ features
    mean = sums / count
    covariance = products / count - np.outer(mean, mean)
    variance = float(np.trace(covariance)) / len(covariance)
    # Features that are the same in all boxes tell none of them apart, on any scale.
    factor, _ = cholesky_with_ridge(covariance, ridge * variance if variance > 0 else 1.0)
    return Whitening(mean=mean.astype(np.float32), factor=invert_lower(factor).astype(np.float32))
