"""Pictures as the bytes of JPEG files."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import UInt8

_STEP = 15
"""By how much the quality falls until a picture is small enough."""


def encode_jpeg(
    picture: UInt8[np.ndarray, "h w 3"], quality: int, *, fine: bool = True, bytes_per_pixel: float | None = None
) -> bytes:
    """A picture as a JPEG file.

    Args:
        picture: RGB.
        quality: From 1 to 100.
        fine: Full chroma resolution: red lines of two pixels would blur into the photograph without it.
        bytes_per_pixel: What the file may take; the quality is lowered until it does, as far as it goes.
    """
    chroma = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444 if fine else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420
    pixels = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2BGR)
    most = np.inf if bytes_per_pixel is None else bytes_per_pixel * picture.shape[0] * picture.shape[1]
    while True:
        options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, chroma]
        written, data = cv2.imencode(".jpg", pixels, options)
        if not written:
            raise RuntimeError(f"OpenCV could not write a picture of shape {picture.shape} as JPEG.")
        if data.size <= most or quality == 1:
            return data.tobytes()
        quality = max(quality - _STEP, 1)
