import numpy as np
import pytest
from PIL import ExifTags, Image

from vissum_jax.data.decode import DecodeLimits, UnreadableImage, in_threads, read_file
from vissum_jax.data.photograph import read_photographs
from vissum_jax.types import ClassifierSpec


def read_files(paths, spec, *, workers):
    limits = DecodeLimits()
    files = in_threads(lambda path: read_file(path, limits, None), paths, workers=workers)
    return read_photographs(files, spec, workers=workers)


def spec(input_side=24, short_side=32):
    return ClassifierSpec(
        name="net",
        input_height=input_side,
        input_width=input_side,
        resize_short_side=short_side,
        class_names=("a",),
        feature_endpoint="pooled",
    )


@pytest.mark.parametrize(
    ("size", "short_side", "expected"),
    [((100, 50), 32, (64, 32)), ((50, 100), 32, (32, 64)), ((16, 40), 32, (32, 80)), ((100, 50), 16, (48, 24))],
)
def test_all_of_a_photograph_is_read_at_the_networks_scale(tmp_path, size, short_side, expected):
    """The short side is the network's, or the input's where that is larger."""
    Image.new("RGB", size, (10, 200, 30)).save(tmp_path / "one.png")
    (found,) = read_files([tmp_path / "one.png"], spec(short_side=short_side), workers=1)
    assert found.pixels.shape == (expected[1], expected[0], 3)
    assert (found.width, found.height) == size
    assert np.all(found.pixels == [10, 200, 30])


def test_it_is_upright_and_hashed(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (80, 40)).save(tmp_path / "turned.jpg", exif=exif)
    (found,) = read_files([tmp_path / "turned.jpg"], spec(), workers=1)
    assert (found.width, found.height) == (40, 80)
    assert len(found.content_hash) == 64


def test_what_is_no_photograph_says_why_and_the_others_are_read(tmp_path):
    (tmp_path / "bad.png").write_text("no picture")
    Image.new("RGB", (16 * 33, 16)).save(tmp_path / "long.png")
    Image.new("RGB", (40, 40)).save(tmp_path / "good.png")
    bad, long, gone, good = read_files(
        [tmp_path / name for name in ("bad.png", "long.png", "gone.png", "good.png")], spec(), workers=2
    )
    assert all(isinstance(result, UnreadableImage) for result in (bad, long, gone))
    assert "not a picture" in str(bad)
    assert str(long) == "528 x 16 pixels: one side is more than 32 times the other"
    assert "no such file" in str(gone)
    assert good.pixels.shape == (32, 32, 3)
