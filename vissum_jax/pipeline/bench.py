"""What a machine will need for a run: a trial on rendered pictures, and what follows from it."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import UInt8

from vissum_jax.data.an8flower import FlowerConfig, flower_classes, render_flower
from vissum_jax.masks import compact, phased
from vissum_jax.masks.config import MaskConfig, PhasedConfig
from vissum_jax.masks.extract import extract
from vissum_jax.matching import match_class
from vissum_jax.pipeline.feature_maps import feature_maps
from vissum_jax.pipeline.memory import count_regions, default_batch_size, device_name
from vissum_jax.pipeline.progress import Progress
from vissum_jax.pipeline.settings import StageConfigs
from vissum_jax.types import Classifier, ClassifierSpec, MaskBatch, ProposalBatch

IMAGE_COUNTS = (50_000, 1_281_167)
"""ImageNet's validation and training images."""
CLASS_IMAGES = 50
"""Of a class of the validation images."""

_VARIANT = "double-12c"
_MOST_PICTURES = 64
"""Rendered pictures; more images are these again, as no image's search depends on another's."""
_MATCHED_IMAGES, _WARM_UP_IMAGES = 13, 2
"""13 images have 91 pairs, which fill the tiles in which pairs are scored as well as those of 50 images do."""
_SALIENT_SHARE = 4
"""One box in so many is salient, as in photographs."""
_JUDGEMENTS = 4
"""Of every mask: the clean image, the soft mask, the binary mask, another perturbation."""
_COMPILED = "/jax/core/compile/backend_compile_duration"


@dataclass(frozen=True, kw_only=True)
class MaskTrial:
    """Masks found in the trial.

    Attributes:
        images: How many.
        seconds: What they took, compiling not counted.
        compile_seconds: What compiling took.
        passes: Evaluations of the network spent on an image, on average.
        most_passes: The most that the preset spends on an image.
    """

    images: int
    seconds: float
    compile_seconds: float
    passes: float
    most_passes: int

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.images / self.seconds

    @property
    def least_rate(self) -> float:
        """Images a second if every image took as many evaluations as there may be."""
        return self.rate * self.passes / self.most_passes


@dataclass(frozen=True, kw_only=True)
class MatchTrial:
    """Matching in the trial.

    Attributes:
        images: Images of the class.
        boxes: Boxes of each; as many as the configuration lets an image have.
        seconds: What all of it took.
        pair_seconds: What a pair of images took, the descriptors not counted.
    """

    images: int
    boxes: int
    seconds: float
    pair_seconds: float

    def class_seconds(self, images: int) -> float:
        """For a class of so many images: descriptors by the image, scores by the pair, each image with itself too."""
        descriptors = max(self.seconds - self.pair_seconds * _pairs(self.images), 0.0) / self.images
        return descriptors * images + self.pair_seconds * _pairs(images)


@dataclass(frozen=True, kw_only=True)
class BenchResult:
    """A trial and where it took place.

    Attributes:
        model: Name of the network.
        preset: Name of the masks' preset.
        device: What computed.
        batch_size: Images searched at once on each device.
        masks: Masks.
        matching: Matching.
    """

    model: str
    preset: str
    device: str
    batch_size: int
    masks: MaskTrial
    matching: MatchTrial

    def plain(self) -> dict[str, Any]:
        """As plain values for JSON: what was measured, what is extrapolated from it, and how."""
        masks, matching = self.masks, self.matching
        return {
            "model": self.model,
            "preset": self.preset,
            "device": self.device,
            "batch_size": self.batch_size,
            "measured": {
                "mask_images": masks.images,
                "mask_seconds": masks.seconds,
                "mask_images_per_second": masks.rate,
                "passes_per_image": masks.passes,
                "compile_seconds": masks.compile_seconds,
                "matched_images": matching.images,
                "boxes_per_image": matching.boxes,
                "matching_seconds": matching.seconds,
                "pair_seconds": matching.pair_seconds,
            },
            "extrapolated": {
                "mask_images_per_second_at_least": masks.least_rate,
                "most_passes_per_image": masks.most_passes,
                "mask_hours": {str(count): hours(count, masks.rate) for count in IMAGE_COUNTS},
                "mask_hours_at_most": {str(count): hours(count, masks.least_rate) for count in IMAGE_COUNTS},
                "matching_seconds_per_class": matching.class_seconds(CLASS_IMAGES),
                "class_images": CLASS_IMAGES,
            },
            "method": METHOD,
        }


METHOD = (
    "Measured: masks of rendered pictures, each for the network's own answer, compiling not counted; match scores of "
    "random boxes, as many as an image may have, a quarter of them salient. Extrapolated: hours = images / rate; 'at "
    "most' as if every image took all evaluations that the preset allows, as photographs on which a search goes on for "
    "long can; a class's matching by its images and pairs. Not included: reading photographs, selective search, "
    "clustering, reports, and compiling."
)


def hours(images: int, rate: float) -> float:
    """For so many images at so many a second."""
    return images / rate / 3600


def run_trial(
    classifier: Classifier,
    masks: MaskConfig,
    stages: StageConfigs,
    progress: Progress,
    *,
    batch_size: int,
    seconds: float,
) -> BenchResult:
    """Find masks of rendered pictures for about so long, then match a few images.

    Args:
        classifier: The network.
        masks: A preset.
        stages: Constants of the other stages.
        progress: Shows the progress.
        batch_size: Images searched at once on each device.
        seconds: For the masks, compiling not counted; at least one batch is searched, however long that takes.

    Raises:
        ValueError: If `seconds` is not positive.
    """
    if not seconds > 0:
        raise ValueError(f"`seconds` must be positive, got {seconds}.")
    count = batch_size * jax.local_device_count()
    pictures = rendered(classifier.spec, min(count, _MOST_PICTURES))
    return BenchResult(
        model=classifier.spec.name,
        preset=masks.name,
        device=device_name(),
        batch_size=batch_size,
        masks=_try_masks(classifier, pictures, masks, progress, batch_size=batch_size, seconds=seconds),
        matching=_try_matching(classifier, pictures, stages, progress),
    )


def most_passes(config: MaskConfig) -> int:
    """The most evaluations of the network that a preset spends on an image, the judgement of its mask among them."""
    searched = phased.evaluations(config) if isinstance(config, PhasedConfig) else compact.evaluations(config)
    return searched + _JUDGEMENTS


def rendered(spec: ClassifierSpec, count: int) -> UInt8[np.ndarray, "n h w 3"]:
    """Flowers of the network's input size; the same ones every time."""
    classes = flower_classes(_VARIANT)
    config = FlowerConfig(size=max(spec.input_height, spec.input_width))
    flowers = [render_flower(classes[number % len(classes)], (0, number), config).image for number in range(count)]
    return np.stack(flowers)[:, : spec.input_height, : spec.input_width]


def _try_masks(
    classifier: Classifier,
    pictures: UInt8[np.ndarray, "n h w 3"],
    config: MaskConfig,
    progress: Progress,
    *,
    batch_size: int,
    seconds: float,
) -> MaskTrial:
    """One batch, in which programs are compiled, then as many as the rest of the time should do for.

    The first batch counts only where there was time for no other: some of what compiling takes cannot be told apart.
    """
    heard = _compilations()
    before = sum(heard)
    batch = batch_size * jax.local_device_count()
    progress.start("masks", math.ceil(seconds))
    trials: list[tuple[int, float, float]] = []
    taken, shown = 0.0, 0

    def find(count: int) -> MaskBatch:
        return extract(
            classifier,
            pictures[np.arange(count) % len(pictures)],
            None,
            config,
            batch_size=batch_size,
            count_regions=count_regions,
            skip_mispredicted=False,
        )

    count = batch
    while count > 0:
        start, compiled = time.perf_counter(), sum(heard)
        evaluations = float(find(count).passes.sum())
        own = time.perf_counter() - start - (sum(heard) - compiled)
        trials.append((count, own, evaluations))
        taken += own
        progress.advance(min(int(taken), math.ceil(seconds)) - shown)
        shown = min(int(taken), math.ceil(seconds))
        # Many batches at once, as in a run, where images that are done make room for others.
        count = int((seconds - taken) * count / own) // batch * batch
    progress.advance(math.ceil(seconds) - shown)
    progress.finish()
    images, taken, evaluations = map(sum, zip(*(trials[1:] or trials), strict=True))
    return MaskTrial(
        images=int(images),
        seconds=taken,
        compile_seconds=sum(heard) - before,
        passes=evaluations / images,
        most_passes=most_passes(config),
    )


def _try_matching(
    classifier: Classifier, pictures: UInt8[np.ndarray, "n h w 3"], stages: StageConfigs, progress: Progress
) -> MatchTrial:
    maps = feature_maps(classifier, stages.matching, batch_size=default_batch_size())

    def match(count: int, report: Callable[[int], object]) -> None:
        images = pictures[np.arange(count) % len(pictures)]
        boxes = _random_boxes(count, stages.proposals.max_proposals, classifier.spec, stages.proposals.min_side)
        match_class(images, boxes, stages.matching, feature_maps=maps, progress=report)

    progress.start("matches", _pairs(_MATCHED_IMAGES))
    match(_WARM_UP_IMAGES, lambda pairs: None)  # compiles everything for the shapes of any class
    told: list[tuple[float, int]] = []

    def report(pairs: int) -> None:
        told.append((time.perf_counter(), pairs))
        progress.advance(pairs)

    start = time.perf_counter()
    match(_MATCHED_IMAGES, report)
    seconds = time.perf_counter() - start
    progress.finish()
    tiles = [entry for entry in told if entry[1]]
    between = sum(pairs for _, pairs in tiles[1:])
    return MatchTrial(
        images=_MATCHED_IMAGES,
        boxes=stages.proposals.max_proposals,
        seconds=seconds,
        pair_seconds=(tiles[-1][0] - tiles[0][0]) / between,
    )


def _pairs(images: int) -> int:
    return images * (images + 1) // 2


def _random_boxes(count: int, boxes: int, spec: ClassifierSpec, min_side: int) -> ProposalBatch:
    """Boxes anywhere; the first of each image are salient."""
    random = np.random.default_rng(0)
    limits = np.array([spec.input_width, spec.input_height])
    sides = random.integers(np.minimum(min_side, limits // 2), limits - limits // 5, (count, boxes, 2))
    corners = random.integers(0, limits - sides)
    return ProposalBatch(
        boxes=np.concatenate([corners, sides], axis=2).astype(np.int32),
        valid=np.ones((count, boxes), bool),
        salient=np.tile(np.arange(boxes) < max(1, boxes // _SALIENT_SHARE), (count, 1)),
    )


@functools.cache
def _compilations() -> list[float]:
    """Seconds of every compilation from the first call on; JAX tells whoever listens, for good."""
    heard: list[float] = []

    def hear(event: str, duration_secs: float, **_: str | int) -> None:
        if event == _COMPILED:
            heard.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(hear)
    return heard
