"""The boxes of a class as the matchers see them: HOG, a network's features, or both side by side."""

from __future__ import annotations

import functools
import math
import tempfile
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Num, UInt8

from vissum_jax.matching.config import MatchingConfig
from vissum_jax.matching.features import DIMENSIONS, whitened_descriptors
from vissum_jax.matching.network import estimate_whitening, pooled_features
from vissum_jax.matching.whitening import load_whitening
from vissum_jax.ops.boxes import mirror

FeatureMaps = Callable[[UInt8[np.ndarray, "b h w 3"]], Float[np.ndarray, "b rows columns channels"]]
"""A network, as far as matching is concerned: one feature map an image."""

_MAPS_PER_CALL = 16


class View(NamedTuple):
    """The boxes of k images as they are, or as they are in the mirrored images.

    Attributes:
        boxes: (x, y, width, height) in pixels.
        descriptors: Their inner products are the similarities.
    """

    boxes: Int[np.ndarray, "k p 4"]
    descriptors: Float[np.ndarray, "k p dimensions"]


_whitened_hog = jax.jit(whitened_descriptors)


@functools.partial(jax.jit, static_argnames="image_size")
def _pooled(
    maps: Float[Array, "b rows columns channels"], boxes: Num[Array, "b p 4"], *, image_size: tuple[int, int]
) -> Float[Array, "b p channels"]:
    return jax.vmap(functools.partial(pooled_features, image_size=image_size))(maps, boxes)


@jax.jit
def _whitened(
    features: Float[Array, "p channels"], mean: Float[Array, " channels"], factor: Float[Array, "channels channels"]
) -> Float[Array, "p channels"]:
    return jnp.einsum("pd,ed->pe", features - mean, factor, precision="highest")


def host_array(shape: tuple[int, ...], config: MatchingConfig) -> Float[np.ndarray, ...]:
    """Room for float32 values: in memory, or beyond `config.host_bytes` in a file without a name."""
    if 4 * math.prod(shape) <= config.host_bytes:
        return np.zeros(shape, dtype=np.float32)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype=np.float32, mode="w+", shape=shape)


def describe_class(
    images: UInt8[np.ndarray, "k h w 3"],
    boxes: Int[np.ndarray, "k p 4"],
    valid: Bool[np.ndarray, "k p"],
    config: MatchingConfig,
    feature_maps: FeatureMaps | None,
) -> tuple[View, ...]:
    """Describe every box of a class's images by what `config.descriptor` names.

    ``hog`` is whitened by the background statistics that ship, ``network`` by those of the class's own boxes,
    and ``both`` adds the two similarities, each in units of its root mean square between two boxes of the class:

        s_ab = max(0, (1 - w) <h_a, h_b> / rms_h + w <n_a, n_b> / rms_n),
        rms_d^2 = mean over a, b of <d_a, d_b>^2 = |D'D / m|_F^2,   w = `config.network_weight`

    Args:
        images: RGB.
        boxes: (x, y, width, height) in pixels.
        valid: False for padding.
        config: Constants.
        feature_maps: Called with some images at a time; needed where a network is asked for. ``auto`` is ``both``
            with it and ``hog`` without.

    Returns:
        The images as they are and, if `config.flip`, mirrored.

    Raises:
        ValueError: If the descriptor needs a network and there is none.
    """
    descriptor = config.descriptor
    if descriptor == "auto":
        descriptor = "hog" if feature_maps is None else "both"
    if descriptor != "hog" and feature_maps is None:
        raise ValueError(f"`feature_maps` must be given for the descriptor {descriptor!r}.")
    shown = [(images, boxes)]
    if config.flip:
        shown.append((images[:, :, ::-1], mirror(boxes, width=images.shape[2])))
    families = []
    if descriptor != "network":
        families.append([_hog_descriptors(pictures, seen, config) for pictures, seen in shown])
    if descriptor != "hog" and feature_maps is not None:
        families.append(_network_descriptors(shown, valid, config, feature_maps))
    descriptors = families[0] if len(families) == 1 else _joined(families[0], families[1], valid, config)
    return tuple(View(seen, described) for (_, seen), described in zip(shown, descriptors, strict=True))


def _hog_descriptors(
    images: UInt8[np.ndarray, "k h w 3"], boxes: Int[np.ndarray, "k p 4"], config: MatchingConfig
) -> Float[np.ndarray, "k p dimensions"]:
    whitening = jax.device_put(load_whitening(config.whitening_ridge))
    out = host_array((*boxes.shape[:2], DIMENSIONS), config)
    for row, (image, its) in enumerate(zip(images, boxes, strict=True)):
        out[row] = _whitened_hog(image, its, *whitening)
    return out


def _network_descriptors(
    shown: list[tuple[UInt8[np.ndarray, "k h w 3"], Int[np.ndarray, "k p 4"]]],
    valid: Bool[np.ndarray, "k p"],
    config: MatchingConfig,
    feature_maps: FeatureMaps,
) -> list[Float[np.ndarray, "k p channels"]]:
    """Pooled features of every view, whitened by the statistics of the first, the images as they are."""

    def pooled(images: UInt8[np.ndarray, "b h w 3"], boxes: Int[np.ndarray, "b p 4"]) -> Float[Array, "b p channels"]:
        return _pooled(feature_maps(images), boxes, image_size=images.shape[1:3])

    views = []
    for images, boxes in shown:
        first = pooled(images[:_MAPS_PER_CALL], boxes[:_MAPS_PER_CALL])
        view = host_array((*boxes.shape[:2], first.shape[-1]), config)
        view[:_MAPS_PER_CALL] = first
        for start in range(_MAPS_PER_CALL, len(images), _MAPS_PER_CALL):
            block = slice(start, start + _MAPS_PER_CALL)
            view[block] = pooled(images[block], boxes[block])
        views.append(view)
    described = (row[there] for row, there in zip(views[0], valid, strict=True))
    whitening = jax.device_put(estimate_whitening(described, config.network_ridge))
    for view in views:
        for row in view:
            row[:] = _whitened(row, *whitening)
    return views


def _joined(
    hog: list[Float[np.ndarray, "k p d"]],
    network: list[Float[np.ndarray, "k p c"]],
    valid: Bool[np.ndarray, "k p"],
    config: MatchingConfig,
) -> list[Float[np.ndarray, "k p d+c"]]:
    """Both descriptors of every box side by side, so that similarities add up as `describe_class` says."""
    weights = (1 - config.network_weight, config.network_weight)
    scales = [
        math.sqrt(weight / (_root_mean_square(family[0], valid) or 1.0))
        for weight, family in zip(weights, (hog, network), strict=True)
    ]
    joined = []
    for parts in zip(hog, network, strict=True):
        split = parts[0].shape[-1]
        out = host_array((*valid.shape, split + parts[1].shape[-1]), config)
        for row, (first, second) in enumerate(zip(*parts, strict=True)):
            out[row, :, :split] = scales[0] * first
            out[row, :, split:] = scales[1] * second
        joined.append(out)
    return joined


def _root_mean_square(descriptors: Float[np.ndarray, "k p d"], valid: Bool[np.ndarray, "k p"]) -> float:
    """Root of the mean squared inner product of two valid boxes, from the matrix of second moments."""
    moments = sum(row[there].T @ row[there] for row, there in zip(descriptors, valid, strict=True))
    return float(np.linalg.norm(np.asarray(moments, dtype=np.float64) / valid.sum()))
