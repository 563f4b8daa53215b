"""What a run found, without the network that it explains; its photographs are at hand for who asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from vissum_jax.data import ImageSource, open_files
from vissum_jax.pipeline.run import NotReadyError, require_done
from vissum_jax.runs.manifest import Manifest, load_manifest
from vissum_jax.runs.rows import class_summaries, rows_of_class
from vissum_jax.runs.store import LocalFolder, PartStore
from vissum_jax.types import ClassSummaries


class FinishedClass(NamedTuple):
    """One class of a run.

    Attributes:
        class_index: The class.
        class_name: Its name.
        images: Its photographs, in the order that `summaries` counts.
        rows: Their mask rows.
        summaries: Its summaries.
    """

    class_index: int
    class_name: str
    images: tuple[str, ...]
    rows: pa.Table
    summaries: ClassSummaries


@dataclass(frozen=True)
class FinishedRun:
    """A run whose masks and summaries are all done.

    Attributes:
        folder: The RUN folder.
        manifest: What was computed.
    """

    folder: Path
    manifest: Manifest

    def classes(self) -> Iterator[FinishedClass]:
        """What was found, class by class, by index."""
        masks = PartStore(self.folder / "masks")
        rows = masks.read_all(range(len(self.manifest.shards)))
        for class_index, class_name in sorted(self.manifest.classes.items()):
            images = self.manifest.images_of(class_index)
            own = rows_of_class(rows, class_index)
            yield FinishedClass(class_index, class_name, images, own, self.summaries(class_index))

    def summaries(self, class_index: int) -> ClassSummaries:
        """The summaries of a class; its members count the class's photographs."""
        stored = PartStore(self.folder / "summaries").read(class_index)
        return class_summaries(stored, self.manifest.images_of(class_index))

    def photographs(self) -> ImageSource:
        """What fetches the photographs by their names, without the network; nothing is listed again.

        Raises:
            NotReadyError: The data set or the tar files that hold them cannot be opened.
        """
        try:
            return open_files(self.manifest.request["images"])
        except (OSError, ValueError) as error:
            raise NotReadyError(str(error)) from error


def open_finished(folder: Path | str) -> FinishedRun:
    """Open a finished run.

    Raises:
        FileNotFoundError: There is no run.
        NotReadyError: Some of its masks or summaries are not done.
        ValueError: Its manifest is damaged.
    """
    folder = Path(folder)
    manifest = load_manifest(folder)
    require_done(LocalFolder(folder), manifest, "masks", "summaries")
    return FinishedRun(folder, manifest)
