"""FiftyOne: a folder that its own importer reads, made by FiftyOne itself.

    import fiftyone as fo
    dataset = fo.Dataset.from_dir("FOLDER", dataset_type=fo.types.FiftyOneDataset)
    fo.launch_app(dataset)

Boxes are shares of the photograph's sides, as FiftyOne has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vissum_jax.export.model import ExportedClass, bounds, box_on_photograph, known, photograph_size
from vissum_jax.types import Crop

_MEASURES = ("p_original", "p_soft", "p_binary", "drop_soft", "drop_binary", "area", "transfer_drop")


def load_fiftyone() -> Any:
    """FiftyOne, with its database at hand.

    Raises:
        ValueError: It is not installed, or its database cannot be had.
    """
    try:
        import fiftyone  # pyright: ignore[reportMissingImports] - an extra
    except ModuleNotFoundError as error:
        raise ValueError(
            f"--format fiftyone needs FiftyOne ({error}): pip install 'vissum-jax[fiftyone]', in an environment of "
            "its own if `vissum run` is used too, for FiftyOne brings another OpenCV."
        ) from error
    try:
        fiftyone.list_datasets()
    except (fiftyone.core.config.FiftyOneConfigError, ConnectionError) as error:
        raise ValueError(
            f"FiftyOne cannot reach its database ({error}); start a MongoDB and name it in FIFTYONE_DATABASE_URI."
        ) from error
    return fiftyone


class FiftyOneWriter:
    """Writes a dataset in FiftyOne's own format.

    A photograph is a sample with its class, its status, what was measured, its mask (a detection with an instance
    mask) and the summaries it is in (detections with their number, rank, and so on; the label names the summary).
    """

    def __init__(self, folder: Path, locate: Callable[[str], Path], info: Mapping[str, Any]) -> None:
        """Start a dataset that FiftyOne forgets when it is written.

        Args:
            folder: Where to.
            locate: The file of a photograph.
            info: What holds for the run as a whole.

        Raises:
            ValueError: As `load_fiftyone`.
        """
        self._fiftyone = load_fiftyone()
        self._folder, self._locate = folder, locate
        self._dataset = self._fiftyone.Dataset()
        self._dataset.info = dict(info)
        self._counts = {"images": 0, "masks": 0, "summaries": 0, "members": 0, "left_out": {"unreadable": 0}}

    def add_class(self, exported: ExportedClass) -> None:
        """Add a class's photographs."""
        found: dict[int, list[Any]] = {}
        for summary in exported.summaries:
            for member in summary.kept_members:
                crop = exported.crops[member.image]
                if crop is None:
                    raise ValueError(f"summary {exported.label(summary)!r} has a member without a photograph.")
                values = {
                    "summary": summary.number,
                    "rank": member.rank,
                    "exemplar": member.exemplar,
                    "similarity": known(member.similarity),
                    "ssim": known(member.ssim),
                    "importance": known(summary.importance),
                    "stability": known(summary.stability),
                    "name": exported.tags.get(summary.number),
                }
                found.setdefault(member.image, []).append(
                    self._fiftyone.Detection(
                        label=exported.label(summary),
                        bounding_box=self._share(exported, member.box, crop),
                        **{name: value for name, value in values.items() if value is not None},
                    )
                )
                self._counts["members"] += 1
            self._counts["summaries"] += 1
        samples = [self._sample(exported, row, found.get(row, [])) for row in range(len(exported.images))]
        self._dataset.add_samples([sample for sample in samples if sample is not None], progress=False)

    def finish(self) -> dict[str, Any]:
        """Write the dataset.

        Returns:
            How many there are of what.
        """
        new = self._folder / "new"  # FiftyOne warns of a folder that is there
        self._dataset.export(
            export_dir=str(new),
            dataset_type=self._fiftyone.types.FiftyOneDataset,
            export_media=False,
            progress=False,
        )
        for file in new.iterdir():
            file.rename(self._folder / file.name)
        new.rmdir()
        return self._counts

    def close(self) -> None:
        """Let FiftyOne forget the dataset; what was written stays."""
        self._dataset.delete()

    def _sample(self, exported: ExportedClass, row: int, members: list[Any]) -> Any:
        fiftyone, masks, crop = self._fiftyone, exported.masks, exported.crops[row]
        if crop is None:
            self._counts["left_out"]["unreadable"] += 1
            return None
        self._counts["images"] += 1
        width, height = photograph_size(crop)
        sample = fiftyone.Sample(
            filepath=str(self._locate(exported.images[row]).absolute()),
            metadata=fiftyone.ImageMetadata(width=width, height=height),
            ground_truth=fiftyone.Classification(label=exported.class_name),
            class_index=exported.class_index,
            predicted_index=int(masks.predicted_index[row]),
            status=str(masks.status[row]),
            reason=masks.reason[row],
            **{name: known(getattr(masks, name)[row]) for name in _MEASURES},
        )
        salient = masks.salient[row]
        if masks.has_mask[row] and salient.any():
            x, y, w, h = bounds(salient)
            sample["mask"] = fiftyone.Detection(
                label=exported.class_name,
                bounding_box=self._share(exported, (x, y, w, h), crop),
                mask=np.ascontiguousarray(salient[y : y + h, x : x + w]),
            )
            self._counts["masks"] += 1
        sample["summaries"] = fiftyone.Detections(detections=members)
        return sample

    def _share(self, exported: ExportedClass, box: tuple[int, int, int, int], crop: Crop) -> list[float]:
        width, height = photograph_size(crop)
        x, y, w, h = box_on_photograph(box, crop, *exported.masks.salient.shape[1:])
        return [x / width, y / height, w / width, h / height]
