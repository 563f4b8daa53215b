"""A class to export: four photographs of 90 x 60, masks of 20 x 20 over their middle squares."""

import numpy as np
import pytest

from vissum_jax.export.model import ExportedClass
from vissum_jax.types import Crop, MaskBatch, MaskStatus, Member, Summary

NAN = float("nan")


def summary(number: int, rows: tuple[int, ...], *, importance: float = 0.25) -> Summary:
    members = tuple(
        Member(
            image=row,
            box=(2 + row, 4, 6, 8),
            rank=rank,
            similarity=9.0 - rank,
            ssim=NAN if rank == 2 else 0.5,
            exemplar=rank == 0,
            kept=rank != 1,
        )
        for rank, row in enumerate(rows)
    )
    return Summary(number=number, members=members, ssim=0.4, kept=True, importance=importance)


@pytest.fixture
def exported():
    """Two masks, one skipped photograph, one unreadable; two summaries."""
    status = (MaskStatus.OK, MaskStatus.INFEASIBLE, MaskStatus.SKIPPED_PREDICTION, MaskStatus.UNREADABLE)
    gone = np.array([0, 0, NAN, NAN])
    salient = np.zeros((4, 20, 20), bool)
    salient[0, 4:12, 2:8] = True
    salient[0, 0, 19] = True
    salient[1] = np.random.default_rng(0).random((20, 20)) < 0.5
    crop = Crop(15.0, 0.0, 60.0, 60.0)
    return ExportedClass(
        class_index=7,
        class_name="<script>alert(1)</script>",
        images=("a/0.jpg", '../../"x".jpg', "a/2.jpg", "a/half\udcff.jpg"),
        masks=MaskBatch(
            soft=1.0 - salient,
            salient=salient,
            status=status,
            reason=("", "not enough", "the network answers otherwise", "damaged"),
            class_index=np.full(4, 7),
            predicted_index=np.array([7, 7, 3, -1]),
            p_original=np.array([0.9, 0.8, 0.1, NAN]),
            p_soft=0.01 + gone,
            p_binary=0.009 + gone,
            area=salient.mean((1, 2)) + gone,
            transfer_drop=0.5 + gone,
            components=np.array([2, 9, 0, 0]),
            passes=np.array([40, 80, 1, 0]),
        ),
        crops=(crop, crop, crop, None),
        summaries=(summary(0, (0, 2, 1)), summary(1, (1,), importance=NAN)),
        tags={1: "ear"},
    )
