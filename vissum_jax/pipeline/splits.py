"""Which photographs are for what: lists of names, seeded splits, and the check that no photograph serves twice.

A list is a text file in UTF-8: names of photographs relative to the folder of class folders, one a line, with forward
slashes; empty lines and lines that begin with # are passed over. A split is a folder of lists, ``NAME.txt`` each.
"""

from __future__ import annotations

import hashlib
import math
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from vissum_jax.data import FolderSource, ImageEntry, LabelIndex, UnknownLabelError, UnreadableImage, open_folder
from vissum_jax.data.decode import DecodeLimits, in_threads, read_file
from vissum_jax.data.folder import EXTENSIONS
from vissum_jax.data.labels import LABELS_FILE
from vissum_jax.runs.folder import whole_folder
from vissum_jax.runs.store import write_atomically
from vissum_jax.types import ClassifierSpec

MARKER = ".vissum-split"
SUFFIX = ".txt"
_WHAT = "an earlier split"
_NAMED = 5  # names in a message


class OverlapError(ValueError):
    """A photograph serves two purposes; the message names it, in one line."""


def read_lines(path: Path) -> tuple[str, ...]:
    """The lines of a list, without comments and empty ones.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not text, it is empty, or it says something twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise FileNotFoundError(f"No file {str(path)!r}.") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{str(path)!r} is not text in UTF-8: {error}.") from error
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        raise ValueError(f"{str(path)!r} is empty.")
    seen: set[str] = set()
    for line in lines:
        if line in seen:
            raise ValueError(f"{str(path)!r} names {line!r} twice.")
        seen.add(line)
    return tuple(lines)


def parse_shares(text: str) -> dict[str, float]:
    """``NAME=SHARE,NAME=SHARE,..`` as numbers.

    Raises:
        ValueError: It is not of that form, a name is none of a file, or the shares are not positive or exceed 1.
    """
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, _, share = (piece.strip() for piece in part.partition("="))
        try:
            shares[name] = float(share)
        except ValueError:
            raise ValueError(f"`shares` must be NAME=SHARE,NAME=SHARE,.., got {part.strip()!r}.") from None
        if not name.replace("_", "").replace("-", "").isalnum():
            raise ValueError(f"`shares`: a name has letters, digits, - and _, got {name!r}.")
    if not all(share > 0 and math.isfinite(share) for share in shares.values()) or sum(shares.values()) > 1 + 1e-9:
        raise ValueError(f"`shares` must be positive and at most 1 in all, got {text!r}.")
    return shares


def make_split(
    root: Path, shares: Mapping[str, float], *, seed: int, exclude: Sequence[str] = ()
) -> dict[str, tuple[str, ...]]:
    """Divide the photographs of each class folder; a folder of photographs without class folders is divided as one.

    Photographs are ordered by a hash of the seed and their content and cut at the shares: the same photographs are
    divided alike whatever their names, and copies of one file stay together.

    Args:
        root: Folder of class folders.
        shares: Name and share of each list; what is left over is in none.
        seed: Of the order.
        exclude: Class folders that are left out; the others are divided as they would be with them.

    Returns:
        For each list its names, sorted.

    Raises:
        FileNotFoundError: No such folder.
        ValueError: It holds no photographs, a class folder to leave out is not there, or a file cannot be read.
    """
    folders = _class_folders(root)
    if unknown := [name for name in exclude if name not in folders]:
        raise ValueError(f"`exclude`: {str(root)!r} has no class folder {unknown[0]!r}.")
    folders = [folder for folder in folders if folder not in exclude]
    lists: dict[str, list[str]] = {name: [] for name in shares}
    for folder in folders:
        names = _pictures(root / folder, root)
        by_content: dict[str, list[str]] = defaultdict(list)
        for name, content in content_hashes(root, names).items():
            by_content[order_key(seed, content)].append(name)
        order = [by_content[key] for key in sorted(by_content)]
        start, passed = 0, 0.0
        for name, share in shares.items():
            passed += share
            stop = round(passed * len(order))
            lists[name] += [image for group in order[start:stop] for image in group]
            start = stop
    return {name: tuple(sorted(names)) for name, names in lists.items()}


def order_key(seed: int, content: str) -> str:
    """Where a photograph comes in the seeded order of a division, by the hash of its content."""
    return hashlib.sha256(f"{seed}:{content}".encode()).hexdigest()


def write_split(split: Mapping[str, Sequence[str]], out: Path, *, about: str) -> None:
    """Write each list as ``NAME.txt``, with a comment that says how it was made."""
    for name, images in split.items():
        text = f"# {about}\n" + "".join(f"{image}\n" for image in images)
        write_atomically(out / f"{name}{SUFFIX}", text.encode("utf-8"))


def read_split(folder: Path) -> dict[str, tuple[str, ...]]:
    """The lists of a split.

    Raises:
        FileNotFoundError: There are none.
        ValueError: One is damaged.
    """
    files = sorted(folder.glob(f"*{SUFFIX}"))
    if not files:
        raise FileNotFoundError(f"{str(folder)!r} holds no list NAME{SUFFIX}.")
    return {path.stem: read_lines(path) for path in files}


def link_split(root: Path, split: Mapping[str, Sequence[str]], out: Path) -> None:
    """Make a folder of class folders for each list, ``OUT/NAME/CLASS/FILE``, so that `vissum run` takes it.

    Files are hard links where the file system allows, else copies; `labels.csv` goes along.

    Args:
        root: The folder that the lists are relative to.
        split: Names by list.
        out: A folder that does not exist, is empty, or holds an earlier split, which is replaced.

    Raises:
        FileNotFoundError: A name is not there.
        ValueError: `out` holds something else, or a name leads out of `root`.
    """
    for images in split.values():
        _require_within(root, images)
    with whole_folder(out, MARKER, _WHAT) as folder:
        for name, images in split.items():
            for image in images:
                target = folder / name / image
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(root / image, target)
            if (root / LABELS_FILE).is_file():
                folders = {image.split("/")[0] for image in images}
                lines = (root / LABELS_FILE).read_text(encoding="utf-8").splitlines()
                kept = [line for row, line in enumerate(lines) if row == 0 or line.split(",")[0] in folders]
                (folder / name / LABELS_FILE).write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")


def open_source(place: Path, root: Path, spec: ClassifierSpec) -> FolderSource:
    """The photographs that a list or a folder names.

    Args:
        place: A list; a folder of class folders; or a folder of photographs that are each named after their class,
            such as ``n02099601_golden_retriever.jpg``.
        root: The folder of class folders that a list is relative to.
        spec: The network whose classes they stand for.

    Raises:
        FileNotFoundError: There is no such place.
        ValueError: A name is not there, or stands for no class.
    """
    if place.is_dir():
        has_folders = any(path.is_dir() and not path.name.startswith(".") for path in place.iterdir())
        return open_folder(place, spec) if has_folders else _named_after_classes(place, spec)
    names = read_lines(place)
    _require_within(root, names)
    known = {entry.image: entry for entry in open_folder(root, spec, classes=_folders(root, names)).entries}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(
            f"{str(place)!r}: {unknown[0]!r} is no photograph in a class folder of {str(root)!r}"
            f"{f', nor are {len(unknown) - 1} others' if len(unknown) > 1 else ''}; name that folder with --images."
        )
    return FolderSource(root=root, entries=tuple(known[name] for name in names))


def content_hashes(root: Path, images: Iterable[str]) -> dict[str, str]:
    """SHA-256 of each file.

    Raises:
        ValueError: A file cannot be read.
    """
    limits, within = DecodeLimits(), root.resolve()
    names = list(images)

    def read(path: Path) -> str:
        return hashlib.sha256(read_file(path, limits, within)).hexdigest()

    found = in_threads(read, [root / name for name in names], workers=os.cpu_count() or 1)
    hashes: dict[str, str] = {}
    for name, content in zip(names, found, strict=True):
        if isinstance(content, UnreadableImage):
            raise ValueError(f"{str(root / name)!r}: {content}.")
        hashes[name] = content
    return hashes


def require_disjoint(roles: Mapping[str, Mapping[str, str]]) -> None:
    """Check that no photograph serves two purposes, whatever its name: by the SHA-256 of its file.

    Args:
        roles: For each purpose its photographs, name to hash.

    Raises:
        OverlapError: One does; the message names the photographs.
    """
    first: dict[str, tuple[str, str]] = {}
    shared: list[str] = []
    for role, images in roles.items():
        for image, content in images.items():
            earlier, name = first.setdefault(content, (role, image))
            if earlier != role:
                shared.append(f"{image!r} ({role}) is {name!r} ({earlier})")
    if shared:
        more = f", and {len(shared) - _NAMED} more" if len(shared) > _NAMED else ""
        raise OverlapError(
            f"photographs must serve one purpose each, by their content: {', '.join(shared[:_NAMED])}{more}; "
            "take them out of one of the two."
        )


def _class_folders(root: Path) -> list[str]:
    """Names of the class folders; one empty name, the folder itself, if it holds photographs alone."""
    if not root.is_dir():
        raise FileNotFoundError(f"No folder {str(root)!r}.")
    folders = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not folders and not _pictures(root, root):
        raise ValueError(f"{str(root)!r} holds neither class folders nor photographs.")
    return folders or [""]


def _pictures(folder: Path, root: Path) -> list[str]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in EXTENSIONS and path.is_file())
    return [path.relative_to(root).as_posix() for path in found]


def _folders(root: Path, names: Iterable[str]) -> tuple[str, ...]:
    """Class folders that names begin with; those that are not there are left for a better message."""
    return tuple(sorted({folder for name in names if (root / (folder := name.split("/")[0])).is_dir()}))


def _named_after_classes(folder: Path, spec: ClassifierSpec) -> FolderSource:
    labels = LabelIndex(spec)
    entries = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in EXTENSIONS:
            continue
        try:
            index = labels.resolve(path.stem)
        except UnknownLabelError as error:
            raise ValueError(f"{str(path)!r} is neither in a class folder nor named after a class: {error}") from error
        entries.append(ImageEntry(image=path.name, class_index=index, class_name=labels.name(index)))
    if not entries:
        raise ValueError(f"{str(folder)!r} holds neither class folders nor photographs.")
    return FolderSource(root=folder, entries=tuple(entries))


def _require_within(root: Path, images: Iterable[str]) -> None:
    for image in images:
        if not (root / image).resolve().is_relative_to(root.resolve()):
            raise ValueError(f"{image!r} leads out of {str(root)!r}.")


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise FileNotFoundError(f"No file {str(source)!r}.") from None
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
