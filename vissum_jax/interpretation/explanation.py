"""Why a network answers what it answers: the relevant features that speak for it, and where (VE section 3.2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from vissum_jax.attribution.deconvnet import feature_heat_map, upsampled_activation
from vissum_jax.interpretation.responses import responses
from vissum_jax.interpretation.selection import FeatureSelection
from vissum_jax.types import Classifier

VISUALS = ("deconvnet", "activation")
"""How a feature is shown: its own activation map sent back to the pixels, or enlarged."""


@dataclass(frozen=True, kw_only=True)
class ExplanationConfig:
    """What an explanation shows.

    Attributes:
        top: So many features at most.
        visual: One of `VISUALS`.
    """

    top: int = 3
    visual: str = "deconvnet"

    def __post_init__(self) -> None:
        """Check ranges."""
        if self.top < 1:
            raise ValueError(f"`top` must be at least 1, got {self.top}.")
        if self.visual not in VISUALS:
            raise ValueError(f"`visual` must be one of {', '.join(VISUALS)}, got {self.visual!r}.")


class Feature(NamedTuple):
    """A filter that speaks for an answer.

    Attributes:
        layer: Endpoint.
        channel: Channel of it.
        strength: Its share of all that speaks for and against the answer, in (0, 1].
    """

    layer: str
    channel: int
    strength: float


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why one image was answered with a class.

    Attributes:
        class_index: The class explained.
        probability: Softmax probability of every class.
        features: What speaks for the class, strongest first; none if nothing does.
        maps: A heat map in [0, 1] of each feature.
    """

    class_index: int
    probability: Float[np.ndarray, " classes"]
    features: tuple[Feature, ...]
    maps: Float[np.ndarray, "k h w"]

    @property
    def combined(self) -> Float[np.ndarray, "h w"]:
        """Largest value over the features at each pixel; 0 if there are none."""
        return np.max(self.maps, axis=0, initial=0.0)


def strengths(
    response: Float[np.ndarray, " columns"], weights: Float[np.ndarray, " columns"]
) -> Float[np.ndarray, " columns"]:
    """What each feature says for (> 0) or against (< 0) a class: s_k = x_k w_k / sum_j |x_j w_j|.

    By magnitudes, because a plain sum may vanish where features contradict each other; the order is the same. 0
    everywhere where no relevant feature responds.

    Source: Oramas, Wang, Tuytelaars, Visual Explanation by Interpretation, ICLR 2019.
    """
    shares = response.astype(np.float64) * weights
    total = np.abs(shares).sum()
    return shares / total if total > 0 else np.zeros_like(shares)


def supporting(
    selection: FeatureSelection, response: Float[np.ndarray, " columns"], class_index: int, *, top: int
) -> tuple[Feature, ...]:
    """The features that say most for a class, strongest first; of two equal ones the first in `selection.columns`.

    Args:
        selection: Relevant features.
        response: The image's responses, see `responses`.
        class_index: The class, by its logit; nothing speaks for one that no features were selected for.
        top: At most so many.
    """
    if class_index not in selection.class_index:
        return ()
    strength = strengths(response, selection.weights[:, selection.position(class_index)])
    order = np.argsort(-strength, kind="stable")[:top]
    return tuple(
        Feature(*selection.columns.filter(int(column)), float(strength[column]))
        for column in order
        if strength[column] > 0
    )


class _Job(NamedTuple):
    """A heat map to compute: the image's row, the filter, and which of the image's maps it is."""

    row: int
    place: int
    feature: Feature


@partial(jax.jit, static_argnames="layers")
def _answers(
    classifier: Classifier, images: UInt8[Array, "b h w 3"], *, layers: tuple[str, ...]
) -> tuple[Float[Array, "b classes"], Float[Array, "b columns"]]:
    inputs = _unit(images)
    probability = jax.nn.softmax(classifier(inputs).logits.astype(jnp.float32))
    return probability, responses(classifier, inputs, layers=layers)


@partial(jax.jit, static_argnames=("endpoint", "visual"))
def _heat_maps(
    network: Classifier, images: UInt8[Array, "b h w 3"], channel: Int[Array, " b"], *, endpoint: str, visual: str
) -> Float[Array, "b h w"]:
    compute = feature_heat_map if visual == "deconvnet" else upsampled_activation
    return compute(network, _unit(images), channel, endpoint=endpoint)


def _unit(images: UInt8[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
    return images.astype(jnp.float32) / 255.0


def _batches(count: int, size: int) -> Iterator[tuple[Int[np.ndarray, " size"], int]]:
    """Numbers below `count` in batches of one size, the last filled up with its first; and how many are meant."""
    for start in range(0, count, size):
        own = np.arange(start, min(start + size, count))
        yield np.concatenate([own, np.full(size - len(own), start)]), len(own)


def explain(
    classifier: Classifier,
    guided_classifier: Classifier,
    selection: FeatureSelection,
    images: UInt8[np.ndarray, "n h w 3"],
    class_index: Int[np.ndarray, " n"] | None = None,
    *,
    config: ExplanationConfig,
    batch_size: int,
    progress: Callable[[int], object] = lambda count: None,
) -> list[Explanation]:
    """Explain the network's answers, or other classes, by the relevant features that speak most for them.

    Heat maps are computed layer by layer, from whatever images have a feature there: one compiled program a layer, to
    which the channel is data.

    Source: Oramas, Wang, Tuytelaars, Visual Explanation by Interpretation, ICLR 2019.

    Args:
        classifier: The network explained.
        guided_classifier: The same built with guided activations, and with `destrided_conv2d` for heat maps without
            stride artefacts; heat maps of the visual ``activation`` do not use it.
        selection: Relevant features of the network.
        images: RGB, of the network's input size.
        class_index: A class to explain for each image; None for the network's own answers.
        config: What is shown.
        batch_size: Images on the device at once.
        progress: Called with numbers of images done.

    Returns:
        An explanation of each image, in order.
    """
    probability, response = _all_answers(classifier, selection, images, batch_size)
    explained = np.argmax(probability, axis=1) if class_index is None else class_index
    features = [
        supporting(selection, own, int(index), top=config.top) for own, index in zip(response, explained, strict=True)
    ]
    maps = [np.zeros((len(own), *images.shape[1:3]), np.float32) for own in features]
    jobs = [_Job(row, place, feature) for row, own in enumerate(features) for place, feature in enumerate(own)]
    left = Counter(job.row for job in jobs)
    progress(len(images) - len(left))
    network = guided_classifier if config.visual == "deconvnet" else classifier
    for layer in selection.columns.layers:
        own_jobs = [job for job in jobs if job.feature.layer == layer]
        for job, heat in _heat_maps_of(network, images, layer, own_jobs, config.visual, batch_size):
            maps[job.row][job.place] = heat
            left[job.row] -= 1
            if not left[job.row]:
                progress(1)
    return [
        Explanation(class_index=int(explained[row]), probability=probability[row], features=own, maps=maps[row])
        for row, own in enumerate(features)
    ]


def _all_answers(
    classifier: Classifier, selection: FeatureSelection, images: UInt8[np.ndarray, "n h w 3"], batch_size: int
) -> tuple[Float[np.ndarray, "n classes"], Float[np.ndarray, "n columns"]]:
    probability = np.empty((len(images), len(classifier.spec.class_names)), np.float32)
    response = np.empty((len(images), len(selection.columns)), np.float32)
    for rows, count in _batches(len(images), batch_size):
        found = jax.device_get(_answers(classifier, jnp.asarray(images[rows]), layers=selection.columns.layers))
        probability[rows[:count]], response[rows[:count]] = (values[:count] for values in found)
    return probability, response


def _heat_maps_of(
    network: Classifier,
    images: UInt8[np.ndarray, "n h w 3"],
    layer: str,
    jobs: Sequence[_Job],
    visual: str,
    batch_size: int,
) -> Iterator[tuple[_Job, Float[np.ndarray, "h w"]]]:
    """Heat maps of features of one layer."""
    for numbers, count in _batches(len(jobs), batch_size):
        batch = [jobs[number] for number in numbers]
        shown = jnp.asarray(images[[job.row for job in batch]])
        channel = jnp.asarray([job.feature.channel for job in batch], jnp.int32)
        found = np.asarray(_heat_maps(network, shown, channel, endpoint=layer, visual=visual))
        yield from zip(batch[:count], found[:count], strict=True)
