"""Draw the pictures of docs/masks.md: masks of rendered flowers by several methods, each at the area of compact's.

python scripts/draw_mask_pictures.py docs/masks.png
"""

from __future__ import annotations

import io
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import jax.numpy as jnp
import numpy as np
import tyro
from jaxtyping import UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from vissum_jax.cli.progress import make_progress
from vissum_jax.data import Decoded, open_folder
from vissum_jax.data.an8flower import FlowerConfig
from vissum_jax.data.an8flower.dataset import IMAGES_FOLDER, write_dataset
from vissum_jax.masks.binarise import at_area
from vissum_jax.masks.config import CompactConfig
from vissum_jax.masks.measures import judge
from vissum_jax.masks.methods import importance
from vissum_jax.masks.solve import solve
from vissum_jax.models import load_classifier
from vissum_jax.pipeline.demo import MODEL, SEED, SETTINGS, VARIANT
from vissum_jax.pipeline.settings import override
from vissum_jax.report.pictures import PictureStyle, mask_picture


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What is drawn.

    Attributes:
        flowers: Columns, a class each.
        methods: Rows below the photographs and compact's masks.
        inches: Side of a picture.
        dots: Per inch.
    """

    flowers: int = 6
    methods: tuple[str, ...] = ("authors", "iebb", "grad_cam", "smoothed_gradient", "rise")
    inches: float = 1.25
    dots: int = 110


def main(out: Annotated[Path, tyro.conf.Positional], layout: Layout = Layout()) -> None:
    """Draw the masks.

    Args:
        out: The PNG to write.
        layout: What is drawn.
    """
    classifier = load_classifier(MODEL)
    images, classes = _flowers(classifier, layout.flowers)
    batch = (jnp.asarray(images), jnp.asarray(classes))
    config = override(CompactConfig(), SETTINGS["masks"], "masks")
    found = solve(classifier, *batch, jnp.ones(len(images), bool), config)
    rows = {"": np.zeros(images.shape[:3], bool), "compact": np.asarray(found.salient)}
    area = np.asarray(found.area)
    for method in layout.methods:
        maps = importance(classifier, *map(np.asarray, batch), method=method, batch_size=len(images), area=area).maps
        rows[method] = np.stack([at_area(jnp.asarray(one), share) for one, share in zip(maps, area, strict=True)])

    figure = Figure(figsize=(layout.inches * layout.flowers, 1.22 * layout.inches * len(rows)), dpi=layout.dots)
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), layout.flowers, gridspec_kw={"wspace": 0.04, "hspace": 0.22})
    figure.subplots_adjust(left=0.06, right=0.995, top=0.97, bottom=0.005)
    for line, (method, masks) in zip(axes, rows.items(), strict=True):
        judged = judge(classifier, *batch, jnp.asarray(masks))
        drops = 1 - np.asarray(judged.p_binary) / np.asarray(judged.p_original)
        for cell, image, mask, drop in zip(line, images, masks, drops, strict=True):
            cell.imshow(mask_picture(image, mask, PictureStyle()) if method else image)
            cell.set(xticks=[], yticks=[])
            cell.set_title(f"{drop:.3f} at {mask.mean():.1%}" if method else "", fontsize=7, pad=2)
        line[0].set_ylabel(method or "flower", fontsize=8)
    out.parent.mkdir(parents=True, exist_ok=True)
    data = io.BytesIO()
    figure.savefig(data, format="png")
    Image.open(data).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(out, optimize=True)


def _flowers(classifier, count: int) -> tuple[UInt8[np.ndarray, "n h w 3"], np.ndarray]:
    """One flower a class, of those that the demo renders."""
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(
            Path(folder) / "flowers",
            variant=VARIANT,
            images_per_class=1,
            seed=SEED,
            config=FlowerConfig(),
            progress=make_progress().advance,
        )
        source = open_folder(Path(folder) / "flowers" / IMAGES_FOLDER, classifier.spec)
        entries = source.entries[:count]
        decoded = [one for one in source.read(entries, classifier.spec, workers=1) if isinstance(one, Decoded)]
    return np.stack([one.image for one in decoded]), np.array([entry.class_index for entry in entries])


if __name__ == "__main__":
    tyro.cli(main)
