"""What users call IMAGES: a folder, a prepared data set or tar files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vissum_jax.data.folder import FolderSource, open_folder
from vissum_jax.data.source import ImageEntry, ImageSource
from vissum_jax.data.tfds_source import open_tfds, open_tfds_files
from vissum_jax.data.webdataset import open_webdataset, open_webdataset_files
from vissum_jax.types import ClassifierSpec

_TFDS, _WEBDATASET = "tfds:", "webdataset:"


def absolute_images(images: Path | str) -> str:
    """IMAGES as it can be opened from any working folder."""
    text = str(images)
    if text.startswith(_TFDS):
        name, _, split = text.removeprefix(_TFDS).rpartition("/")
        folder = Path(name).expanduser()
        return f"{_TFDS}{folder.resolve()}/{split}" if name and folder.is_dir() else text
    if text.startswith(_WEBDATASET):
        return f"{_WEBDATASET}{_absolute(text.removeprefix(_WEBDATASET))}"
    return _absolute(text)


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().resolve())


def open_files(images: str) -> ImageSource:
    """A source that lists nothing: it fetches photographs by names that a run lists, whatever classes they stand for.

    Args:
        images: As of `open_images`.

    Raises:
        FileNotFoundError: There is no such data set, or there are no such tar files.
        ValueError: Something is wrong with them; one line.
    """
    if images.startswith(_TFDS):
        return open_tfds_files(images.removeprefix(_TFDS))
    if images.startswith(_WEBDATASET):
        return open_webdataset_files(images.removeprefix(_WEBDATASET))
    return FolderSource(root=Path(images), entries=())


def open_images(
    images: str,
    spec: ClassifierSpec,
    *,
    classes: Sequence[str] = (),
    limit: int | None = None,
    known: Sequence[ImageEntry] | None = None,
) -> ImageSource:
    """List photographs: of a folder of class folders, of ``tfds:NAME/SPLIT`` or of ``webdataset:PATTERN``.

    Args:
        images: The folder, data set or tar files.
        spec: The network whose classes the labels stand for.
        classes: What to take, see `open_folder`, `open_tfds` and `open_webdataset`. Empty: all.
        limit: The most photographs of a class; None: all.
        known: What an earlier call with the same arguments listed; spares a pass through a data set that keeps its
            labels among its images. Other sources list again, and so notice what was added or went.

    Raises:
        FileNotFoundError: There is no such thing.
        ValueError: Something is wrong with it; one line.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"`limit` must be at least 1, got {limit}.")
    if images.startswith(_TFDS):
        return open_tfds(images.removeprefix(_TFDS), spec, classes=classes, limit=limit, known=known)
    if images.startswith(_WEBDATASET):
        return open_webdataset(images.removeprefix(_WEBDATASET), spec, classes=classes, limit=limit)
    return open_folder(images, spec, classes=classes, limit=limit)
