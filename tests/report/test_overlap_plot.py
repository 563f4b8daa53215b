import io

import numpy as np
from PIL import Image

from vissum_jax.report.overlap_plot import OverlapPlotStyle, overlap_picture

CURVES = {"VE": [0.1, 0.4, 0.3, 0.0], "_RISE $x$ " + "y" * 80: [0.1, 0.2, 0.1, 0.0], "猫": [0.1, 0.1, 0.1, 0.1]}


def test_the_first_method_is_black_and_the_same_input_gives_the_same_bytes():
    data = overlap_picture(CURVES, style=OverlapPlotStyle(dots=60))
    assert data == overlap_picture(CURVES, style=OverlapPlotStyle(dots=60))
    with Image.open(io.BytesIO(data)) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert pixels.shape[:2] == (270, 510)
    assert (pixels.max(axis=2) < 30).sum() > 100
    assert ((pixels.max(axis=2) - pixels.min(axis=2)) > 100).any(), "the others have colours"
