import cv2
import numpy as np

from vissum_jax.report.jpeg import encode_jpeg


def test_thin_red_lines_keep_their_colour():
    picture = np.full((40, 48, 3), 128, np.uint8)
    picture[:, 20:22] = (255, 0, 0)
    read = cv2.imdecode(np.frombuffer(encode_jpeg(picture, 85), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert read.shape == picture.shape
    assert np.abs(read[:, 20:22].astype(int) - (255, 0, 0)).max() < 40
