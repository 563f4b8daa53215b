"""The page of `vissum evaluate heatmaps`: table, curves, and photographs with all methods side by side."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from vissum_jax.analysis.heatmaps_comparison import heatmap_lines, title_of
from vissum_jax.report.gallery import Figure, Gallery, Item, Picture, Table, write_gallery
from vissum_jax.report.pictures import PictureStyle, heat_picture, mask_picture

_STYLE = PictureStyle()
_SIDE = 224  # pixels of a picture's longer side at least: networks' inputs may be small


@dataclass(frozen=True, kw_only=True)
class Example:
    """A photograph with the maps of all methods.

    Attributes:
        title: Its name.
        class_name: Its class.
        photograph: As the network sees it.
        truth: What makes the class.
        maps: In [0, 1] by method; None where a method failed.
    """

    title: str
    class_name: str
    photograph: UInt8[np.ndarray, "h w 3"]
    truth: Bool[np.ndarray, "h w"]
    maps: Mapping[str, Float[np.ndarray, "h w"] | None]


def write_heatmaps_page(
    out: Path,
    values: Mapping[str, Any],
    examples: Sequence[Example],
    plot: bytes,
    *,
    configuration: Mapping[str, Any],
    versions: Mapping[str, str],
) -> Path:
    """Write the page, and one for each class; returns the page to open."""
    headings, lines = heatmap_lines(values)
    first = title_of(next(iter(values["methods"])))
    gallery = Gallery(
        model=values["model"],
        kind="Heat maps",
        title=f"Do heat maps of {values['model']} show what makes the class?",
        lede=(
            "Each map is stretched to [0, 1] and cut at thresholds; what is left is compared with the true mask of the "
            "part that makes the class, by intersection over union (IoU). The area under that curve is the score."
        ),
        figures=(
            Figure("Photographs", str(values["images"])),
            Figure("Share of the truth in a photograph", f"{values['truth_area']:.1%}"),
            Figure("Thresholds", str(values["scoring"]["thresholds"])),
        ),
        tables=(
            Table(
                title="How well the maps fit",
                headings=tuple(headings),
                lines=tuple(tuple(line) for line in lines),
                note=(
                    f"Means over photographs. The interval is that of the paired difference {first} minus the method, "
                    "by bootstrap over photographs. Pointing game: share of the photographs whose hottest pixel lies "
                    f"on the part, or within {values['scoring']['tolerance']:.0%} of the side of it. "
                    "Grid energy: share of the map's energy at the frequencies of the first convolution's stride."
                ),
            ),
            *_fix_table(values),
        ),
        notes=(f"Left out: {', '.join(f'{count} {why}' for why, count in values['left_out'].items()) or 'none'}.",),
        configuration=configuration,
        versions=versions,
    )
    curve = np.asarray(Image.open(io.BytesIO(plot)).convert("RGB"))
    alt = "Mean IoU against the threshold: a curve for each method"
    sections: dict[str, list[Item]] = {"": [Item(title="IoU at every threshold", pictures=(Picture("", alt, curve),))]}
    for example in examples:
        sections.setdefault(example.class_name, []).append(_item(example))
    return write_gallery(out, gallery, sections)


def _fix_table(values: Mapping[str, Any]) -> tuple[Table, ...]:
    lines = tuple(
        (title_of(name), f"{found['without']:.4f}", f"{found['with']:.4f}", f"{found['ratio']:.2f}")
        for name, found in values["stride_fix"].items()
        if found["ratio"] is not None
    )
    if not lines:
        return ()
    return (
        Table(
            title="What the stride fix does",
            headings=("method", "grid energy without", "with", "ratio"),
            lines=lines,
            note=f"The grid has a period of {values['stride']} pixels.",
        ),
    )


def _item(example: Example) -> Item:
    name = example.class_name.replace("_", " ")
    photograph = _enlarged(example.photograph)
    truth = _enlarged(example.truth.astype(np.uint8), nearest=True).astype(bool)
    pictures = [
        Picture("photograph", f"Photograph {example.title}", photograph),
        Picture("truth", f"What makes it {name}", mask_picture(photograph, truth, _STYLE)),
    ]
    failed = []
    for method, heat in example.maps.items():
        if heat is None:
            failed.append(title_of(method))
            continue
        picture = heat_picture(photograph, 1.0 - _enlarged(heat), _STYLE)
        pictures.append(Picture(title_of(method), f"{example.title}: heat map by {title_of(method)}", picture))
    warning = f"No map: {', '.join(failed)}." if failed else ""
    return Item(title=example.title, pictures=pictures, warning=warning)


def _enlarged(picture: np.ndarray, *, nearest: bool = False) -> np.ndarray:
    factor = _SIDE / max(picture.shape[:2])
    if factor <= 1:
        return picture
    how = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    return cv2.resize(picture, None, fx=factor, fy=factor, interpolation=how)
