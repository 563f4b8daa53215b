"""What a run found, without the network that it explains and without its photographs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from vissum_jax.pipeline.run import NotReadyError
from vissum_jax.runs.manifest import Manifest, load_manifest
from vissum_jax.runs.rows import class_summaries
from vissum_jax.runs.store import PartStore
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
            own = rows.filter(pc.equal(rows["class_index"], class_index))  # pyright: ignore[reportAttributeAccessIssue]
            yield FinishedClass(
                class_index, class_name, tuple(own["image"].to_pylist()), own, self.summaries(class_index)
            )

    def summaries(self, class_index: int) -> ClassSummaries:
        """The summaries of a class; its members count the class's photographs."""
        images = [image for image, index, _ in self.manifest.entries if index == class_index]
        return class_summaries(PartStore(self.folder / "summaries").read(class_index), images)


def open_finished(folder: Path | str) -> FinishedRun:
    """Open a finished run.

    Raises:
        FileNotFoundError: There is no run.
        NotReadyError: Some of its masks or summaries are not done.
        ValueError: Its manifest is damaged.
    """
    folder = Path(folder)
    manifest = load_manifest(folder)
    for stage, numbers, command in (
        ("masks", range(len(manifest.shards)), "masks"),
        ("summaries", sorted(manifest.classes), "summarize"),
    ):
        store = PartStore(folder / stage)
        missing = sum(not store.done(number) for number in numbers)
        if missing:
            raise NotReadyError(
                f"{str(folder)!r}: {missing} of {len(numbers)} parts of its {stage} are not done; finish them with "
                f"`vissum {command} {folder}`."
            )
    return FinishedRun(folder, manifest)
