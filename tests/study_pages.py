"""A study of two classes with hostile names: four summaries, of 13, 3, 3 and 3 photographs."""

from pathlib import Path

import numpy as np

from vissum_jax.report import ClassReport
from vissum_jax.report.study_page import StudyWriter
from vissum_jax.types import ClassSummaries, ClusterDiagnostics, MaskBatch, MaskStatus, Member, Summary

HOSTILE = "<script>alert('class')</script>"
STUDY = "0123456789abcdef"
QUESTIONS = ("1-0", "1-1", "2-0", "2-1")


def class_report(index: int, photographs: int) -> ClassReport:
    random = np.random.default_rng(index)
    salient = np.zeros((photographs, 48, 64), bool)
    salient[:, 8:24, 8:24] = True
    full = np.full(photographs, 0.5, np.float32)

    def summary(number: int, rows: range, *, kept: bool = True) -> Summary:
        members = tuple(
            Member(
                image=row, box=(10, 8, 12, 16), rank=rank, similarity=9.5, ssim=0.4, exemplar=rank == 0, kept=rank != 1
            )
            for rank, row in enumerate(rows)
        )
        return Summary(number=number, members=members, ssim=0.4, kept=kept, reason="" if kept else "small")

    return ClassReport(
        class_index=index,
        class_name=HOSTILE,
        files=tuple(f"../../<img src=x onerror=alert({row})>{index}.jpg" for row in range(photographs)),
        images=random.integers(0, 256, (photographs, 48, 64, 3), np.uint8),
        masks=MaskBatch(
            soft=1.0 - salient,
            salient=salient,
            status=(MaskStatus.OK,) * photographs,
            reason=("",) * photographs,
            class_index=np.full(photographs, index),
            predicted_index=np.full(photographs, index),
            p_original=full,
            p_soft=full,
            p_binary=full,
            area=full,
            transfer_drop=full,
            components=np.ones(photographs, int),
            passes=np.ones(photographs, int),
        ),
        summaries=ClassSummaries(
            class_index=index,
            summaries=(
                summary(0, range(photographs)),
                summary(1, range(4)),
                summary(2, range(2), kept=False),
            ),
            diagnostics=ClusterDiagnostics(images=photographs, proposals=20, clustered=10),
        ),
        has_soft=False,
    )


def write_study(folder: Path) -> Path:
    folder.mkdir(parents=True)
    writer = StudyWriter(folder)
    writer.add_class(class_report(1, 15))
    writer.add_class(class_report(2, 4))
    assert writer.questions == len(QUESTIONS)
    return writer.finish(STUDY)
