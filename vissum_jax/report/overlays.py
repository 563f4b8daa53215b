"""Pictures of saliency and of localised objects over their photographs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from vissum_jax.report.pictures import PictureStyle, heat_picture, mask_picture

SATURATION = 0.99
"""Quantile of the saliency that is shown as the hottest: a gradient's few largest values would hide all others."""

_STYLE = PictureStyle()


def heat_overlay(
    photograph: UInt8[np.ndarray, "h w 3"], saliency: Float[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Saliency (>= 0, any scale) as heat over the grey photograph; no heat where it is 0 everywhere."""
    hottest = np.quantile(saliency, SATURATION) or saliency.max() or 1.0
    return heat_picture(photograph, 1.0 - np.minimum(saliency / hottest, 1.0), _STYLE)


def object_overlay(
    photograph: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "mask_h mask_w"],
    box: tuple[float, float, float, float],
) -> UInt8[np.ndarray, "h w 3"]:
    """An object in colour with a border and its box, the rest in grey.

    Args:
        photograph: RGB.
        mask: The object, at any size.
        box: (x, y, width, height) in shares of the photograph's sides.
    """
    height, width = photograph.shape[:2]
    large = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST).astype(bool)
    picture = mask_picture(photograph, large, _STYLE)
    x, y, w, h = np.rint(np.array(box) * [width, height, width, height]).astype(int).tolist()
    return cv2.rectangle(picture, (x, y), (x + w - 1, y + h - 1), _STYLE.part, _STYLE.part_line)


def png(picture: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """A picture as the bytes of a PNG file."""
    written, data = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))
    if not written:
        raise RuntimeError(f"OpenCV could not write a picture of shape {picture.shape} as PNG.")
    return data.tobytes()


def contact_sheet(pictures: Sequence[UInt8[np.ndarray, "h w 3"]], *, gap: int = 4) -> UInt8[np.ndarray, "H W 3"]:
    """Pictures of one size side by side in a square of rows, on white."""
    columns = math.ceil(math.sqrt(len(pictures)))
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 255, np.uint8)
    for number, picture in enumerate(pictures):
        y = gap + (number // columns) * (height + gap)
        x = gap + (number % columns) * (width + gap)
        sheet[y : y + height, x : x + width] = picture
    return sheet
