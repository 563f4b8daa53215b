"""Other groupings of what a class's photographs show, as many groups as the class has summaries.

`k_means` and `agglomerative` group the members' own boxes by the network's features of the crops, at unit length.
`craft` takes the same crops and asks for the strongest of as many non-negative factors of their features.
`ace` is k-means of superpixels of the same photographs; of a group one superpixel an image counts, the nearest to its
centre, as a summary has one box an image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int, UInt8

from vissum_jax.analysis.concepts import (
    ConceptConfig,
    agglomerative,
    k_means,
    nearest_of_each_image,
    strongest_factor,
    unit_rows,
)
from vissum_jax.analysis.segments import SegmentConfig, bounding_boxes, segments
from vissum_jax.pipeline.crop_features import crop_features
from vissum_jax.types import Classifier

BASELINES = ("k_means", "agglomerative", "ace", "craft")


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """Boxes of a class in groups, by whatever method.

    Attributes:
        images: The photograph of each box, as a row of the class.
        boxes: (x, y, width, height) in pixels of the mask geometry.
        labels: Its group.
        reason: Why there are none, where there are none.
    """

    images: Int[np.ndarray, " n"]
    boxes: Int[np.ndarray, "n 4"]
    labels: Int[np.ndarray, " n"]
    reason: str = ""

    @classmethod
    def without(cls, reason: str) -> Grouping:
        """No boxes, and why."""
        nothing = np.zeros(0, int)
        return cls(images=nothing, boxes=np.zeros((0, 4), int), labels=nothing, reason=reason)

    def relabelled(self, labels: Int[np.ndarray, " n"]) -> Grouping:
        """The same boxes in other groups."""
        return Grouping(images=self.images, boxes=self.boxes, labels=labels)


@dataclass(frozen=True, kw_only=True)
class BaselineConfig:
    """Constants of the baselines."""

    concepts: ConceptConfig = field(default_factory=ConceptConfig)
    segments: SegmentConfig = field(default_factory=SegmentConfig)


def group_anew(
    classifier: Classifier,
    photographs: UInt8[np.ndarray, "n h w 3"],
    members: Grouping,
    names: Sequence[str],
    config: BaselineConfig,
    *,
    batch_size: int,
    progress: Callable[[int], object],
) -> dict[str, Grouping]:
    """Group the members of a class's summaries by other methods.

    Args:
        classifier: The network explained.
        photographs: The class's.
        members: Kept members of its kept summaries; at least one.
        names: Baselines wanted.
        config: Constants.
        batch_size: Crops at once.
        progress: Called with numbers of photographs done, one for each photograph that has a member.
    """
    count = len(np.unique(members.labels))
    shown = np.unique(members.images)
    found: dict[str, Grouping] = {}
    if set(names) - {"ace"}:
        features = crop_features(classifier, photographs[members.images], members.boxes, batch_size=batch_size)
        for name in names:
            if name != "ace":
                found[name] = _grouped(members, name, features, count, config.concepts)
    if "ace" in names:
        found["ace"] = _superpixels(classifier, photographs, shown, count, config, batch_size, progress)
    else:
        progress(len(shown))
    return {name: found[name] for name in names}


def _grouped(
    members: Grouping, name: str, features: Float[np.ndarray, "n d"], count: int, config: ConceptConfig
) -> Grouping:
    if not np.isfinite(features).all():
        return Grouping.without("the network answers NaN or infinity for a crop")
    if name == "craft":
        if features.min() < 0:
            return Grouping.without("the network's features are negative in places: no non-negative factors")
        return members.relabelled(strongest_factor(features, count, config))
    unit = unit_rows(features)
    return members.relabelled(k_means(unit, count, config).labels if name == "k_means" else agglomerative(unit, count))


def _superpixels(
    classifier: Classifier,
    photographs: UInt8[np.ndarray, "n h w 3"],
    shown: Int[np.ndarray, " k"],
    count: int,
    config: BaselineConfig,
    batch_size: int,
    progress: Callable[[int], object],
) -> Grouping:
    boxes, features = [], []
    for image in shown:
        masks = segments(photographs[image], config.segments)
        boxes.append(bounding_boxes(masks))
        copies = np.broadcast_to(photographs[image], (len(masks), *photographs.shape[1:]))
        features.append(
            crop_features(classifier, copies, boxes[-1], masks, fill=config.segments.fill, batch_size=batch_size)
        )
        progress(1)
    images = np.repeat(shown, [len(found) for found in boxes])
    unit = unit_rows(np.concatenate(features))
    if not np.isfinite(unit).all():
        return Grouping.without("the network answers NaN or infinity for a superpixel")
    if len(unit) < count:
        return Grouping.without(f"{len(unit)} superpixels, fewer than the class's {count} summaries")
    groups = k_means(unit, count, config.concepts)
    rows = nearest_of_each_image(groups, images)
    return Grouping(images=images[rows], boxes=np.concatenate(boxes)[rows], labels=groups.labels[rows])
