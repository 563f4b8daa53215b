"""``vissum compare``: what one network uses that another does not, on the same photographs (VS figure 5)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np

from vissum_jax.analysis.summary_overlap import Boxes, Overlap, box_in_photograph, match_summaries, overlap
from vissum_jax.pipeline.finished import FinishedClass, open_finished
from vissum_jax.pipeline.progress import Progress
from vissum_jax.pipeline.run import Run, open_run
from vissum_jax.pipeline.stages import read_class
from vissum_jax.report.compare_page import Card, CardTile, ClassSection, Match, Side, write_comparison
from vissum_jax.report.evaluation import COMPARE_PREFIX, COMPARE_VALUES, FOLDER
from vissum_jax.report.figures import Format
from vissum_jax.report.pictures import PictureStyle, enlarged, summary_picture
from vissum_jax.report.site import MARKER
from vissum_jax.runs.folder import check_place, whole_folder
from vissum_jax.types import HAS_MASK, Crop, Summary

_WHAT = "a report"


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """Constants of the comparison.

    Attributes:
        least: Least similarity of two summaries that show the same part. Two networks that box a part alike (at an
            intersection over union of one half) in a fifth of the photographs that either summary has reach 0.1.
        pictures: Photographs of a summary that the page shows.
        picture_side: Least side of a picture; smaller inputs are enlarged by a whole factor.
    """

    least: float = 0.1
    pictures: int = 6
    picture_side: int = 160

    def __post_init__(self) -> None:
        """Check ranges."""
        if not 0 < self.least <= 1:
            raise ValueError(f"`least` must be in (0, 1], got {self.least}.")
        for name in ("pictures", "picture_side"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be positive, got {getattr(self, name)}.")


class _Seen(NamedTuple):
    """A class as one run has it: its kept summaries, their boxes, and the photographs that have a mask, by hash."""

    found: FinishedClass
    kept: tuple[Summary, ...]
    boxes: list[Boxes]
    masked: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class ComparePlan:
    """Two runs and what they share.

    Attributes:
        runs: Both.
        found: What each found, by class name.
        classes: Names of the classes of which they share photographs.
        out: Folder of the page.
        config: Constants.
        figures: Format of a figure for papers of each class, or None for none.
    """

    runs: tuple[Run, Run]
    found: tuple[Mapping[str, FinishedClass], Mapping[str, FinishedClass]]
    classes: tuple[str, ...]
    out: Path
    config: CompareConfig
    figures: Format | None = None


def plan_compare(
    first: Path,
    second: Path,
    *,
    out: Path | None = None,
    config: CompareConfig | None = None,
    figures: Format | None = None,
) -> ComparePlan:
    """Open two runs and see what they have in common.

    Args:
        first: A finished run.
        second: Another.
        out: Folder of the page; ``FIRST/evaluation/compare-SECOND`` by default.
        config: Constants.
        figures: Format of a figure for papers of each class, or None for none.

    Raises:
        FileNotFoundError: If there is no such run.
        ValueError: If a run is not finished, both are the same, they share no photograph, or the folder is taken.
    """
    if first.resolve() == second.resolve():
        raise ValueError(f"{str(first)!r} is compared with itself; name two runs.")
    place = first / FOLDER / f"{COMPARE_PREFIX}{second.resolve().name}" if out is None else out
    check_place(place, MARKER, _WHAT)
    finished = [open_finished(folder) for folder in (first, second)]
    runs = open_run(first), open_run(second)  # says what is wrong with a run that another version made
    one, other = ({found.class_name: found for found in run.classes()} for run in finished)
    classes = tuple(name for name, found in one.items() if name in other and _contents(found) & _contents(other[name]))
    if not classes:
        raise ValueError(
            f"{str(first)!r} and {str(second)!r} have no photograph in common: the same file in the same class; name "
            "runs of the same IMAGES and classes."
        )
    return ComparePlan(
        runs=runs,
        found=(one, other),
        classes=classes,
        out=place,
        config=config or CompareConfig(),
        figures=figures,
    )


def _contents(found: FinishedClass) -> set[tuple[str, str]]:
    """Names and hashes of the photographs that could be read: a file of the same name may hold another picture."""
    names, hashes = (found.rows[column].to_pylist() for column in ("image", "content_sha256"))
    return {(name, content) for name, content in zip(names, hashes, strict=True) if content is not None}


def compare_runs(plan: ComparePlan, progress: Progress) -> dict[str, Any]:
    """Match the summaries of both runs, write the page and ``compare.json``.

    Returns:
        Plain values, as ``compare.json`` holds them.
    """
    sides = tuple(
        Side(run.classifier.spec.name, str(run.folder), run.config.preset, _report_seen_from(plan.out, run))
        for run in plan.runs
    )
    classes: list[dict[str, Any]] = []

    def sections() -> Iterator[ClassSection]:
        progress.start("compare", len(plan.classes))
        for name in plan.classes:
            seen = (_seen(plan.found[0][name]), _seen(plan.found[1][name]))
            shared = {image for image, known in seen[0].masked.items() if seen[1].masked.get(image) == known}
            values, pairs = _compare(seen, shared, plan.config)
            classes.append({"class_name": name, **values})
            yield _section(plan, seen, shared, name, values, pairs)
            progress.advance(1)
        progress.finish()

    with whole_folder(plan.out, MARKER, _WHAT) as folder:
        write_comparison(folder, (sides[0], sides[1]), sections(), figures=plan.figures)
        values = {
            "runs": [
                {
                    "run": side.run,
                    "model": side.model,
                    "preset": side.preset,
                    "fingerprint": run.manifest.fingerprint,
                }
                for side, run in zip(sides, plan.runs, strict=True)
            ],
            "least_similarity": plan.config.least,
            "classes": classes,
            "classes_of_one_run": [sorted(set(found) - set(plan.classes)) for found in plan.found],
        }
        (folder / COMPARE_VALUES).write_text(json.dumps(values, indent=1, allow_nan=False), encoding="utf-8")
    return values


def _report_seen_from(out: Path, run: Run) -> str:
    """Address of a run's report as links of the page have it; empty where there is none."""
    report = run.folder / "report"
    return quote(os.path.relpath(report.resolve(), out.resolve())) if (report / "index.html").is_file() else ""


def _seen(found: FinishedClass) -> _Seen:
    rows = {row["image"]: row for row in found.rows.drop_columns(["rle"]).to_pylist()}
    kept = found.summaries.kept

    def boxes(summary: Summary) -> Boxes:
        out = {}
        for member in summary.kept_members:
            row = rows[found.images[member.image]]
            crop = Crop(*(row[f"crop_{side}"] for side in "xywh"))
            out[row["image"]] = box_in_photograph(member.box, crop, row["height"], row["width"])
        return out

    masked = {image: row["content_sha256"] for image, row in rows.items() if row["status"] in HAS_MASK}
    return _Seen(found, kept, [boxes(summary) for summary in kept], masked)


def _compare(
    seen: tuple[_Seen, _Seen], shared: set[str], config: CompareConfig
) -> tuple[dict[str, Any], list[tuple[int, int, Overlap]]]:
    """Values of a class, and its pairs of summaries."""
    overlaps = [[overlap(a, b, shared) for b in seen[1].boxes] for a in seen[0].boxes]
    similarity = np.array([[found.similarity for found in row] for row in overlaps], float)
    similarity = similarity.reshape(len(seen[0].kept), len(seen[1].kept))
    pairs = [(a, b, overlaps[a][b]) for a, b in match_summaries(similarity, config.least)]
    matched = ({a for a, _, _ in pairs}, {b for _, b, _ in pairs})
    only = [
        [
            {
                "summary": summary.number,
                "members": len(summary.kept_members),
                "members_in_shared": sum(image in shared for image in own.boxes[row]),
                "best_similarity": float(np.take(similarity, row, axis=side).max(initial=0.0)),
            }
            for row, summary in enumerate(own.kept)
            if row not in matched[side]
        ]
        for side, own in enumerate(seen)
    ]
    return {
        "photographs": len(shared),
        "summaries": [len(own.kept) for own in seen],
        "reasons": [own.found.summaries.reason for own in seen],
        "only": only,
        "matched": [
            {
                "summaries": [seen[0].kept[a].number, seen[1].kept[b].number],
                "members": [len(seen[0].kept[a].kept_members), len(seen[1].kept[b].kept_members)],
                "similarity": found.similarity,
                "photographs": found.photographs,
                "mean_iou": found.mean_iou,
            }
            for a, b, found in pairs
        ],
    }, pairs


def _section(
    plan: ComparePlan,
    seen: tuple[_Seen, _Seen],
    shared: set[str],
    name: str,
    values: dict[str, Any],
    pairs: Sequence[tuple[int, int, Overlap]],
) -> ClassSection:
    """A class as the page shows it."""
    draw = [
        _Drawer(run, own, plan.config, _report_seen_from(plan.out, run))
        for run, own in zip(plan.runs, seen, strict=True)
    ]
    only = []
    for side, listed in enumerate(values["only"]):
        numbers = {entry["summary"] for entry in listed}
        only.append([draw[side].card(row, shared) for row, own in enumerate(seen[side].kept) if own.number in numbers])
    matched = []
    for a, b, found in pairs:
        # The same photographs on both sides, as far as both summaries have them.
        both = set(seen[0].boxes[a]) & set(seen[1].boxes[b])
        cards = draw[0].card(a, both), draw[1].card(b, both)
        matched.append(Match(cards[0], cards[1], found.similarity, found.photographs, found.mean_iou))
    return ClassSection(
        name=name,
        photographs=len(shared),
        reasons=(values["reasons"][0], values["reasons"][1]),
        only=(only[0], only[1]),
        matched=matched,
    )


class _Drawer:
    """Draws summaries of one class of one run; its photographs are read once."""

    def __init__(self, run: Run, seen: _Seen, config: CompareConfig, address: str) -> None:
        self._seen, self._config = seen, config
        self._pages = f"classes/{seen.found.class_index}"
        self._report = run.folder / "report"
        self._address = address
        _, self._images, self._masks = read_class(run, seen.found.rows, seen.found.class_index)

    def card(self, row: int, first: set[str]) -> Card:
        """A summary; photographs that `first` names come first, by name, then the others by rank."""
        summary = self._seen.kept[row]
        names = [self._seen.found.images[member.image] for member in summary.kept_members]
        order = sorted(range(len(names)), key=lambda rank: (names[rank] not in first, names[rank]))
        tiles = []
        for rank in order[: self._config.pictures]:
            member = summary.kept_members[rank]
            image, salient = self._images[member.image], self._masks.salient[member.image]
            factor = max(1, -(-self._config.picture_side // min(salient.shape)))
            picture = summary_picture(*enlarged(image, salient, member.box, factor), PictureStyle())
            tiles.append(CardTile(names[rank], picture, self._link(f"photograph-{member.image}.html")))
        number = summary.number + 1
        return Card(number, len(names), tiles, self._link("index.html", f"#summary-{number}"))

    def _link(self, page: str, place: str = "") -> str:
        """Address of a page of the class in the run's report; empty where there is no such page."""
        there = self._address and (self._report / self._pages / page).is_file()
        return f"{self._address}/{self._pages}/{page}{place}" if there else ""
