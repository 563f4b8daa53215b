"""Finished runs whose summaries are told, not found: every figure that follows from them is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import toys

from vissum_jax.data import Decoded
from vissum_jax.pipeline import Run, RunConfig, start_run
from vissum_jax.runs.rows import mask_table, summary_table
from vissum_jax.types import ClassSummaries, ClusterDiagnostics, Crop, MaskBatch, MaskStatus, Member, Summary

Box = tuple[int, int, int, int]


def summary(number: int, members: Mapping[int, Box], *, kept: bool = True, left_out: Sequence[int] = ()) -> Summary:
    """A summary with a box in some photographs (by row); members of `left_out` are not kept."""
    return Summary(
        number=number,
        members=tuple(
            Member(
                image=image,
                box=box,
                rank=rank,
                similarity=1.0,
                ssim=0.5,
                exemplar=rank == 0,
                kept=image not in left_out,
            )
            for rank, (image, box) in enumerate(members.items())
        ),
        ssim=0.5,
        kept=kept,
        reason="" if kept else "told so",
    )


def write_run(
    photos: Path | str,
    folder: Path,
    summaries: Mapping[int, Sequence[Summary]],
    *,
    model: str = toys.MODEL,
    answers: Mapping[str, int] | None = None,
) -> Run:
    """A finished run.

    Args:
        photos: Photographs as of `toys.write_photographs`, in a folder or in what else IMAGES may be.
        folder: The RUN folder.
        summaries: Of each class.
        model: The network.
        answers: Photographs that the network answers with another class, which is named; they are skipped.
    """
    run = start_run(RunConfig(images=str(photos), model=model, overrides=toys.overrides()), folder)
    answers = answers or {}
    for number, (start, stop) in enumerate(run.manifest.shards):
        entries = run.source.entries[start:stop]
        decoded = run.source.read(entries, run.classifier.spec, workers=1)
        readable = np.array([isinstance(result, Decoded) for result in decoded])
        status = [
            (MaskStatus.SKIPPED_PREDICTION if entry.image in answers else MaskStatus.OK)
            if there
            else MaskStatus.UNREADABLE
            for entry, there in zip(entries, readable, strict=True)
        ]
        masked = np.array([value is MaskStatus.OK for value in status])
        index = np.array([entry.class_index for entry in entries])
        predicted = np.array([answers.get(entry.image, entry.class_index) for entry in entries])
        size = (run.classifier.spec.input_height, run.classifier.spec.input_width)
        salient = np.broadcast_to(masked[:, None, None], (len(entries), *size))
        share = np.where(masked, 1.0, np.nan)
        masks = MaskBatch(
            soft=1.0 - salient,
            salient=salient,
            status=tuple(status),
            reason=("",) * len(entries),
            class_index=index,
            predicted_index=np.where(readable, predicted, -1),
            p_original=share,
            p_soft=share,
            p_binary=share,
            area=share,
            transfer_drop=share,
            components=masked.astype(int),
            passes=masked.astype(int),
        )
        crops: list[Crop | None] = [result.crop if isinstance(result, Decoded) else None for result in decoded]
        hashes = [result.content_hash if isinstance(result, Decoded) else None for result in decoded]
        names = [entry.class_name for entry in entries]
        run.masks.commit(number, mask_table(masks, [entry.image for entry in entries], names, crops, hashes))
    for class_index, name in run.manifest.classes.items():
        told = tuple(summaries.get(class_index, ()))
        result = ClassSummaries(
            class_index=class_index,
            summaries=told,
            diagnostics=ClusterDiagnostics(images=0, proposals=0, clustered=0),
            reason="" if any(one.kept for one in told) else "no cluster is large and consistent enough",
        )
        images = [entry.image for entry in run.source.of_class(class_index)]
        run.summaries.commit(class_index, summary_table(result, name, images))
    return run
