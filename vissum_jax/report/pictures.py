"""Pictures of masks and parts. Pure: photographs and masks in, RGB pictures out."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

Image = UInt8[np.ndarray, "h w 3"]
Mask = Bool[np.ndarray, "h w"]
Box = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class PictureStyle:
    """How masks and parts are drawn.

    Attributes:
        part: Colour of a part's outline.
        region: Colour of a region's border.
        part_line: Width of the outline in pixels.
        region_line: Width of the border in pixels.
        fade: How far grey is drawn towards `paper`, so that colour stands out.
        paper: The grey level that it is drawn to.
        heat: How much of the heat colour covers a pixel that is perturbed fully.
    """

    part: tuple[int, int, int] = (255, 0, 0)
    region: tuple[int, int, int] = (0, 255, 255)
    part_line: int = 2
    region_line: int = 1
    fade: float = 0.35
    paper: int = 150
    heat: float = 0.8

    def __post_init__(self) -> None:
        """Check widths and shares."""
        for name in ("part_line", "region_line"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be positive, got {getattr(self, name)}.")
        for name in ("fade", "heat"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"`{name}` must be in [0, 1], got {getattr(self, name)}.")


def summary_picture(image: Image, salient: Mask, box: Box, style: PictureStyle) -> Image:
    """One photograph's part in a summary (VS 3.2).

    The regions of the mask that touch the box keep their colour and have a border; the part, the convex hull
    of what the mask fills of the box, is outlined; everything else is grey.

    Args:
        image: Photograph.
        salient: Binary mask, True where pixels are perturbed.
        box: (x, y, width, height) in pixels.
        style: Colours and widths.
    """
    regions = regions_touching(salient, box)
    picture = mask_picture(image, regions, style)
    hull = part_hull(salient, box)
    if len(hull):
        cv2.polylines(picture, [hull], isClosed=True, color=style.part, thickness=style.part_line)
    return picture


def mask_picture(image: Image, salient: Mask, style: PictureStyle) -> Image:
    """What a binary mask perturbs in colour, with a border; everything else grey."""
    picture = cv2.copyTo(image, salient.astype(np.uint8), faded_grey(image, style))
    # Holes have borders, too.
    borders, _ = cv2.findContours(salient.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, borders, contourIdx=-1, color=style.region, thickness=style.region_line)
    return picture


def heat_picture(image: Image, soft: Float[np.ndarray, "h w"], style: PictureStyle) -> Image:
    """A continuous mask (1 keeps) as heat over the grey photograph: the hotter, the more perturbed."""
    saliency = np.clip(1 - np.nan_to_num(soft, nan=1.0), 0, 1).astype(np.float32)
    colours = cv2.applyColorMap(np.rint(saliency * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    cover = style.heat * saliency
    return cv2.blendLinear(faded_grey(image, style), cv2.cvtColor(colours, cv2.COLOR_BGR2RGB), 1 - cover, cover)


def faded_grey(image: Image, style: PictureStyle) -> Image:
    """The photograph in grey, drawn towards the style's paper."""
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    table = np.rint(np.arange(256) * (1 - style.fade) + style.paper * style.fade).astype(np.uint8)
    return cv2.cvtColor(cv2.LUT(grey, table), cv2.COLOR_GRAY2RGB)


def regions_touching(salient: Mask, box: Box) -> Mask:
    """The 8-connected regions of a mask that have a pixel in the box."""
    count, found = cv2.connectedComponents(salient.astype(np.uint8), connectivity=8)
    labels = np.asarray(found, np.int32)
    touching = np.zeros(count, bool)
    touching[labels[_window(box)].ravel()] = True
    touching[0] = False  # what is no region
    return touching[labels]


def part_hull(salient: Mask, box: Box) -> Int[np.ndarray, "k 1 2"]:
    """Corners (x, y) of the convex hull of the salient pixels in the box; empty where there are none."""
    window = _window(box)
    rows, columns = np.nonzero(salient[window])
    if not len(rows):
        return np.zeros((0, 1, 2), np.int32)
    points = np.stack([columns + window[1].start, rows + window[0].start], axis=-1)
    return cv2.convexHull(points.astype(np.int32)).astype(np.int32)


def enlarged(image: Image, salient: Mask, box: Box, factor: int) -> tuple[Image, Mask, Box]:
    """Small photographs with mask and box, a whole number of times larger, so that lines stay thin."""
    if factor == 1:
        return image, salient, box
    larger = cv2.resize(np.ascontiguousarray(image), None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    x, y, w, h = (factor * side for side in box)
    return larger, salient.repeat(factor, 0).repeat(factor, 1), (x, y, w, h)


def _window(box: Box) -> tuple[slice, slice]:
    x, y, w, h = box
    return slice(max(y, 0), max(y + h, 0)), slice(max(x, 0), max(x + w, 0))
