"""``vissum export``: a finished run in the formats of other tools."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Protocol

from vissum_jax._version import __version__
from vissum_jax.data import FolderSource
from vissum_jax.export.arrays import ArrayWriter
from vissum_jax.export.coco import CocoWriter
from vissum_jax.export.fiftyone_dataset import FiftyOneWriter
from vissum_jax.export.model import ExportedClass
from vissum_jax.pipeline.finished import FinishedClass, FinishedRun
from vissum_jax.pipeline.originals import write_originals
from vissum_jax.pipeline.progress import Progress
from vissum_jax.runs.folder import check_place, whole_folder
from vissum_jax.runs.rows import mask_batch
from vissum_jax.study.tags import read_tags
from vissum_jax.types import Crop

FORMATS = ("coco", "fiftyone", "npz")
FOLDER, MARKER = "export", ".vissum-export"
PHOTOGRAPHS = "photographs"
"""Folder of an export's photographs, where it needs files and the run's are records of larger ones."""
_WHAT = "an earlier export"


class _Writer(Protocol):
    def add_class(self, exported: ExportedClass) -> None: ...

    def finish(self) -> dict[str, Any]: ...


def check_export(format: str, out: Path) -> None:
    """Check what is asked for before work begins.

    Raises:
        ValueError: There is no such format, or the folder holds something else.
    """
    if format not in FORMATS:
        raise ValueError(f"--format must be one of {', '.join(FORMATS)}, got {format!r}.")
    check_place(out, MARKER, _WHAT)


def export_run(run: FinishedRun, format: str, out: Path, progress: Progress) -> dict[str, Any]:
    """Write a run's masks and kept summaries; an earlier export is replaced once the new one is whole.

    Args:
        run: The run.
        format: One of `FORMATS`.
        out: Folder of the export.
        progress: Counts classes.

    Returns:
        How many there are of what.

    Raises:
        ValueError: As `check_export`; or FiftyOne or its database cannot be had.
        ChangedError: Photographs are to be written, and one is no longer the one that its mask was found on.
        NotReadyError: So, and the data set or the tar files that hold them cannot be opened.
    """
    check_export(format, out)
    manifest = run.manifest
    info = {
        "description": f"Masks and visual summaries of {manifest.model['name']}",
        "version": __version__,
        "model": manifest.model["name"],
        "weights_sha256": manifest.model["weights_sha256"],
        "preset": manifest.request["preset"],
        "run": manifest.fingerprint,
        "geometry": "the photographs' pixels, upright after their EXIF orientation",
    }
    tags = read_tags(run.folder, fingerprint=manifest.fingerprint)
    named = {key: tag.tag for key, tag in tags.items()}
    with ExitStack() as stack:
        folder = stack.enter_context(whole_folder(out, MARKER, _WHAT))
        writer: _Writer
        files: _Files | None = None
        if format == "coco":
            writer = stack.enter_context(closing(CocoWriter(folder, info)))
        elif format == "npz":
            writer = ArrayWriter(folder, info)
        else:
            files = _Files(run, folder, out)
            writer = stack.enter_context(closing(FiftyOneWriter(folder, files.of, info)))
        progress.start("export", len(manifest.classes))
        for found in run.classes():
            if files is not None:
                files.add_class(found)
            writer.add_class(_exported(found, named))
            progress.advance(1)
        counts = writer.finish()
        progress.finish()
    return counts


class _Files:
    """Where each photograph is a file: where it always was, or among those written for the export."""

    def __init__(self, run: FinishedRun, folder: Path, out: Path) -> None:
        """Of an export that is filled in one place and ends up in another."""
        source = run.photographs()
        self._source = None if isinstance(source, FolderSource) else source
        self._root = source.root if isinstance(source, FolderSource) else out.resolve() / PHOTOGRAPHS
        self._folder = folder / PHOTOGRAPHS
        self._written: dict[str, Path] = {}

    def add_class(self, found: FinishedClass) -> None:
        """Write a class's photographs, if they are records of larger files."""
        if self._source is not None:
            rows = found.rows.select(["image", "content_sha256"]).to_pylist()
            self._written |= write_originals(self._source, rows, self._folder)

    def of(self, image: str) -> Path:
        """The file of a photograph."""
        return self._root / self._written.get(image, image)


def _exported(found: FinishedClass, tags: dict[tuple[int, int], str]) -> ExportedClass:
    columns = [found.rows[f"crop_{side}"].to_pylist() for side in "xywh"]
    return ExportedClass(
        class_index=found.class_index,
        class_name=found.class_name,
        images=found.images,
        masks=mask_batch(found.rows),
        crops=tuple(None if box[0] is None else Crop(*box) for box in zip(*columns, strict=True)),
        summaries=found.summaries.kept,
        tags={summary: tag for (class_index, summary), tag in tags.items() if class_index == found.class_index},
    )
