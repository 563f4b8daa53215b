"""The stages of a run, from files to files: each reads the parts before it and finishes its own.

    folder of photographs --mask_stage--> masks/ --summary_stage--> summaries/ --report_stage--> report/

A run is a folder. Its manifest freezes what is computed; every stage can be stopped at any time and goes on
where it was. Any number of processes, on any hosts that see the folder, may work on a stage at once.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8

from vissum_jax.data import Decoded, ImageEntry, UnreadableImage
from vissum_jax.masks.extract import extract
from vissum_jax.pipeline.memory import count_regions, search_batch_size, summarize_images
from vissum_jax.pipeline.perturbed import perturbed_pictures
from vissum_jax.pipeline.preflight import LabelCheck, require_fitting_labels
from vissum_jax.pipeline.progress import Progress
from vissum_jax.pipeline.read_ahead import ReadAhead
from vissum_jax.pipeline.run import NotReadyError, Run, require_done
from vissum_jax.report import ClassReport, ReportConfig, ReportWriter, RunFacts
from vissum_jax.report.evaluation import read_comparisons, read_evaluations
from vissum_jax.runs.engine import Tally, finish_parts, never
from vissum_jax.runs.leases import LeaseConfig, Leases, holder
from vissum_jax.runs.rows import mask_batch, mask_table, rows_of_class, soft_masks, summary_table
from vissum_jax.runs.store import LocalFolder
from vissum_jax.study.tags import read_tags
from vissum_jax.types import Crop, MaskBatch, MaskStatus

FAILED = (MaskStatus.UNREADABLE, MaskStatus.NON_FINITE)
"""Statuses of images on which the work itself failed."""


class ChangedError(ValueError):
    """A photograph is no longer the one that its mask was found on."""


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
    return _read_own(run, rows_of_class(rows, class_index), class_index)


def _read_own(
    run: Run, own: pa.Table, class_index: int
) -> tuple[tuple[ImageEntry, ...], UInt8[np.ndarray, "n h w 3"], MaskBatch]:
    """So, from the rows of the class alone."""
    entries = run.source.of_class(class_index)
    return entries, read_unchanged(run, entries, own["content_sha256"].to_pylist()), mask_batch(own)


def class_report(run: Run, class_index: int) -> ClassReport:
    """A class whose masks and summaries are done, as pages show it.

    Raises:
        ChangedError: If a photograph is not the one that its mask was found on.
    """
    own = run.class_rows(class_index)
    entries, images, masks = _read_own(run, own, class_index)
    soft = soft_masks(own)
    return ClassReport(
        class_index=class_index,
        class_name=entries[0].class_name,
        files=tuple(entry.image for entry in entries),
        images=images,
        masks=masks if soft is None else dataclasses.replace(masks, soft=soft),
        summaries=run.class_result(class_index),
        has_soft=soft is not None,
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


Photographs = tuple[UInt8[np.ndarray, "n h w 3"], list[Decoded | UnreadableImage]]
"""Photographs as decoded, black where one is unreadable, and what came of each."""


def find_masks(
    run: Run,
    entries: Sequence[ImageEntry],
    progress: Progress,
    *,
    batch_size: int,
    photographs: Photographs | None = None,
) -> pa.Table:
    """Mask rows of some of a run's photographs.

    Args:
        run: The run.
        entries: The photographs.
        progress: Shows the progress.
        batch_size: Images searched at once on each device.
        photographs: What was read of them before.
    """
    images, decoded = photographs or _read(run, entries)
    masks = extract(
        run.classifier,
        images,
        np.array([entry.class_index for entry in entries]),
        run.config.masks,
        batch_size=batch_size,
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
        batch_size: Images searched at once on each device; None for what suits it.
        stop: Asked before each part whether to leave the rest.
    """
    shards, masks = run.manifest.shards, run.masks

    @cache  # found by trial, but not where nothing is left to do
    def size() -> int:
        return search_batch_size(run.classifier, run.config.masks) if batch_size is None else batch_size

    def entries(number: int) -> Sequence[ImageEntry]:
        return run.source.entries[slice(*shards[number])]

    def on_done(number: int) -> None:
        progress.advance(len(entries(number)))

    def following(number: int) -> int | None:
        left = (later for later in range(number + 1, len(shards)) if not masks.done(later))
        return next((later for later in left if holder(masks.storage, masks.name(later)) is None), None)

    progress.start("masks", len(run.manifest.entries))
    with ReadAhead(lambda number: _read(run, entries(number)), following) as photographs:
        tally = finish_parts(
            "masks",
            masks,
            range(len(shards)),
            lambda number: find_masks(
                run, entries(number), progress, batch_size=size(), photographs=photographs(number)
            ),
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
        entries, images, masks = _read_own(run, run.class_rows(class_index), class_index)
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


def report_stage(run: Run, progress: Progress, *, config: ReportConfig | None = None) -> Path:
    """Write the static report; returns its first page.

    Args:
        run: A run whose summaries are done.
        progress: Counts classes.
        config: How the report looks, and whether figures for papers come with it.

    Raises:
        NotReadyError: If some masks or summaries are not done, or what was measured of them is damaged.
    """
    classes = sorted(run.manifest.classes)
    require_done(run.storage, run.manifest, "masks", "summaries")
    try:
        facts = _facts(run)
    except ValueError as error:
        raise NotReadyError(str(error)) from error
    # Of several processes that come this far one writes at a time.
    with Leases(LocalFolder(run.folder), LeaseConfig()) as leases, leases.wait("report"):
        writer = ReportWriter(run.folder / "report", facts, config=config)
        return _write_report(run, classes, progress, writer)


def _facts(run: Run) -> RunFacts:
    """What holds for a run as a whole, with what was measured of it.

    Raises:
        ValueError: A file of an evaluation is damaged.
    """
    spec = run.classifier.spec
    return RunFacts(
        model=spec.name,
        preset=run.config.preset,
        class_names=spec.class_names,
        configuration=run.manifest.configuration,
        versions=run.manifest.versions,
        device=run.manifest.device,
        evaluations=read_evaluations(run.folder, run.manifest.fingerprint),
        comparisons=read_comparisons(run.folder, run.manifest.fingerprint),
        tags=read_tags(run.folder, fingerprint=run.manifest.fingerprint),
    )


def _write_report(run: Run, classes: Sequence[int], progress: Progress, writer: ReportWriter) -> Path:
    progress.start("report", len(classes))

    def read(class_index: int) -> ClassReport:
        found = class_report(run, class_index)
        return dataclasses.replace(found, perturbed=perturbed_pictures(found.images, found.masks))

    with ReadAhead(read, dict(itertools.pairwise(classes)).get) as reports:
        for class_index in classes:
            writer.add_class(reports(class_index))
            progress.advance(1)
    progress.finish()
    return writer.finish()
