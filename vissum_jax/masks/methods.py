"""All methods behind one interface: images and classes in, one importance map an image out."""

from __future__ import annotations

import difflib
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8, UInt32

from vissum_jax.attribution.deconvnet import class_heat_map
from vissum_jax.attribution.grad_cam import GradCamConfig, grad_cam, grad_cam_pp
from vissum_jax.attribution.gradient import (
    SmoothedGradientConfig,
    SmoothGradConfig,
    gradient,
    smooth_grad,
    smoothed_gradient,
)
from vissum_jax.attribution.guided import guided_backprop, guided_grad_cam
from vissum_jax.attribution.random_field import RandomConfig, random_field
from vissum_jax.attribution.rise import RiseConfig, rise
from vissum_jax.masks.config import PRESETS
from vissum_jax.masks.extract import batches, check_images
from vissum_jax.masks.extremal import ExtremalConfig, extremal_perturbation
from vissum_jax.masks.solve import solve, to_unit
from vissum_jax.types import Classifier

DEFAULT_AREA = 0.1
"""Area that methods which need one optimise for, where the caller names none (EP)."""


class Batch(NamedTuple):
    """What a method gets to see; device arrays.

    Attributes:
        images: RGB, 8 bit.
        class_index: Class explained of each image.
        valid: False for rows that only fill the batch.
        area: Share of each image that its region should cover, for methods that optimise for one.
        fingerprint: A number that belongs to each image's content, for methods that draw lots per image.
        key: Random key, the same for every batch.
        guided: The network built with guided activations; for methods that do not need it, the network itself.
    """

    images: UInt8[Array, "b h w 3"]
    class_index: Int[Array, " b"]
    valid: Bool[Array, " b"]
    area: Float[Array, " b"]
    fingerprint: UInt32[Array, " b"]
    key: Array
    guided: Classifier


class Maps(NamedTuple):
    """A batch's maps, higher = more salient, and the network evaluations that each image took."""

    maps: Float[Array, "b h w"]
    passes: Int[Array, " b"]


@dataclass(frozen=True)
class Method:
    """A way to rank pixels.

    Attributes:
        run: ``run(classifier, batch, config) -> Maps``; a compiled program of its own.
        config: Its constants unless the caller brings others, or None if it has none.
        needs_guided: Whether it needs the network with guided activations.
    """

    run: Callable[[Classifier, Batch, Any], Maps]
    config: Any = None
    needs_guided: bool = False


@dataclass(frozen=True, kw_only=True)
class Importance:
    """Maps of n images on the host.

    Attributes:
        maps: Higher = more salient; only the order within a map means anything across methods.
        passes: Evaluations of the network spent on each image (one with its gradient counts once).
    """

    maps: Float[np.ndarray, "n h w"]
    passes: Int[np.ndarray, " n"]


def _counted(maps: Float[Array, "b h w"], passes: int) -> Maps:
    return Maps(maps, jnp.full(len(maps), passes, jnp.int32))


def _preset(classifier: Classifier, batch: Batch, config: Any) -> Maps:
    # Not compiled into a program of its own: `solve` is one, shared with the extraction of masks.
    solution = solve(classifier, batch.images, batch.class_index, batch.valid, config)
    return Maps(-solution.soft, solution.passes)  # 1 - soft would round the deepest values to one


@partial(jax.jit, static_argnames="config")
def _random(classifier: Classifier, batch: Batch, config: RandomConfig) -> Maps:
    del classifier
    height, width = batch.images.shape[1:3]
    keys = jax.vmap(partial(jax.random.fold_in, batch.key))(batch.fingerprint)
    return _counted(jax.vmap(lambda key: random_field(key, height, width, config))(keys), 0)


@partial(jax.jit, static_argnames="config")
def _gradient(classifier: Classifier, batch: Batch, config: None) -> Maps:
    del config
    return _counted(gradient(classifier, to_unit(batch.images), batch.class_index), 1)


@partial(jax.jit, static_argnames="config")
def _smoothed_gradient(classifier: Classifier, batch: Batch, config: SmoothedGradientConfig) -> Maps:
    return _counted(smoothed_gradient(classifier, to_unit(batch.images), batch.class_index, config), 1)


@partial(jax.jit, static_argnames="config")
def _smooth_grad(classifier: Classifier, batch: Batch, config: SmoothGradConfig) -> Maps:
    images = to_unit(batch.images)
    return _counted(smooth_grad(classifier, images, batch.class_index, config, key=batch.key), config.samples)


@partial(jax.jit, static_argnames="config")
def _grad_cam(classifier: Classifier, batch: Batch, config: GradCamConfig) -> Maps:
    return _counted(grad_cam(classifier, to_unit(batch.images), batch.class_index, config), 1)


@partial(jax.jit, static_argnames="config")
def _grad_cam_pp(classifier: Classifier, batch: Batch, config: GradCamConfig) -> Maps:
    return _counted(grad_cam_pp(classifier, to_unit(batch.images), batch.class_index, config), 1)


@partial(jax.jit, static_argnames="config")
def _guided_backprop(classifier: Classifier, batch: Batch, config: None) -> Maps:
    del classifier, config
    return _counted(guided_backprop(batch.guided, to_unit(batch.images), batch.class_index), 1)


@partial(jax.jit, static_argnames="config")
def _guided_grad_cam(classifier: Classifier, batch: Batch, config: GradCamConfig) -> Maps:
    images = to_unit(batch.images)
    return _counted(guided_grad_cam(classifier, batch.guided, images, batch.class_index, config), 2)


@partial(jax.jit, static_argnames="config")
def _deconvnet(classifier: Classifier, batch: Batch, config: None) -> Maps:
    del classifier, config
    return _counted(class_heat_map(batch.guided, to_unit(batch.images), batch.class_index), 1)


@partial(jax.jit, static_argnames="config")
def _rise(classifier: Classifier, batch: Batch, config: RiseConfig) -> Maps:
    images = to_unit(batch.images)
    return _counted(rise(classifier, images, batch.class_index, config, key=batch.key), config.masks)


@partial(jax.jit, static_argnames="config")
def _extremal(classifier: Classifier, batch: Batch, config: ExtremalConfig) -> Maps:
    images = to_unit(batch.images)
    maps = extremal_perturbation(classifier, images, batch.class_index, batch.area, config)
    return _counted(maps, config.iterations)


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        **{name: Method(_preset, config) for name, config in PRESETS.items()},
        "random": Method(_random, RandomConfig()),
        "gradient": Method(_gradient),
        "smoothed_gradient": Method(_smoothed_gradient, SmoothedGradientConfig()),
        "smooth_grad": Method(_smooth_grad, SmoothGradConfig()),
        "grad_cam": Method(_grad_cam, GradCamConfig()),
        "grad_cam_pp": Method(_grad_cam_pp, GradCamConfig()),
        "guided_backprop": Method(_guided_backprop, needs_guided=True),
        "guided_grad_cam": Method(_guided_grad_cam, GradCamConfig(), needs_guided=True),
        "deconvnet": Method(_deconvnet, needs_guided=True),
        "rise": Method(_rise, RiseConfig()),
        "extremal": Method(_extremal, ExtremalConfig()),
    }
)
"""The methods by name: the presets of `vissum_jax.masks.config`, the null method, and what others published."""


def method_named(name: str) -> Method:
    """Look a method up.

    Raises:
        ValueError: If there is no such method; the message names the nearest.
    """
    if name in METHODS:
        return METHODS[name]
    near = difflib.get_close_matches(name, METHODS, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(f"unknown method {name!r}: {hint}known methods are {', '.join(METHODS)}.")


def importance(
    classifier: Classifier,
    images: UInt8[np.ndarray, "n h w 3"],
    class_index: Int[np.ndarray, " n"],
    *,
    method: str,
    batch_size: int,
    seed: int = 0,
    area: Float[np.ndarray, " n"] | float = DEFAULT_AREA,
    guided: Classifier | None = None,
    config: Any = None,
    progress: Callable[[int], object] | None = None,
) -> Importance:
    """Importance of every pixel of n images for a class, by any method.

    A map depends on its image, its class, the seed and nothing else: not on the batch it was computed in (up to
    rounding) nor on its place among the images.

    Args:
        classifier: The network explained.
        images: RGB, of the network's input size.
        class_index: Class explained of each image.
        method: A name of `METHODS`.
        batch_size: Images worked on at once; a method is compiled once for it.
        seed: Seed of methods that draw lots (``random``, ``smooth_grad``, ``rise``).
        area: Share of the image that a region should cover, one for all or one each, for methods that optimise for an
            area (``extremal``).
        guided: The same network with guided activations, for methods that need it:
            ``load_classifier(name, activation=vissum_jax.attribution.guided.guided_relu)``; with
            ``convolution=vissum_jax.ops.destrided.destrided_conv2d``, too, maps have no stride artefacts.
        config: Other constants than the method's own, of the same type.
        progress: Called with numbers of images done.

    Raises:
        ValueError: If the images do not fit the network, there is no such method, the guided network that it needs is
            missing, or the configuration is another method's.
    """
    check_images(images, classifier)
    chosen = method_named(method)
    count, height, width, _ = images.shape
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1, got {batch_size}.")
    if class_index.shape != (count,):
        raise ValueError(f"`class_index` must be one for each of the {count} images, got {class_index.shape}.")
    areas = np.broadcast_to(np.asarray(area, np.float32), (count,))
    if not np.all((areas > 0) & (areas < 1)):
        raise ValueError(f"`area` must be in (0, 1), got {areas.min()}..{areas.max()}.")
    if chosen.needs_guided and guided is None:
        raise ValueError(
            f"method {method!r} needs `guided`, the network built with guided activations: "
            "load_classifier(name, activation=guided_relu), or guided_relu6 where the network's own is ReLU6."
        )
    if config is None:
        config = chosen.config
    elif chosen.config is None:
        raise ValueError(f"method {method!r} has no configuration, got a {type(config).__name__}.")
    elif type(config) is not type(chosen.config):
        raise ValueError(
            f"`config` of method {method!r} must be a {type(chosen.config).__name__}, got {type(config).__name__}."
        )
    fingerprints = np.array([zlib.crc32(image.tobytes()) for image in images], np.uint32)
    maps, passes = np.empty((count, height, width), np.float32), np.empty(count, np.int32)
    for filled, rows in batches(np.arange(count), batch_size):
        batch = Batch(
            images=jnp.asarray(images[filled]),
            class_index=jnp.asarray(class_index[filled]),
            valid=jnp.asarray(np.arange(batch_size) < len(rows)),
            area=jnp.asarray(areas[filled]),
            fingerprint=jnp.asarray(fingerprints[filled]),
            key=jax.random.key(seed),
            guided=guided if guided is not None and chosen.needs_guided else classifier,
        )
        found = jax.device_get(chosen.run(classifier, batch, config))
        maps[rows], passes[rows] = found.maps[: len(rows)], found.passes[: len(rows)]
        if progress is not None:
            progress(len(rows))
    return Importance(maps=maps, passes=passes)
