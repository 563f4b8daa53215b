"""The stages composed in memory: images -> masks -> proposals -> matches -> summaries."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Bool, Int, UInt8

from vissum_jax.masks.config import MaskConfig
from vissum_jax.masks.config import preset as preset_named
from vissum_jax.masks.extract import check_images, extract, largest_search
from vissum_jax.matching import match_class
from vissum_jax.pipeline.feature_maps import feature_maps
from vissum_jax.pipeline.importance import rank_by_importance
from vissum_jax.pipeline.progress import Progress, Silent
from vissum_jax.pipeline.settings import StageConfigs
from vissum_jax.proposals import propose_batch, prune_redundant, regions
from vissum_jax.report import ClassReport, RunFacts, write_report
from vissum_jax.summaries import summarize_class
from vissum_jax.types import Classifier, ClassSummaries, ClusterDiagnostics, MaskBatch

_BATCH_ON_CPU = 8
_BATCH_ON_ACCELERATOR = 64
_LARGEST_SEARCH = 256  # where trials begin


def default_batch_size() -> int:
    """Images that a network looks at at once: enough to fill the device."""
    return _BATCH_ON_CPU if jax.default_backend() == "cpu" else _BATCH_ON_ACCELERATOR


def search_batch_size(classifier: Classifier, config: MaskConfig) -> int:
    """Images searched at once on each device: on an accelerator the most that fit its memory, found by trial."""
    if jax.default_backend() == "cpu":
        return _BATCH_ON_CPU
    return largest_search(classifier, config, largest=_LARGEST_SEARCH)


def count_regions(salient: Bool[np.ndarray, "h w"]) -> int:
    """Number of 8-connected regions."""
    return regions(salient)[1]


def extract_masks(
    classifier: Classifier,
    images: UInt8[np.ndarray, "n h w 3"],
    *,
    class_index: Int[np.ndarray, " n"] | int | None = None,
    preset: str = "compact",
    config: MaskConfig | None = None,
    batch_size: int | None = None,
    keep_mispredicted: bool = False,
    progress: Progress | None = None,
) -> MaskBatch:
    """Find for each image a small mask whose blurring destroys the class score (VS 3.1).

    Args:
        classifier: The network explained.
        images: RGB, of the network's input size.
        class_index: Class explained of each image, or one for all; None for the network's own answer.
        preset: ``compact``, ``paper``, ``authors`` or ``iebb``.
        config: A configuration of your own in place of a preset.
        batch_size: Images searched at once on each device; None for what suits it.
        keep_mispredicted: Whether images that the network answers wrongly are explained too.
        progress: Shows the progress.

    Raises:
        ValueError: If the images do not fit the network, or the preset or a class is unknown.
    """
    progress = progress or Silent()
    config = config or preset_named(preset)
    wanted = None if class_index is None else np.broadcast_to(np.asarray(class_index), (len(images),))
    progress.start("masks", len(images))
    masks = extract(
        classifier,
        images,
        wanted,
        config,
        batch_size=search_batch_size(classifier, config) if batch_size is None else batch_size,
        count_regions=count_regions,
        skip_mispredicted=not keep_mispredicted,
        progress=progress.advance,
    )
    progress.finish()
    return masks


def by_content(images: UInt8[np.ndarray, "n h w 3"], masks: MaskBatch) -> Int[np.ndarray, " k"]:
    """Images that have a mask, in an order that depends on their content alone.

    So neither sums in floating point nor what is drawn by a seed depend on how a class is listed.
    """

    def digest(row: int) -> bytes:
        content = hashlib.sha256(images[row].tobytes())
        content.update(np.packbits(masks.salient[row]).tobytes())
        return content.digest()

    return np.array(sorted(np.flatnonzero(masks.has_mask).tolist(), key=digest), dtype=int)


def summarize_images(
    classifier: Classifier,
    images: UInt8[np.ndarray, "n h w 3"],
    masks: MaskBatch,
    class_index: int,
    configs: StageConfigs,
    progress: Progress,
    *,
    batch_size: int | None = None,
    workers: int | None = None,
) -> ClassSummaries:
    """Visual summaries of one class from its images and their masks (VS 3.2); members count all images given.

    Args:
        classifier: The network explained.
        images: RGB, of the network's input size.
        masks: Their masks.
        class_index: The class.
        configs: Constants.
        progress: Shows the progress.
        batch_size: Images on the device at once; None for what suits it.
        workers: Threads that search for proposals; as many as there are processors by default.

    Raises:
        ValueError: If the network has no feature map and `configs.matching.descriptor` needs one.
    """
    batch_size = default_batch_size() if batch_size is None else batch_size
    maps = feature_maps(classifier, configs.matching, batch_size=batch_size)
    rows = by_content(images, masks)
    if not len(rows):
        return ClassSummaries(
            class_index=class_index,
            summaries=(),
            diagnostics=ClusterDiagnostics(images=0, proposals=0, clustered=0),
            reason="no image of the class has a mask",
        )
    shown = images[rows]
    progress.start("proposals", len(rows))
    proposals = propose_batch(shown, masks.salient[rows], configs.proposals, workers=workers, progress=progress.advance)
    progress.finish()
    progress.start("matches", len(rows) * (len(rows) + 1) // 2)
    matches = match_class(shown, proposals, configs.matching, feature_maps=maps, progress=progress.advance)
    progress.finish()
    distinct = prune_redundant(matches.boxes, matches.image_ids, matches.best_mean, configs.proposals)
    kept = matches.select(distinct)
    result = summarize_class(
        images,
        class_index,
        kept.similarity,
        kept.boxes,
        rows[kept.image_ids],
        configs.summaries,
        proposals=len(matches),
    )
    progress.start("importance", sum(len(summary.kept_members) for summary in result.kept))
    result = rank_by_importance(result, classifier, images, masks, batch_size=batch_size, progress=progress.advance)
    progress.finish()
    return dataclasses.replace(result, diagnostics=dataclasses.replace(result.diagnostics, images=len(rows)))


@dataclass(frozen=True)
class SummarySet:
    """The summaries of the classes of some images, with what a report needs.

    Attributes:
        classifier: The network explained.
        images: RGB.
        masks: Their masks.
        classes: One result a class, by class index.
    """

    classifier: Classifier
    images: UInt8[np.ndarray, "n h w 3"]
    masks: MaskBatch
    classes: tuple[ClassSummaries, ...]

    def report(self, out: Path | str) -> Path:
        """Write the static report.

        Args:
            out: A folder that does not exist, is empty, or holds an earlier report.

        Returns:
            The page to open.
        """
        spec = self.classifier.spec
        facts = RunFacts(model=spec.name, preset="", class_names=spec.class_names, device=device_name())
        return write_report(out, facts, map(self._class_report, self.classes))

    def _repr_html_(self) -> str:
        from vissum_jax.pipeline.display import summary_set_html  # only once a notebook asks

        return summary_set_html(self)

    def _class_report(self, result: ClassSummaries) -> ClassReport:
        from vissum_jax.pipeline.perturbed import perturbed_pictures  # which builds on this module

        rows = np.flatnonzero(self.masks.class_index == result.class_index)
        masks = self.masks.select(rows)
        return ClassReport(
            class_index=result.class_index,
            class_name=self.classifier.spec.class_names[result.class_index],
            files=tuple(f"image {row}" for row in rows),
            images=self.images[rows],
            masks=masks,
            summaries=result,
            perturbed=perturbed_pictures(self.images[rows], masks),
        )


def device_name() -> str:
    """What JAX computes on, in words."""
    devices = jax.local_devices()
    return f"{len(devices)} x {devices[0].device_kind} ({devices[0].platform})"


def summarize(
    classifier: Classifier,
    images: UInt8[np.ndarray, "n h w 3"],
    masks: MaskBatch,
    *,
    configs: StageConfigs | None = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> SummarySet:
    """Match and cluster the masked regions of each class's images into visual summaries (VS 3.2).

    Args:
        classifier: The network explained.
        images: RGB, of the network's input size.
        masks: Result of `extract_masks` for the same images.
        configs: Constants of proposals, matching and clustering.
        batch_size: Images on the device at once; None for what suits it.
        progress: Shows the progress.

    Returns:
        Per class its summaries; in their members, images count within the class.
    """
    check_images(images, classifier)
    if len(masks) != len(images):
        raise ValueError(f"`masks` must be one for each of the {len(images)} images, got {len(masks)}.")
    classes = []
    # An image that broke the network has no class of its own.
    for class_index in np.unique(masks.class_index[masks.class_index >= 0]):
        rows = np.flatnonzero(masks.class_index == class_index)
        classes.append(
            summarize_images(
                classifier,
                images[rows],
                masks.select(rows),
                int(class_index),
                configs or StageConfigs(),
                progress or Silent(),
                batch_size=batch_size,
            )
        )
    return SummarySet(classifier=classifier, images=images, masks=masks, classes=tuple(classes))
