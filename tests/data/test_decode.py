import io
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vissum_jax.data.decode import (
    DecodeLimits,
    UnreadableImage,
    crop_of,
    decode,
    decode_batch,
)
from vissum_jax.types import ClassifierSpec

SPEC = ClassifierSpec(
    name="net",
    input_height=56,
    input_width=56,
    resize_short_side=64,
    class_names=("a",),
    feature_endpoint="pool",
)
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def spec_of(height: int, width: int, short_side: int) -> ClassifierSpec:
    return ClassifierSpec(
        name="net",
        input_height=height,
        input_width=width,
        resize_short_side=short_side,
        class_names=("a",),
        feature_endpoint="pool",
    )


def save(image: Image.Image, path: Path, **options) -> Path:
    image.save(path, **options)
    return path


def corners(width: int = 80, height: int = 60) -> Image.Image:
    """Four plain quarters: red, green over blue, white."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2], pixels[: height // 2, width // 2 :] = RED, GREEN
    pixels[height // 2 :, : width // 2], pixels[height // 2 :, width // 2 :] = BLUE, WHITE
    return Image.fromarray(pixels)


def quarters_of(image: np.ndarray) -> list[tuple[int, ...]]:
    h, w = image.shape[:2]
    points = [(h // 4, w // 4), (h // 4, 3 * w // 4), (3 * h // 4, w // 4), (3 * h // 4, 3 * w // 4)]
    return [tuple(map(int, image[point])) for point in points]


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no such data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    )


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


# Geometry.


@settings(max_examples=200, deadline=None)
@given(
    width=st.integers(16, 4000),
    height=st.integers(16, 4000),
    input_width=st.integers(8, 300),
    input_height=st.integers(8, 300),
    short_side=st.integers(8, 300),
)
def test_the_crop_is_centred_inside_and_keeps_pixels_square(width, height, input_width, input_height, short_side):
    crop = crop_of(width, height, spec_of(input_height, input_width, short_side))
    assert crop.x >= 0
    assert crop.y >= 0
    assert crop.x + crop.w <= width
    assert crop.y + crop.h <= height
    assert crop.x + crop.w / 2 == pytest.approx(width / 2)
    assert crop.y + crop.h / 2 == pytest.approx(height / 2)
    assert crop.w / input_width == pytest.approx(crop.h / input_height)
    scale = input_width / crop.w
    if input_width <= short_side and input_height <= short_side:
        assert scale == pytest.approx(short_side / min(width, height))


@settings(max_examples=25, deadline=None)
@given(width=st.integers(60, 300), height=st.integers(60, 300), orientation=st.integers(1, 8))
def test_pixels_map_back_to_where_they_were_in_the_upright_photograph(tmp_path_factory, width, height, orientation):
    # A photograph whose colours say where each pixel is; stored turned, with the EXIF tag that undoes it.
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    upright = Image.fromarray(np.rint(np.stack([x, y, 0 * x], -1) * 255).astype(np.uint8))
    stored_as = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = upright if stored_as is None else upright.transpose(stored_as)
    path = save(stored, tmp_path_factory.mktemp("exif") / "a.png", exif=exif)

    spec = spec_of(40, 56, 60)
    decoded = decode(path, spec)
    assert (decoded.width, decoded.height) == (width, height)
    assert decoded.image.shape == (40, 56, 3)
    for row, column in [(5, 5), (5, 50), (35, 5), (35, 50), (20, 28)]:
        in_x = decoded.crop.x + (column + 0.5) * decoded.crop.w / 56
        in_y = decoded.crop.y + (row + 0.5) * decoded.crop.h / 40
        red, green, _ = decoded.image[row, column] / 255
        assert red == pytest.approx(in_x / width, abs=0.01)
        assert green == pytest.approx(in_y / height, abs=0.01)


def test_a_panorama_shows_its_centre(tmp_path):
    pixels = np.zeros((100, 3000, 3), np.uint8)
    pixels[:, 1450:1550] = RED
    decoded = decode(save(Image.fromarray(pixels), tmp_path / "a.png"), SPEC)
    assert decoded.crop == pytest.approx((1456.25, 6.25, 87.5, 87.5))
    assert (decoded.image == RED).all()


def test_an_input_larger_than_the_resized_photograph_enlarges_it(tmp_path):
    decoded = decode(save(corners(80, 60), tmp_path / "a.png"), spec_of(50, 200, 64))
    assert decoded.image.shape == (50, 200, 3)
    assert decoded.crop == pytest.approx((0, 20, 80, 20))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_shrinking_is_antialiased(tmp_path, interpolation):
    board = (np.indices((512, 512)).sum(0) % 2 * 255).astype(np.uint8)
    path = save(Image.fromarray(board), tmp_path / "a.png")
    spec = ClassifierSpec(
        name="net",
        input_height=56,
        input_width=56,
        resize_short_side=64,
        class_names=("a",),
        feature_endpoint="pool",
        interpolation=interpolation,
    )
    assert np.abs(decode(path, spec).image.astype(int) - 127).max() <= 3


def test_the_step_is_the_resize_and_the_crop_in_turn(tmp_path):
    # 96 to 64 px is exact, so that resizing first and cropping whole pixels is the same thing.
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (96, 96, 3), np.uint8))
    decoded = decode(save(image, tmp_path / "a.png"), SPEC)
    resized = np.asarray(image.resize((64, 64), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(decoded.image, resized[4:60, 4:60])


# Colour.

OPAQUE_KINDS = {
    "rgb.png": lambda image: image,
    "palette.png": lambda image: image.quantize(8),
    "palette.gif": lambda image: image.quantize(8),
    "plain.bmp": lambda image: image,
    "plain.tif": lambda image: image,
    "plain.ppm": lambda image: image,
    "cmyk.tif": lambda image: image.convert("CMYK"),
}


@pytest.mark.parametrize("name", OPAQUE_KINDS)
def test_colours_survive_lossless_formats(tmp_path, name):
    decoded = decode(save(OPAQUE_KINDS[name](corners()), tmp_path / name), SPEC)
    assert decoded.image.dtype == np.uint8
    np.testing.assert_allclose(quarters_of(decoded.image), [RED, GREEN, BLUE, WHITE], atol=1)


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_colours_survive_jpeg(tmp_path, mode):
    path = save(corners().convert(mode), tmp_path / "a.jpg", quality=95)
    np.testing.assert_allclose(quarters_of(decode(path, SPEC).image), [RED, GREEN, BLUE, WHITE], atol=12)


def test_adobe_cmyk_is_not_inverted(tmp_path):
    # Pillow writes CMYK as Adobe does, with inverted inks and a marker that says so.
    path = save(Image.new("CMYK", (64, 64), (0, 0, 0, 0)), tmp_path / "a.jpg")
    assert b"Adobe" in path.read_bytes()
    assert (decode(path, SPEC).image >= 250).all()


@pytest.mark.parametrize("kind", ["L", "1"])
def test_grey_and_bilevel_become_equal_channels(tmp_path, kind):
    ramp = Image.fromarray(np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[None], 64, 0)).convert(kind)
    image = decode(save(ramp, tmp_path / "a.png"), SPEC).image
    assert (image == image[..., :1]).all()
    assert image[:, 3].mean() < 60 < 190 < image[:, -3].mean()


@pytest.mark.parametrize(
    ("name", "values", "white"),
    [
        ("a.png", np.uint16, 65535),
        ("a.tif", np.uint16, 65535),
        ("int.tif", np.int32, 65535),
        ("unit.tif", np.float32, 1),
        ("byte.tif", np.float32, 255),
        ("word.tif", np.float32, 65535),
    ],
)
def test_deep_greys_are_scaled_not_clipped(tmp_path, name, values, white):
    ramp = np.repeat(np.linspace(0, white, 64)[None], 64, 0)
    path = save(Image.fromarray(ramp.astype(values)), tmp_path / name)
    image = decode(path, spec_of(64, 64, 64)).image
    np.testing.assert_allclose(image[32, :, 0], np.linspace(0, 255, 64), atol=1)


@pytest.mark.parametrize("level", [np.nan, np.inf, -1.0, 70000.0])
def test_floats_without_a_known_white_are_refused(tmp_path, level):
    values = np.full((64, 64), 0.5, np.float32)
    values[3, 4] = level
    path = save(Image.fromarray(values), tmp_path / "a.tif")
    with pytest.raises(UnreadableImage, match="have no known white"):
        decode(path, SPEC)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_on_white(tmp_path, mode):
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[:, 32:, 3] = 255
    image = Image.fromarray(pixels)
    if mode == "P":
        image = image.quantize(4)
    elif mode == "LA":
        image = image.convert("LA")
    decoded = decode(save(image, tmp_path / "a.png"), SPEC).image
    assert (decoded[:, :20] == 255).all()
    assert (decoded[:, -20:] == 0).all()


def test_a_colour_key_is_transparency_too(tmp_path):
    path = save(Image.new("RGB", (64, 64), (9, 9, 9)), tmp_path / "a.png", transparency=(9, 9, 9))
    assert (decode(path, SPEC).image == 255).all()


def test_half_transparent_black_is_grey(tmp_path):
    path = save(Image.new("RGBA", (64, 64), (0, 0, 0, 128)), tmp_path / "a.png")
    np.testing.assert_allclose(decode(path, SPEC).image, 127, atol=1)


def test_of_several_frames_the_first_counts(tmp_path):
    frames = [Image.new("RGB", (64, 64), colour) for colour in (RED, BLUE)]
    path = save(frames[0], tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_allclose(decode(path, SPEC).image[20, 20], RED, atol=1)


# Bad input.

JPEG = encoded(corners(200, 160), "JPEG")
NOISE = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)
PNG = encoded(Image.fromarray(NOISE), "PNG")
BAD = {
    "empty.jpg": (b"", "the file is empty"),
    "text.jpg": (b"<!DOCTYPE html>", "not a picture of a known kind (it begins with b'<!DOCTYPE ht')"),
    "truncated.jpg": (JPEG[: len(JPEG) // 2], "damaged: image file is truncated"),
    "header.jpg": (JPEG[:40], "damaged: "),
    "truncated.png": (PNG[: len(PNG) // 2], "damaged: image file is truncated"),
    "broken.png": (PNG[:60] + b"\xff" * 30 + PNG[90:], "damaged: "),
    "one_pixel.png": (encoded(Image.new("RGB", (1, 1)), "PNG"), "1 x 1 pixels; needs 16 a side"),
    "line.png": (encoded(Image.new("RGB", (900, 3)), "PNG"), "900 x 3 pixels; needs 16 a side"),
    "large.png": (png_of_size(10_001, 10_000), "10001 x 10000 pixels; at most 100000000 are unpacked"),
    "bomb.png": (png_of_size(60_000, 60_000), "too many pixels; at most 100000000 are unpacked"),
    "zero.png": (png_of_size(0, 10), "not a picture of a known kind"),
    "shop.psd": (b"8BPS" + bytes(100), "not a picture of a known kind"),
    "print.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n", "not a picture of a known kind"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_unreadable_with_a_reason_of_one_line(tmp_path, name):
    content, reason = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableImage) as caught:
        decode(tmp_path / name, SPEC)
    assert str(caught.value).startswith(reason)
    assert str(caught.value).isprintable()
    assert "0x" not in str(caught.value)  # no address: reasons of two runs compare equal


def test_what_is_no_file_is_unreadable(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "dead.jpg").symlink_to(tmp_path / "nothing")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    reasons = {
        name: str(result)
        for name in ("folder.jpg", "pipe.jpg", "dead.jpg", "loop.jpg", "gone.jpg")
        for result in decode_batch([tmp_path / name], SPEC, workers=1)
        if isinstance(result, UnreadableImage)
    }
    missing = "no such file (deleted, a dead link, or a name that is not UTF-8)"
    loop = reasons.pop("loop.jpg")
    assert reasons == {
        "folder.jpg": "not a regular file",
        "pipe.jpg": "not a regular file",
        "dead.jpg": missing,
        "gone.jpg": missing,
    }
    assert loop.startswith("the file cannot be read: ")


def test_links_out_of_the_folder_are_not_followed(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    save(corners(), tmp_path / "secret.png")
    save(corners(), inside / "own.png")
    (inside / "out.png").symlink_to(tmp_path / "secret.png")
    (inside / "in.png").symlink_to(inside / "own.png")
    (inside / "folder.png").symlink_to(inside)
    paths = [inside / name for name in ("out.png", "../secret.png", "folder.png", "in.png")]
    out, up, folder, own = decode_batch(paths, SPEC, workers=2, within=inside)
    assert str(out) == str(up) == "a link that leads out of the image folder is not followed"
    assert str(folder) == "a link to a folder is not followed"
    assert not isinstance(own, UnreadableImage)
    assert not isinstance(decode(inside / "out.png", SPEC), UnreadableImage)  # no folder stated: no limit


def test_limits_are_the_callers(tmp_path):
    path = save(corners(80, 60), tmp_path / "a.png")
    for limits, reason in [
        (DecodeLimits(min_side=61), "80 x 60 pixels; needs 61 a side"),
        (DecodeLimits(max_pixels=4799), "80 x 60 pixels; at most 4799 are unpacked"),
        (DecodeLimits(max_bytes=9), f"the file has {path.stat().st_size} bytes; at most 9 are read"),
    ]:
        with pytest.raises(UnreadableImage) as caught:
            decode(path, SPEC, limits=limits)
        assert str(caught.value) == reason
    with pytest.raises(ValueError, match=r"^`min_side` must be positive, got 0\.$"):
        DecodeLimits(min_side=0)


def test_damaged_metadata_does_not_spoil_a_picture(tmp_path):
    for exif in (b"Exif\0\0garbage", b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01" * 40):
        path = save(corners(), tmp_path / "a.jpg", exif=exif)
        assert decode(path, SPEC).image.shape == (56, 56, 3)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.sampled_from([JPEG, PNG, encoded(corners(), "GIF"), encoded(corners(), "TIFF")]),
    cuts=st.lists(st.tuples(st.integers(0, 4000), st.binary(min_size=1, max_size=8)), max_size=6),
    end=st.integers(1, 20_000),
)
def test_no_damage_escapes_as_another_error_or_a_warning(tmp_path_factory, seed, cuts, end):
    data = bytearray(seed[:end])
    for position, patch in cuts:
        data[position % len(data) : position % len(data) + len(patch)] = patch
    path = tmp_path_factory.mktemp("fuzz") / "a.jpg"
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (result,) = decode_batch([path], SPEC, workers=1)
    if isinstance(result, UnreadableImage):
        assert str(result)
        assert "\n" not in str(result)
    else:
        assert result.image.shape == (56, 56, 3)


# Batches.


def test_a_batch_keeps_order_whatever_the_threads(tmp_path):
    paths = [save(Image.new("RGB", (64, 64), (i, 0, 0)), tmp_path / f"{i}.png") for i in range(20)]
    (tmp_path / "7.png").write_bytes(b"no")
    batch = decode_batch(paths, SPEC, workers=4)
    assert [i if isinstance(x, UnreadableImage) else x.image[0, 0, 0] for i, x in enumerate(batch)] == [*range(20)]
    assert isinstance(batch[7], UnreadableImage)
    assert decode_batch([], SPEC, workers=4) == []


def test_equal_files_have_equal_hashes(tmp_path):
    a, b, c = (
        save(Image.new("RGB", (64, 64), colour), tmp_path / f"{i}.png") for i, colour in enumerate((RED, RED, BLUE))
    )
    first, second, third = (decode(path, SPEC).content_hash for path in (a, b, c))
    assert first == second != third


def test_warning_filters_are_left_as_they_were(tmp_path):
    before = list(warnings.filters)
    decode(save(corners(), tmp_path / "a.png"), SPEC)
    assert warnings.filters == before
