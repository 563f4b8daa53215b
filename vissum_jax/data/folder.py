"""Photographs in a folder of class folders."""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vissum_jax.data.decode import Decoded, DecodeLimits, UnreadableImage, decode_batch, in_threads, read_file
from vissum_jax.data.labels import LABELS_FILE, LabelIndex, UnknownLabelError, printable, read_labels
from vissum_jax.data.source import ImageEntry, Listed, choose
from vissum_jax.types import ClassifierSpec

# Whatever claims to be a picture becomes a row, also kinds that will turn out unreadable: a folder of HEIC
# files should say so, not seem empty.
EXTENSIONS = frozenset(
    f".{kind}"
    for kind in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "webp", "avif", "heic", "heif", "jp2"),
        *("tif", "tiff", "gif", "bmp", "ppm", "pgm", "pbm", "pnm"),
    )
)
_READERS = 8  # files read at once: reading waits for the disk, not for a core


@dataclass(frozen=True, kw_only=True)
class FolderSource(Listed):
    """A frozen list of photographs in a folder.

    Attributes:
        root: The image folder.
    """

    root: Path

    def where(self, image: str) -> str:
        """The path of a photograph."""
        return str(self.root / image)

    def fetch(self, images: Sequence[str], limits: DecodeLimits) -> list[bytes | UnreadableImage]:
        """The bytes of some of the files, in order."""
        paths, within = [self.root / image for image in images], self.root.resolve()
        return in_threads(lambda path: read_file(path, limits, within), paths, workers=_READERS)

    def read(
        self,
        entries: Sequence[ImageEntry],
        spec: ClassifierSpec,
        *,
        workers: int,
        limits: DecodeLimits | None = None,
    ) -> list[Decoded | UnreadableImage]:
        """Decode some of the photographs, in order; see `decode_batch`."""
        paths = [self.root / entry.image for entry in entries]
        return decode_batch(paths, spec, workers=workers, limits=limits, within=self.root)


def open_folder(
    root: Path | str,
    spec: ClassifierSpec,
    *,
    classes: Sequence[str] = (),
    limit: int | None = None,
) -> FolderSource:
    """List the photographs of a folder of class folders.

    A class folder is named after a class: its name, WordNet id or index; or a `labels.csv` beside the class
    folders says which it is. Several folders may stand for one class. Class folders are searched in depth;
    hidden files and folders, and files without a picture's extension, are passed over. Links to folders are
    not followed, links to files only within `root`.

    Args:
        root: The image folder.
        spec: The network whose classes the folders stand for.
        classes: Folders to take: each a folder's name, or a class's name, WordNet id or index (all folders of
            that class). Empty: all.
        limit: The most photographs of a class, the first by path; None: all.

    Raises:
        FileNotFoundError: No such folder.
        ValueError: A folder or a selected class that names no class, no class folders, or one without
            pictures; one line.
    """
    root = Path(root)
    if limit is not None and limit < 1:
        raise ValueError(f"`limit` must be at least 1, got {limit}.")
    if not root.exists():
        raise FileNotFoundError(f"No folder {str(root)!r}.")
    if not root.is_dir():
        raise ValueError(f"{str(root)!r} is not a folder of class folders.")

    labels = LabelIndex(spec)
    table = root / LABELS_FILE
    stated = read_labels(table, labels) if table.is_file() else {}
    folders = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not folders:
        raise ValueError(f"{str(root)!r} holds no class folders.")
    chosen = choose(classes, folders, lambda folder: _class_of(folder, stated, labels), labels, "class folder")

    by_class: dict[int, list[str]] = defaultdict(list)
    for folder, index in sorted(chosen.items()):
        by_class[index] += _pictures(root, folder)
    return FolderSource(
        root=root,
        entries=tuple(
            ImageEntry(image=image, class_index=index, class_name=labels.name(index))
            for index, images in sorted(by_class.items())
            for image in sorted(images)[:limit]
        ),
    )


def _class_of(folder: str, stated: dict[str, int], labels: LabelIndex) -> int:
    if folder in stated:
        return stated[folder]
    try:
        return labels.resolve(folder)
    except UnknownLabelError as error:
        raise UnknownLabelError(f"Class folder: {error} ({LABELS_FILE} may say which class it is)") from error


def _pictures(root: Path, folder: str) -> list[str]:
    """Paths of a class folder's pictures, relative to the image folder."""
    if (root / folder).is_symlink():
        raise ValueError(f"Class folder {printable(folder)!r} is a link; links to folders are not followed.")

    def fail(error: OSError) -> None:
        raise ValueError(f"Class folder {printable(folder)!r} cannot be read: {error.strerror}.") from error

    found: list[str] = []
    for parent, subfolders, files in os.walk(root / folder, onerror=fail):
        here = Path(parent)
        links = [name for name in subfolders if (here / name).is_symlink()]  # rows that will say so
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        pictures = [name for name in files if Path(name).suffix.lower() in EXTENSIONS]
        found += [
            printable((here / name).relative_to(root).as_posix())
            for name in (*links, *pictures)
            if not name.startswith(".")
        ]
    if not found:
        raise ValueError(f"Class folder {printable(folder)!r} holds no pictures.")
    return found
