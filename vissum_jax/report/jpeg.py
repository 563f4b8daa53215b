"""Pictures as the bytes of JPEG files."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import UInt8


def encode_jpeg(picture: UInt8[np.ndarray, "h w 3"], quality: int) -> bytes:
    """A picture as a JPEG file, in full chroma resolution: red lines of two pixels would blur into the photograph."""
    options = [
        *(cv2.IMWRITE_JPEG_QUALITY, quality),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    ]
    written, data = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), options)
    if not written:
        raise RuntimeError(f"OpenCV could not write a picture of shape {picture.shape} as JPEG.")
    return data.tobytes()
