"""``vissum export``: a finished run in the formats of other tools."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Protocol

from vissum_jax._version import __version__
from vissum_jax.export.arrays import ArrayWriter
from vissum_jax.export.coco import CocoWriter
from vissum_jax.export.fiftyone_dataset import FiftyOneWriter
from vissum_jax.export.model import ExportedClass
from vissum_jax.pipeline.finished import FinishedClass, FinishedRun
from vissum_jax.pipeline.progress import Progress
from vissum_jax.runs.folder import check_place, whole_folder
from vissum_jax.runs.rows import mask_batch
from vissum_jax.study.tags import read_tags
from vissum_jax.types import Crop

FORMATS = ("coco", "fiftyone", "npz")
FOLDER, MARKER = "export", ".vissum-export"
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
        if format == "coco":
            writer = stack.enter_context(closing(CocoWriter(folder, info)))
        elif format == "npz":
            writer = ArrayWriter(folder, info)
        else:
            writer = stack.enter_context(closing(FiftyOneWriter(folder, Path(manifest.request["images"]), info)))
        progress.start("export", len(manifest.classes))
        for found in run.classes():
            writer.add_class(_exported(found, named))
            progress.advance(1)
        counts = writer.finish()
        progress.finish()
    return counts


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
