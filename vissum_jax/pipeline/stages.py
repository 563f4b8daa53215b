"""The stages of a run, from files to files: each reads the parts before it and finishes its own.

    folder of photographs --mask_stage--> masks/ --summary_stage--> summaries/ --report_stage--> report/

A run is a folder. Its manifest freezes what is computed; every stage can be stopped at any time and goes on
where it was. Any number of processes, on any hosts that see the folder, may work on a stage at once.
"""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import UInt8

from vissum_jax._version import __version__
from vissum_jax.data import Decoded, FolderSource, ImageEntry, UnreadableImage, open_folder
from vissum_jax.masks.extract import extract
from vissum_jax.models import load_classifier, read_class_names
from vissum_jax.pipeline.feature_maps import matching_endpoint
from vissum_jax.pipeline.memory import count_regions, default_batch_size, device_name, summarize_images
from vissum_jax.pipeline.preflight import LabelCheck, require_fitting_labels
from vissum_jax.pipeline.progress import Progress
from vissum_jax.pipeline.settings import RunConfig, fingerprint
from vissum_jax.report import ClassReport, ReportWriter, RunFacts
from vissum_jax.report.evaluation import read_evaluation
from vissum_jax.runs.engine import Tally, finish_parts, never
from vissum_jax.runs.leases import LeaseConfig, Leases
from vissum_jax.runs.log import FILE as LOG_FILE
from vissum_jax.runs.log import EventLog
from vissum_jax.runs.manifest import FILE as MANIFEST_FILE
from vissum_jax.runs.manifest import Manifest, differences, load_manifest
from vissum_jax.runs.rows import class_summaries, mask_batch, mask_table, summary_table
from vissum_jax.runs.store import LocalFolder, PartStore
from vissum_jax.study.tags import read_tags
from vissum_jax.types import Classifier, ClassSummaries, Crop, MaskBatch, MaskStatus

SHARD_SIZE = 64
"""Images of a mask part, unless asked for otherwise: what is computed again, at most, after a crash."""

FAILED = (MaskStatus.UNREADABLE, MaskStatus.NON_FINITE)
"""Statuses of images on which the work itself failed."""

_PACKAGES = (
    "jax",
    "jaxlib",
    "flax",
    "numpy",
    "scikit-learn",
    "scikit-image",
    "opencv-contrib-python-headless",
)


class NotReadyError(ValueError):
    """A stage was asked for before the one it reads from is done."""


class ChangedError(ValueError):
    """A photograph is no longer the one that its mask was found on."""


@dataclass(frozen=True)
class Run:
    """An open run: its folder, its manifest, and what they name, loaded.

    Attributes:
        folder: The RUN folder.
        manifest: What is computed.
        config: What was asked for.
        classifier: The network explained.
        source: The photographs.
    """

    folder: Path
    manifest: Manifest
    config: RunConfig
    classifier: Classifier
    source: FolderSource

    @property
    def masks(self) -> PartStore:
        """Mask rows, a part a shard."""
        return PartStore(self.folder / "masks")

    @property
    def summaries(self) -> PartStore:
        """Summary rows, a part a class."""
        return PartStore(self.folder / "summaries")

    @property
    def log(self) -> EventLog:
        """The event log."""
        return EventLog(self.folder / LOG_FILE)

    def require_masks(self) -> None:
        """Check that every mask part is done.

        Raises:
            NotReadyError: If one is not.
        """
        missing = [number for number in range(len(self.manifest.shards)) if not self.masks.done(number)]
        if missing:
            raise NotReadyError(
                f"{str(self.folder)!r}: {len(missing)} of {len(self.manifest.shards)} mask parts are not done; "
                f"finish them with `vissum masks {self.folder}`."
            )

    def mask_rows(self) -> pa.Table:
        """All mask rows; every part must be done."""
        self.require_masks()
        return pa.concat_tables([self.masks.read(number) for number in range(len(self.manifest.shards))])

    def class_rows(self, class_index: int) -> pa.Table:
        """The mask rows of a class, read from the parts that hold any."""
        entries, shards = self.manifest.entries, enumerate(self.manifest.shards)
        own = [
            number for number, (start, stop) in shards if any(entry[1] == class_index for entry in entries[start:stop])
        ]
        rows = pa.concat_tables([self.masks.read(number) for number in own])
        return rows.filter(pc.equal(rows["class_index"], class_index))  # pyright: ignore[reportAttributeAccessIssue]

    def class_result(self, class_index: int) -> ClassSummaries:
        """The summaries of a class; its members count the class's photographs."""
        images = [entry.image for entry in self.source.of_class(class_index)]
        return class_summaries(self.summaries.read(class_index), images)


def _resolved(config: RunConfig, classifier: Classifier) -> dict[str, Any]:
    """All values that decide the results, those that the network decides among them.

    Raises:
        ValueError: If boxes shall be compared by a feature map that the network does not report.
    """
    resolved = config.resolved()
    if "matching" in resolved:  # which saliency and localisation have no use for
        endpoint = matching_endpoint(classifier, config.stages.matching)
        if resolved["matching"]["descriptor"] == "auto":
            resolved["matching"]["descriptor"] = "both" if endpoint else "hog"
        resolved["matching"]["endpoint"] = endpoint or ""
    return resolved


def _manifest(config: RunConfig, classifier: Classifier, source: FolderSource, shard_size: int) -> Manifest:
    resolved = _resolved(config, classifier)
    entries = tuple((entry.image, entry.class_index, entry.class_name) for entry in source.entries)
    spec = classifier.spec
    return Manifest(
        configuration=resolved,
        fingerprint=fingerprint({**resolved, "weights_sha256": spec.weights_sha256}),
        request=dataclasses.asdict(config),
        model={
            "name": spec.name,
            "weights_sha256": spec.weights_sha256,
            "input_height": spec.input_height,
            "input_width": spec.input_width,
            "classes": len(spec.class_names),
        },
        versions={"vissum-jax": __version__, **{name: metadata.version(name) for name in _PACKAGES}},
        device=device_name(),
        entries=entries,
        shards=tuple((start, min(start + shard_size, len(entries))) for start in range(0, len(entries), shard_size)),
    )


def start_run(
    config: RunConfig,
    folder: Path | str,
    *,
    check: Callable[[Classifier], object] = lambda classifier: None,
    shard_size: int | None = None,
) -> Run:
    """Start a run in a new folder, or go on with the one that is there.

    Args:
        config: What is asked for.
        folder: The RUN folder.
        check: Looks at the network before anything is written, and raises ValueError if it does not fit.
        shard_size: Images of a mask part; None for the one of the run that is there, or `SHARD_SIZE`.

    Raises:
        FileNotFoundError: The photographs, the weights or the network are not there.
        ValueError: Something in the configuration is wrong, or the folder holds another run (what differs is
            listed) or something else.
    """
    folder = Path(folder)
    if shard_size is not None and shard_size < 1:
        raise ValueError(f"`shard_size` must be at least 1, got {shard_size}.")
    if folder.exists() and not _may_hold_a_run(folder):
        raise ValueError(f"{str(folder)!r} exists and is not a RUN folder; name another one with --out.")
    class_names = None if config.class_names_file is None else read_class_names(config.class_names_file)
    classifier = load_classifier(
        config.model, weights=config.weights, class_names=class_names, precision=config.precision
    )
    check(classifier)
    source = open_folder(config.images, classifier.spec, classes=config.classes, limit=config.limit)
    manifest = _manifest(config, classifier, source, shard_size or SHARD_SIZE)
    if not (folder / MANIFEST_FILE).exists():
        manifest.save(folder)
    there = load_manifest(folder)  # another process may have started the run at the same moment
    changed = differences(there, manifest)
    if shard_size is not None and not changed and there.shards != manifest.shards:
        changed = [f"shard_size: {there.shards[0][1]} -> {shard_size}"]
    if changed:
        raise ValueError(
            f"{str(folder)!r} holds a run with another configuration; name another folder with --out, or "
            f"go back to its settings: {'; '.join(changed)}."
        )
    return Run(folder, there, config, classifier, source)


def _may_hold_a_run(folder: Path) -> bool:
    """Whether a folder is a run, or empty but for what a kill left of a manifest that was being written."""
    if not folder.is_dir():
        return False
    names = {path.name for path in folder.iterdir()}
    return MANIFEST_FILE in names or all(
        name.startswith(f".{MANIFEST_FILE}.") and name.endswith(".partial") for name in names
    )


def open_run(folder: Path | str) -> Run:
    """Open a run that was started before, as its manifest describes it.

    Raises:
        FileNotFoundError: There is no run, or its photographs or weights are gone.
        ValueError: What it was made from has changed since.
    """
    request = dict(load_manifest(Path(folder)).request)
    request["classes"] = tuple(request["classes"])
    return start_run(RunConfig(**request), folder)


def _read(
    run: Run, entries: Sequence[ImageEntry]
) -> tuple[UInt8[np.ndarray, "n h w 3"], list[Decoded | UnreadableImage]]:
    """Decode photographs; black where one is unreadable."""
    spec = run.classifier.spec
    decoded = run.source.read(entries, spec, workers=os.cpu_count() or 1)
    images = np.zeros((len(entries), spec.input_height, spec.input_width, 3), np.uint8)
    for row, result in enumerate(decoded):
        if isinstance(result, Decoded):
            images[row] = result.image
    return images, decoded


def read_class(
    run: Run, rows: pa.Table, class_index: int
) -> tuple[tuple[ImageEntry, ...], UInt8[np.ndarray, "n h w 3"], MaskBatch]:
    """Photographs and masks of a class; black where a photograph was unreadable from the first.

    Raises:
        ChangedError: If a photograph is not the one that its mask was found on.
    """
    entries = run.source.of_class(class_index)
    own = rows.filter(pc.equal(rows["class_index"], class_index))  # pyright: ignore[reportAttributeAccessIssue]
    return entries, read_unchanged(run, entries, own["content_sha256"].to_pylist()), mask_batch(own)


def class_report(run: Run, rows: pa.Table, class_index: int) -> ClassReport:
    """A class whose summaries are done, as pages show it.

    Raises:
        ChangedError: If a photograph is not the one that its mask was found on.
    """
    entries, images, masks = read_class(run, rows, class_index)
    return ClassReport(
        class_index=class_index,
        class_name=entries[0].class_name,
        files=tuple(entry.image for entry in entries),
        images=images,
        masks=masks,
        summaries=run.class_result(class_index),
        has_soft=False,
    )


def read_unchanged(
    run: Run, entries: Sequence[ImageEntry], hashes: Sequence[str | None]
) -> UInt8[np.ndarray, "n h w 3"]:
    """Photographs as they were when their masks were found; black where one was unreadable from the first.

    Args:
        run: The run.
        entries: The photographs.
        hashes: SHA-256 of each file, as its mask row has it.

    Raises:
        ChangedError: If a photograph is another one now.
    """
    images, decoded = _read(run, entries)
    for entry, result, known in zip(entries, decoded, hashes, strict=True):
        found = result.content_hash if isinstance(result, Decoded) else None
        if known is not None and found != known:
            why = f" ({result})" if isinstance(result, UnreadableImage) else ""
            raise ChangedError(
                f"{entry.image!r} has changed since its mask was found{why}; put it back, or start another run."
            )
    return images


def preflight(run: Run) -> LabelCheck | None:
    """Check labels against the network before the first mask; None where a part is done already.

    Raises:
        LabelCheckError: If they do not fit; see `check_labels`.
    """
    if any(run.masks.done(number) for number in range(len(run.manifest.shards))):
        return None
    check = require_fitting_labels(run.classifier, run.source)
    run.log.write("preflight", images=check.images, correct=check.correct, known_top1=check.known_top1)
    return check


def find_masks(
    run: Run, entries: Sequence[ImageEntry], progress: Progress, *, batch_size: int | None = None
) -> pa.Table:
    """Mask rows of some of a run's photographs."""
    images, decoded = _read(run, entries)
    masks = extract(
        run.classifier,
        images,
        np.array([entry.class_index for entry in entries]),
        run.config.masks,
        batch_size=default_batch_size() if batch_size is None else batch_size,
        count_regions=count_regions,
        skip_mispredicted=not run.config.keep_mispredicted,
        unreadable={row: str(result) for row, result in enumerate(decoded) if isinstance(result, UnreadableImage)},
        progress=progress.advance,
    )
    crops: list[Crop | None] = [result.crop if isinstance(result, Decoded) else None for result in decoded]
    hashes = [result.content_hash if isinstance(result, Decoded) else None for result in decoded]
    return mask_table(
        masks,
        [entry.image for entry in entries],
        [entry.class_name for entry in entries],
        crops,
        hashes,
    )


def describe_masks(table: pa.Table) -> dict[str, Any]:
    """What the log says of mask rows."""
    statuses = Counter(table["status"].to_pylist())
    return {"statuses": dict(statuses), "failures": sum(statuses[status] for status in FAILED)}


def mask_stage(
    run: Run, progress: Progress, *, batch_size: int | None = None, stop: Callable[[], bool] = never
) -> Tally:
    """Find the mask of every photograph; one part a shard.

    Args:
        run: The run.
        progress: Shows the progress.
        batch_size: Images searched at once; None for what suits the device.
        stop: Asked before each part whether to leave the rest.
    """
    shards = run.manifest.shards

    def on_done(number: int) -> None:
        start, end = shards[number]
        progress.advance(end - start)

    progress.start("masks", len(run.manifest.entries))
    tally = finish_parts(
        "masks",
        run.masks,
        range(len(shards)),
        lambda number: find_masks(run, run.source.entries[slice(*shards[number])], progress, batch_size=batch_size),
        run.log,
        describe=describe_masks,
        on_done=on_done,
        stop=stop,
    )
    progress.finish()
    return tally


def summary_stage(
    run: Run, progress: Progress, *, batch_size: int | None = None, stop: Callable[[], bool] = never
) -> Tally:
    """Find the visual summaries of every class, whatever parts hold its masks; one part a class.

    Args:
        run: A run whose masks are done.
        progress: Shows the progress.
        batch_size: Images on the device at once; None for what suits it.
        stop: Asked before each class whether to leave the rest.

    Raises:
        NotReadyError: If some mask part is not done.
    """
    run.require_masks()

    def work(class_index: int) -> pa.Table:
        entries, images, masks = read_class(run, run.class_rows(class_index), class_index)
        result = summarize_images(
            run.classifier, images, masks, class_index, run.config.stages, progress, batch_size=batch_size
        )
        return summary_table(result, entries[0].class_name, [entry.image for entry in entries])

    return finish_parts(
        "summaries",
        run.summaries,
        sorted(run.manifest.classes),
        work,
        run.log,
        describe=lambda table: {
            "summaries_kept": len({row["summary"] for row in table.to_pylist() if row["summary_kept"]})
        },
        stop=stop,
    )


def report_stage(run: Run, progress: Progress) -> Path:
    """Write the static report; returns its first page."""
    rows = run.mask_rows()
    classes = sorted(run.manifest.classes)
    missing = [number for number in classes if not run.summaries.done(number)]
    if missing:
        raise NotReadyError(
            f"{str(run.folder)!r}: the summaries of {len(missing)} of {len(classes)} classes are not done; finish "
            f"them with `vissum summarize {run.folder}`."
        )
    # Of several processes that come this far one writes at a time.
    with Leases(LocalFolder(run.folder), LeaseConfig()) as leases, leases.wait("report"):
        return _write_report(run, rows, classes, progress)


def _write_report(run: Run, rows: pa.Table, classes: Sequence[int], progress: Progress) -> Path:
    spec = run.classifier.spec
    facts = RunFacts(
        model=spec.name,
        preset=run.config.preset,
        class_names=spec.class_names,
        configuration=run.manifest.configuration,
        versions=run.manifest.versions,
        device=run.manifest.device,
        evaluation=read_evaluation(run.folder, run.manifest.fingerprint),
        tags=read_tags(run.folder, fingerprint=run.manifest.fingerprint),
    )
    writer = ReportWriter(run.folder / "report", facts)
    progress.start("report", len(classes))
    for class_index in classes:
        writer.add_class(class_report(run, rows, class_index))
        progress.advance(1)
    progress.finish()
    return writer.finish()
