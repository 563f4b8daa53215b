"""Draw the README's picture: one summary of each of some classes of the demo.

vissum demo --out vissum-demo
python scripts/draw_readme_picture.py vissum-demo/run docs/summary.png
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from jaxtyping import UInt8
from PIL import Image

from vissum_jax.pipeline import Run, open_run
from vissum_jax.pipeline.stages import read_class
from vissum_jax.report.pictures import PictureStyle, enlarged, summary_picture


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How the picture is laid out.

    Attributes:
        classes: Most rows, one class each; classes with more photographs in their largest summary come first.
        members: Most pictures in a row, the exemplar first.
        enlargement: Whole factor by which pictures are enlarged.
        gap: Pixels between pictures.
    """

    classes: int = 3
    members: int = 6
    enlargement: int = 2
    gap: int = 6


def main(
    run: Annotated[Path, tyro.conf.Positional], out: Annotated[Path, tyro.conf.Positional], layout: Layout = Layout()
) -> None:
    """Draw the largest summaries of a run.

    Args:
        run: Folder of the run.
        out: The PNG to write.
        layout: How the picture is laid out.
    """
    opened = open_run(run)
    kept = {index: opened.class_result(index).kept for index in opened.manifest.classes}
    largest = {index: len(summaries[0].kept_members) for index, summaries in kept.items() if summaries}
    chosen = sorted(sorted(largest, key=lambda index: -largest[index])[: layout.classes])
    rows = [_row(opened, index, layout) for index in chosen]
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, layout.gap), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    out.parent.mkdir(parents=True, exist_ok=True)
    picture = np.concatenate(padded)[: -layout.gap, : -layout.gap]
    Image.fromarray(picture).quantize(256, dither=Image.Dither.NONE).save(out, optimize=True)


def _row(run: Run, class_index: int, layout: Layout) -> UInt8[np.ndarray, "h w 3"]:
    """The first members of a class's largest summary, side by side."""
    _, images, masks = read_class(run, run.mask_rows(), class_index)
    pictures = []
    for member in run.class_result(class_index).kept[0].kept_members[: layout.members]:
        image, salient, box = enlarged(
            images[member.image], masks.salient[member.image], member.box, layout.enlargement
        )
        picture = summary_picture(image, salient, box, PictureStyle())
        pictures.append(np.pad(picture, ((0, 0), (0, layout.gap), (0, 0)), constant_values=255))
    return np.concatenate(pictures, axis=1)


if __name__ == "__main__":
    tyro.cli(main)
