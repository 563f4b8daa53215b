"""NumPy: one compressed file a class, which loads without pickles."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vissum_jax.export.model import ExportedClass, box_on_photograph
from vissum_jax.types import Crop

INDEX = "index.json"

ARRAYS = {
    "class_index": "(), the class",
    "class_name": "(), its name",
    "images": "(n,), path of each photograph, relative to the images folder",
    "status": "(n,), how the work on it ended; only ok and infeasible have a mask",
    "has_mask": "(n,) bool",
    "masks": "(n, h, w) bool, True where the binary mask perturbs; False everywhere without a mask",
    "crops": "(n, 4), box x, y, w, h of the photograph, in its pixels, that a mask shows; NaN if unreadable",
    "predicted_index": "(n,), the network's own answer; -1 if unreadable",
    "p_original": "(n,), probability of the class on the photograph",
    "p_soft": "(n,), under the continuous mask",
    "p_binary": "(n,), under the binary mask",
    "drop_soft": "(n,), (p_original - p_soft) / p_original",
    "drop_binary": "(n,), (p_original - p_binary) / p_original",
    "area": "(n,), share of the pixels that the binary mask perturbs",
    "transfer_drop": "(n,), drop of the binary mask under the mean colour",
    "summary_number": "(s,), number of each kept summary, from 0, as in the rows of the run",
    "summary_ssim": "(s,), median structural similarity of its members",
    "summary_importance": "(s,), how much of the class's probability rests on it; NaN where it was not measured",
    "summary_stability": "(s,), how surely it is found again in some of the images; NaN where it was not measured",
    "summary_tag": "(s,), what people call it; empty where they were not asked",
    "member_summary": "(k,), number of the summary that a member belongs to",
    "member_image": "(k,), row of the member's photograph in `images`",
    "member_rank": "(k,), 0 for the exemplar, then by similarity to it",
    "member_box": "(k, 4), box x, y, w, h in pixels of the masks",
    "member_box_photograph": "(k, 4), the same in pixels of the photograph, upright after its EXIF orientation",
    "member_similarity": "(k,), match score with the exemplar",
    "member_ssim": "(k,), structural similarity with the other members; NaN if it was not compared",
    "member_exemplar": "(k,) bool",
}
"""Arrays of a class with n photographs, masks of h x w pixels, s kept summaries and k kept members."""


class ArrayWriter:
    """Writes ``class-INDEX.npz`` for every class, and ``index.json``, which lists them and says what is in them."""

    def __init__(self, folder: Path, info: Mapping[str, Any]) -> None:
        """Start.

        Args:
            folder: Where to.
            info: What holds for the run as a whole.
        """
        self._folder, self._info = folder, dict(info)
        self._classes: list[dict[str, Any]] = []
        self._counts = {"images": 0, "masks": 0, "summaries": 0, "members": 0}

    def add_class(self, exported: ExportedClass) -> None:
        """Write a class's file."""
        arrays = class_arrays(exported)
        file = f"class-{exported.class_index:05d}.npz"
        np.savez_compressed(self._folder / file, **arrays)  # pyright: ignore[reportArgumentType]
        self._classes.append({"class_index": exported.class_index, "class_name": exported.class_name, "file": file})
        for name, count in (
            ("images", len(exported.images)),
            ("masks", int(exported.masks.has_mask.sum())),
            ("summaries", len(exported.summaries)),
            ("members", len(arrays["member_summary"])),
        ):
            self._counts[name] += count

    def finish(self) -> dict[str, Any]:
        """Write the index.

        Returns:
            How many there are of what.
        """
        index = {"info": self._info, "classes": self._classes, "arrays": ARRAYS}
        (self._folder / INDEX).write_text(json.dumps(index, indent=1, allow_nan=False), encoding="ascii")
        return dict(self._counts)


def class_arrays(exported: ExportedClass) -> dict[str, np.ndarray]:
    """The arrays of a class; see `ARRAYS`. None is of objects."""
    masks = exported.masks
    height, width = masks.salient.shape[1:]
    nowhere = Crop(math.nan, math.nan, math.nan, math.nan)
    crops = [nowhere if crop is None else crop for crop in exported.crops]
    members = [(summary, member) for summary in exported.summaries for member in summary.kept_members]
    # Text that Unicode cannot hold (halves of characters in names of files) is spelt out.
    text = [name.encode("utf-8", "backslashreplace").decode() for name in exported.images]
    numbers = [summary.number for summary in exported.summaries]
    return {
        "class_index": np.array(exported.class_index),
        "class_name": np.array(exported.class_name, dtype=str),
        "images": np.array(text, dtype=str),
        "status": np.array([str(status) for status in masks.status], dtype=str),
        "has_mask": masks.has_mask,
        "masks": masks.salient,
        "crops": np.array(crops, np.float32).reshape(-1, 4),
        **{
            name: np.asarray(getattr(masks, name))
            for name in (
                *("predicted_index", "p_original", "p_soft", "p_binary", "drop_soft", "drop_binary"),
                *("area", "transfer_drop"),
            )
        },
        "summary_number": np.array(numbers, int),
        **{
            f"summary_{name}": np.array([getattr(summary, name) for summary in exported.summaries], np.float32)
            for name in ("ssim", "importance", "stability")
        },
        "summary_tag": np.array([exported.tags.get(number, "") for number in numbers], dtype=str),
        "member_summary": np.array([summary.number for summary, _ in members], int),
        "member_image": np.array([member.image for _, member in members], int),
        "member_rank": np.array([member.rank for _, member in members], int),
        "member_box": np.array([member.box for _, member in members], int).reshape(-1, 4),
        "member_box_photograph": np.array(
            [box_on_photograph(member.box, crops[member.image], height, width) for _, member in members], np.float32
        ).reshape(-1, 4),
        "member_similarity": np.array([member.similarity for _, member in members], np.float32),
        "member_ssim": np.array([member.ssim for _, member in members], np.float32),
        "member_exemplar": np.array([member.exemplar for _, member in members], bool),
    }
