"""COCO: masks and the members of summaries, each as a JSON file that pycocotools loads.

Pixels are the original photographs', upright after their EXIF orientation. Ids count from 1, as COCO's tools want
them: a category of masks has the id ``class_index + 1``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from vissum_jax.export.model import ExportedClass, bounds, box_on_photograph, known, on_photograph, photograph_size
from vissum_jax.types import Crop, Member, Summary

MASKS, SUMMARIES = "masks.json", "summaries.json"
_DIGITS = 3  # of a box's pixels


class _AnnotationFile:
    """A COCO file whose annotations are written as they come: they come first, as JSON has no order."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "w", encoding="ascii")  # noqa: SIM115 - closed by `close`
        self._file.write('{"annotations": [')
        self.count = 0

    def add(self, annotation: Mapping[str, Any]) -> None:
        self._file.write("\n" if self.count == 0 else ",\n")
        self.count += 1
        self._file.write(json.dumps({"id": self.count, **annotation}, allow_nan=False))

    def finish(self, rest: Mapping[str, Any]) -> None:
        self._file.write("\n],\n" + json.dumps(rest, allow_nan=False)[1:] + "\n")

    def close(self) -> None:
        self._file.close()


class CocoWriter:
    """Writes ``masks.json`` and ``summaries.json`` class by class into a folder.

    A mask is one annotation: run lengths of all its regions, area and box, and what was measured with it. A member of
    a summary is one annotation: its box as a polygon; the summary is its category.
    """

    def __init__(self, folder: Path, info: Mapping[str, Any]) -> None:
        """Start the files.

        Args:
            folder: Where to.
            info: What holds for the run as a whole.
        """
        self._info = dict(info)
        self._images: list[dict[str, Any]] = []
        self._classes: list[dict[str, Any]] = []
        self._summaries: list[dict[str, Any]] = []
        self._masks = _AnnotationFile(folder / MASKS)
        self._members = _AnnotationFile(folder / SUMMARIES)
        self._left_out = {"unreadable": 0, "smaller_than_a_pixel": 0}

    def add_class(self, exported: ExportedClass) -> None:
        """Write a class's annotations."""
        self._classes.append(
            {"id": exported.class_index + 1, "name": exported.class_name, "class_index": exported.class_index}
        )
        ids: dict[int, int] = {}
        for row, (image, crop) in enumerate(zip(exported.images, exported.crops, strict=True)):
            if crop is None:  # without a photograph there is no size either
                self._left_out["unreadable"] += 1
                continue
            ids[row] = len(self._images) + 1
            width, height = photograph_size(crop)
            self._images.append(
                {
                    "id": ids[row],
                    "file_name": image,
                    "width": width,
                    "height": height,
                    "status": str(exported.masks.status[row]),
                }
            )
            if exported.masks.has_mask[row]:
                self._add_mask(exported, row, crop, ids[row])
        for summary in exported.summaries:
            self._add_summary(exported, summary, ids)

    def finish(self) -> dict[str, Any]:
        """Write what the annotations refer to.

        Returns:
            How many there are of what.
        """
        common = {"info": self._info, "licenses": [], "images": self._images}
        self._masks.finish({**common, "categories": self._classes})
        self._members.finish({**common, "categories": self._summaries})
        return {
            "images": len(self._images),
            "masks": self._masks.count,
            "summaries": len(self._summaries),
            "members": self._members.count,
            "left_out": self._left_out,
        }

    def close(self) -> None:
        """Close the files, finished or not."""
        self._masks.close()
        self._members.close()

    def _add_mask(self, exported: ExportedClass, row: int, crop: Crop, image_id: int) -> None:
        masks = exported.masks
        whole = on_photograph(masks.salient[row], crop)
        if not whole.any():  # of a small photograph
            self._left_out["smaller_than_a_pixel"] += 1
            return
        rle = coco_mask.encode(np.asfortranarray(whole, dtype=np.uint8))
        self._masks.add(
            {
                "image_id": image_id,
                "category_id": exported.class_index + 1,
                "segmentation": {"size": list(whole.shape), "counts": rle["counts"].decode("ascii")},  # pyright: ignore
                "area": int(whole.sum()),
                "bbox": list(bounds(whole)),
                "iscrowd": 0,
                "p_original": known(masks.p_original[row]),
                "p_binary": known(masks.p_binary[row]),
                "drop_binary": known(masks.drop_binary[row]),
                "transfer_drop": known(masks.transfer_drop[row]),
            }
        )

    def _add_summary(self, exported: ExportedClass, summary: Summary, ids: Mapping[int, int]) -> None:
        category = {
            "id": len(self._summaries) + 1,
            "name": exported.label(summary),
            "supercategory": exported.class_name,
            "class_index": exported.class_index,
            "summary": summary.number,
            "ssim": known(summary.ssim),
            "importance": known(summary.importance),
            "stability": known(summary.stability),
            "tag": exported.tags.get(summary.number),
        }
        self._summaries.append({name: value for name, value in category.items() if value is not None})
        for member in summary.kept_members:
            crop = exported.crops[member.image]
            if crop is None:
                raise ValueError(f"summary {exported.label(summary)!r} has a member without a photograph.")
            self._members.add(self._member(exported, summary, member, crop, ids[member.image]))

    def _member(
        self, exported: ExportedClass, summary: Summary, member: Member, crop: Crop, image_id: int
    ) -> dict[str, Any]:
        height, width = exported.masks.salient.shape[1:]
        x, y, w, h = (round(side, _DIGITS) for side in box_on_photograph(member.box, crop, height, width))
        annotation = {
            "image_id": image_id,
            "category_id": len(self._summaries),
            "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
            "area": w * h,
            "bbox": [x, y, w, h],
            "iscrowd": 0,
            "summary": summary.number,
            "rank": member.rank,
            "exemplar": member.exemplar,
            "similarity": known(member.similarity),
            "ssim": known(member.ssim),
            "importance": known(summary.importance),
        }
        return {name: value for name, value in annotation.items() if value is not None}
