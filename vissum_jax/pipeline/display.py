"""How summaries look in a notebook: the first members of each, drawn as in the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8
from markupsafe import Markup

from vissum_jax import notebook
from vissum_jax.report import ReportConfig
from vissum_jax.report.pictures import enlarged, summary_picture
from vissum_jax.types import ClassSummaries, MaskBatch, Member

if TYPE_CHECKING:
    from vissum_jax.pipeline.memory import SummarySet

MOST_CLASSES = 12
MOST_MEMBERS = 6
_SIDE = 96


def summary_set_html(summaries: SummarySet) -> str:
    """A table for each of the first classes, of its kept summaries with their first members."""
    shown = summaries.classes[:MOST_CLASSES]
    tables = [_class_html(summaries, result) for result in shown]
    if more := len(summaries.classes) - len(shown):
        tables.append(Markup("<p>.. and {} more classes; <code>report(FOLDER)</code> shows all.</p>").format(more))
    return Markup("\n").join(tables)


def _class_html(summaries: SummarySet, result: ClassSummaries) -> Markup:
    rows = np.flatnonzero(summaries.masks.class_index == result.class_index)
    images, masks = summaries.images[rows], summaries.masks.select(rows)
    name = summaries.classifier.spec.class_names[result.class_index]
    columns = {
        "summary": [summary.number + 1 for summary in result.kept],
        "part": [
            Markup(" ").join(_part(images, masks, member) for member in summary.kept_members[:MOST_MEMBERS])
            for summary in result.kept[: notebook.MOST_ROWS]
        ],
        "images": [len(summary.kept_members) for summary in result.kept],
        "importance": [summary.importance for summary in result.kept],
        "ssim": [summary.ssim for summary in result.kept],
    }
    note = (
        result.reason
        or f"{len(result.kept)} of {len(result.summaries)} clusters kept, of {result.diagnostics.images} images"
    )
    return notebook.table(name, note, columns, rows=len(result.kept))


def _part(images: UInt8[np.ndarray, "n h w 3"], masks: MaskBatch, member: Member) -> Markup:
    """A member's thumbnail."""
    config = ReportConfig()
    salient = masks.salient[member.image]
    factor = max(1, -(-config.picture_side // min(salient.shape)))
    picture = summary_picture(*enlarged(images[member.image], salient, member.box, factor), config.style)
    return notebook.thumbnail(picture, f"The part in image {member.image} of the class", side=_SIDE)
