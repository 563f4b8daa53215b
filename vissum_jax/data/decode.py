"""From a file to what a network sees: decoding, colour, geometry.

The files are untrusted: whatever is wrong with one becomes an `UnreadableImage` with one line that says why.
"""

import hashlib
import io
import stat
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image

from vissum_jax.types import ClassifierSpec, Crop

S = TypeVar("S")
T = TypeVar("T")

# Only formats that carry photographs: every further parser is a further way in for a hostile file.
_FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "AVIF", "TIFF", "GIF", "BMP", "PPM")
# Antialiased.
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
# What undoes each EXIF orientation; 1 is upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_WHITE = (255, 255, 255, 255)


class UnreadableImage(Exception):  # noqa: N818 - an outcome that callers record, seldom an error
    """A file that holds no picture one can use; the message is the reason, in one line."""


@dataclass(frozen=True, kw_only=True)
class DecodeLimits:
    """What a file may ask for before it is refused.

    Attributes:
        min_side: Shorter sides, in pixels, are refused: enlarged tenfold and more, they show the filter.
        max_pixels: Larger pictures are refused before they are unpacked (decompression bombs).
        max_bytes: Larger files are refused before they are read.
    """

    min_side: int = 16
    max_pixels: int = 100_000_000
    max_bytes: int = 2**28

    def __post_init__(self) -> None:
        """Check that all limits are positive."""
        for name in ("min_side", "max_pixels", "max_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be positive, got {getattr(self, name)}.")


class Decoded(NamedTuple):
    """A photograph in a network's input geometry.

    Attributes:
        image: RGB.
        crop: What part of the photograph the image shows, in the photograph's pixels (upright, after its
            EXIF orientation). A point (x, y) of the image lies at ``crop.x + x * crop.w / w`` and
            ``crop.y + y * crop.h / h``.
        width: Width of the upright photograph in pixels.
        height: Height of the upright photograph in pixels.
        content_hash: SHA-256 of the file.
    """

    image: UInt8[np.ndarray, "h w 3"]
    crop: Crop
    width: int
    height: int
    content_hash: str


def decode(
    path: Path, spec: ClassifierSpec, *, limits: DecodeLimits | None = None, within: Path | None = None
) -> Decoded:
    """Read one photograph as a network sees it; `decode_batch` of one.

    Raises:
        UnreadableImage: The file holds no usable picture.
    """
    (result,) = decode_batch([path], spec, workers=1, limits=limits, within=within)
    if isinstance(result, UnreadableImage):
        raise result
    return result


def decode_batch(
    paths: Sequence[Path],
    spec: ClassifierSpec,
    *,
    workers: int,
    limits: DecodeLimits | None = None,
    within: Path | None = None,
) -> list[Decoded | UnreadableImage]:
    """Read photographs in threads, each upright, in RGB, resized and cropped to the network's input.

    The short side is brought to `spec.resize_short_side` (antialiased), the centre is cropped; both in one
    step, so that pixels stay square and the crop is exact. Grey, palette, CMYK, 16-bit and float pictures
    become 8-bit RGB. Transparency is laid on white, as pages show it: the colour stored under transparent
    pixels is arbitrary. Of several frames the first counts. Colour profiles are ignored, as in the training
    of the networks.

    Args:
        paths: Files.
        spec: Input geometry.
        workers: Threads (decoding and resizing release Python's lock).
        limits: What a file may ask for.
        within: Folder that links must not lead out of.

    Returns:
        For each path, in order, the photograph or why there is none.
    """
    limits = limits or DecodeLimits()
    root = within and within.resolve()
    return in_threads(lambda path: _decode(read_file(path, limits, root), spec, limits), paths, workers=workers)


def decode_bytes(
    files: Sequence[bytes | UnreadableImage], spec: ClassifierSpec, *, workers: int, limits: DecodeLimits
) -> list[Decoded | UnreadableImage]:
    """Decode files that were read already, or not, see `decode_batch`."""

    def work(data: bytes | UnreadableImage) -> Decoded:
        return _decode(checked(data, limits), spec, limits)

    return in_threads(work, files, workers=workers)


def checked(data: bytes | UnreadableImage, limits: DecodeLimits) -> bytes:
    """A file that was read, if it is there and of a size that is decoded.

    Raises:
        UnreadableImage: It is not.
    """
    if isinstance(data, UnreadableImage):
        raise data
    _check_size(len(data), limits)
    return data


def in_threads(read: Callable[[S], T], files: Sequence[S], *, workers: int) -> list[T | UnreadableImage]:
    """Read files in threads, in order; where one is unreadable, the reason."""

    def work(file: S) -> T | UnreadableImage:
        try:
            return read(file)
        except UnreadableImage as reason:
            return reason

    # Pillow warns about metadata that does not concern us. Filters are global to the process, so they are set
    # here, around all threads at once, and never inside one.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        with ThreadPoolExecutor(max_workers=workers) as pool:
            return list(pool.map(work, files))


def crop_of(width: int, height: int, spec: ClassifierSpec) -> Crop:
    """The centred box of a photograph that the network's input shows.

    The photograph is scaled by s = short side wanted / short side, more where the input would not fit, and
    the box has the input's size divided by s.

    Args:
        width: Width of the upright photograph in pixels.
        height: Height of the upright photograph in pixels.
        spec: Input geometry.
    """
    scale = max(spec.resize_short_side / min(width, height), spec.input_width / width, spec.input_height / height)
    # Never beyond the photograph by a rounding error: the resize would refuse it.
    w, h = min(spec.input_width / scale, width), min(spec.input_height / scale, height)
    return Crop((width - w) / 2, (height - h) / 2, w, h)


def read_file(path: Path, limits: DecodeLimits, within: Path | None) -> bytes:
    """The bytes of a regular file, refusing what must not be opened (pipes block, links lead elsewhere).

    `within` is the resolved folder that links must not lead out of.
    """
    try:
        if within is not None and not path.resolve().is_relative_to(within):
            raise UnreadableImage("a link that leads out of the image folder is not followed")
        facts = path.stat()
        if stat.S_ISDIR(facts.st_mode) and path.is_symlink():
            raise UnreadableImage("a link to a folder is not followed")
        if not stat.S_ISREG(facts.st_mode):
            raise UnreadableImage("not a regular file")
        _check_size(facts.st_size, limits)
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UnreadableImage("no such file (deleted, a dead link, or a name that is not UTF-8)") from error
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "a loop of links"
        raise UnreadableImage(f"the file cannot be read: {reason}") from error


def _check_size(size: int, limits: DecodeLimits) -> None:
    if size == 0:
        raise UnreadableImage("the file is empty")
    if size > limits.max_bytes:
        raise UnreadableImage(f"the file has {size} bytes; at most {limits.max_bytes} are read")


def _decode(data: bytes, spec: ClassifierSpec, limits: DecodeLimits) -> Decoded:
    upright = decode_upright(data, limits)
    crop = crop_of(*upright.size, spec)
    resized = upright.resize(
        (spec.input_width, spec.input_height),
        FILTERS[spec.interpolation],
        box=(crop.x, crop.y, crop.x + crop.w, crop.y + crop.h),
    )
    return Decoded(np.asarray(resized), crop, *upright.size, hashlib.sha256(data).hexdigest())


def decode_upright(data: bytes, limits: DecodeLimits) -> Image.Image:
    """A photograph from the bytes of its file: upright, 8-bit RGB, in its own size.

    Raises:
        UnreadableImage: They hold no usable picture.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_known_formats()) as file:
            if file.width * file.height > limits.max_pixels:
                raise UnreadableImage(f"{file.width} x {file.height} pixels; at most {limits.max_pixels} are unpacked")
            if min(file.size) < limits.min_side:
                raise UnreadableImage(f"{file.width} x {file.height} pixels; needs {limits.min_side} a side")
            file.load()
            return _to_rgb(_upright(file))
    except (UnreadableImage, MemoryError):
        raise
    except Image.UnidentifiedImageError as error:
        raise UnreadableImage(f"not a picture of a known kind ({_beginning(data)})") from error
    except Image.DecompressionBombError as error:
        raise UnreadableImage(f"too many pixels; at most {limits.max_pixels} are unpacked") from error
    except Exception as error:
        # Parsers of hostile bytes fail in whatever way they like; each of them means the same here.
        message = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableImage(f"damaged: {message}") from error


def _known_formats() -> list[str]:
    """The formats above that this build of Pillow has (AVIF and WebP are optional in it)."""
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def _beginning(data: bytes) -> str:
    """What a file that is no picture begins with, to tell a web page from noise."""
    return f"it begins with {data[:12]!r}"


def _upright(image: Image.Image) -> Image.Image:
    """Turn a photograph as its EXIF orientation says."""
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        turn = None  # damaged metadata (its parser fails in any way) beside a sound picture: taken as it lies
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _to_grey(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, _WHITE), image).convert("RGB")
    return image.convert("RGB")


def _to_grey(image: Image.Image) -> Image.Image:
    """8-bit grey from deeper values, which Pillow would clip at 255.

    Integers fill 16 bits. Floats fill [0, 1], or 8 or 16 bits where they exceed 1: the smallest of the three
    ranges that holds them. Anything else has no known white and is refused.
    """
    values = np.asarray(image, dtype=np.float32)
    low, high = float(values.min()), float(values.max())
    ranges = (1.0, 255.0, 65535.0) if image.mode == "F" else (65535.0,)
    white = next((white for white in ranges if high <= white), None)
    if white is None or not low >= 0:
        raise UnreadableImage(f"grey values from {low:g} to {high:g} have no known white")
    return Image.fromarray(np.rint(values * (255 / white)).astype(np.uint8))
