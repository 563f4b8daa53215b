import cv2
import numpy as np

from vissum_jax.report.jpeg import encode_jpeg


def test_thin_red_lines_keep_their_colour():
    picture = np.full((40, 48, 3), 128, np.uint8)
    picture[:, 20:22] = (255, 0, 0)
    read = cv2.imdecode(np.frombuffer(encode_jpeg(picture, 85), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert read.shape == picture.shape
    assert np.abs(read[:, 20:22].astype(int) - (255, 0, 0)).max() < 40


def test_pictures_that_need_too_much_lose_quality_until_they_fit():
    noise = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    assert len(encode_jpeg(noise, 85)) > 1.5 * 224 * 224
    assert len(encode_jpeg(noise, 85, bytes_per_pixel=0.5)) <= 0.5 * 224 * 224
    plain = np.full((224, 224, 3), 99, np.uint8)
    assert encode_jpeg(plain, 85, bytes_per_pixel=0.5) == encode_jpeg(plain, 85)
    assert encode_jpeg(noise, 85, bytes_per_pixel=0.001) == encode_jpeg(noise, 1), "as far as it goes"


def test_coarse_colour_takes_less():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert len(encode_jpeg(noise, 85, fine=False)) < 0.7 * len(encode_jpeg(noise, 85))
