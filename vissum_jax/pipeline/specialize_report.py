"""What specialisation did, for people: tables, and corrected photographs beside what corrected them (VS fig. 6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from vissum_jax.analysis.drop import MISSING, markdown
from vissum_jax.data import Decoded, FolderSource
from vissum_jax.report.gallery import Figure, Gallery, Item, Picture, write_gallery
from vissum_jax.types import ClassifierSpec

VARIANT_LABELS = {
    "summaries": "an SVM a summary",
    "per_class": "an SVM a class",
    "random": "an SVM a random set",
}
_GROUP_LABELS = {"chosen": "chosen classes", "all": "all classes", "others": "other classes"}


def specialize_markdown(values: Mapping[str, Any]) -> str:
    """The tables for people, and what they say."""
    lines = [
        [VARIANT_LABELS[name] + (f", draw {draw}" if len(draws) > 1 else ""), *_cells(each)]
        for name, draws in values["variants"].items()
        for draw, each in enumerate(draws, start=1)
    ]
    headings = ["variant", "SVMs", "weight"]
    headings += [f"{label}: before, after, gain" for label in _GROUP_LABELS.values()]
    classes = [
        [
            each["class_name"],
            str(each["summaries"]),
            str(each["machines"]),
            str(each["images"]),
            _share(each["before"]),
            _share(each["after"]),
            each["reason"] or "; ".join(f"summary {n}: {why}" for n, why in each["without_machine"].items()),
        ]
        for each in values["classes"]
    ]
    level = values["config"]["bootstrap"]["confidence"]
    used = ", ".join(f"{count} for {role}" for role, count in values["photographs"].items())
    notes = [
        f"Top-1 accuracy of {values['model']} before and after on photographs used for nothing else; gains in points "
        f"with their {level:.0%} interval over photographs. Photographs: {used}.",
        f"Answered rightly only after: {len(values['corrected'])} photographs; only before: {len(values['spoiled'])}.",
    ]
    if values["guards"]:
        notes.append(
            f"The weight is the best one at which the {values['guards']} photographs of classes without SVMs, among "
            "those for it, are answered rightly as often as before."
        )
    else:
        notes.append(
            "No photograph of a class without SVMs was among those for the weight: nothing kept it from costing other "
            "classes. Name some with --train."
        )
    if values["unreadable"]:
        notes.append(f"Not readable, and left out: {', '.join(values['unreadable'])}.")
    table = markdown(["class", "summaries", "SVMs", "photographs", "before", "after", "note"], classes)
    return markdown(headings, lines) + "\n" + "\n".join(notes) + "\n\n" + table


def _cells(variant: Mapping[str, Any]) -> list[str]:
    return [
        str(variant["machines"]),
        f"{variant['weight']:.2f}",
        *(gain_text(variant[group]) for group in _GROUP_LABELS),
    ]


def gain_text(comparison: Mapping[str, Any]) -> str:
    """Accuracies before and after and the gain in points, with its interval and the number of photographs."""
    if not comparison["images"]:
        return MISSING
    mean, low, high = (100 * comparison["difference"][name] for name in ("mean", "low", "high"))
    shares = f"{_share(comparison['before'])}, {_share(comparison['after'])}"
    return f"{shares}, {mean:+.2f} ({low:+.2f} to {high:+.2f}; n = {comparison['images']})"


def _share(value: float | None) -> str:
    return MISSING if value is None else f"{value:.1%}"


def write_corrections(
    out: Path,
    values: Mapping[str, Any],
    sources: Sequence[FolderSource],
    spec: ClassifierSpec,
    summaries: Mapping[tuple[int, int], UInt8[np.ndarray, "h w 3"]],
    most: int,
) -> Path:
    """Write the page of photographs whose answer changed for the better, then of those for the worse.

    Args:
        out: Folder of the page.
        values: What `evaluate_specialize` found.
        sources: The test photographs.
        spec: The network's input geometry.
        summaries: Picture of each summary's exemplar, by class and number.
        most: Photographs of each kind that are shown.

    Returns:
        The page.
    """
    (main,) = values["variants"]["summaries"]
    gallery = Gallery(
        model=values["model"],
        kind="Specialisation",
        title="Photographs that summaries corrected",
        lede="Photographs that the network answers wrongly and its specialised self rightly, each beside the summary "
        "whose support vector machine is the surest; after them, photographs that were right before.",
        figures=(
            Figure("Corrected", str(len(values["corrected"]))),
            Figure("Spoiled", str(len(values["spoiled"]))),
            Figure("Chosen classes, before and after", gain_text(main["chosen"])),
            Figure("All classes, before and after", gain_text(main["all"])),
        ),
        notes=(
            f"Specialised is (1 - a) softmax + a SVMs with a = {main['weight']:.2f}.",
            f"At most {most} of each kind are shown.",
        ),
        configuration=values["config"],
    )
    return write_gallery(out, gallery, {"": _items(values, sources, spec, summaries, most)})


def _items(
    values: Mapping[str, Any],
    sources: Sequence[FolderSource],
    spec: ClassifierSpec,
    summaries: Mapping[tuple[int, int], UInt8[np.ndarray, "h w 3"]],
    most: int,
) -> Iterator[Item]:
    entries = {entry.image: (source, entry) for source in sources for entry in source.entries}
    for kind in ("corrected", "spoiled"):
        for change in values[kind][:most]:
            source, entry = entries[change["image"]]
            (decoded,) = source.read([entry], spec, workers=1)
            pictures = []
            if isinstance(decoded, Decoded):  # it was readable a moment ago
                pictures.append(Picture("photograph", f"Photograph {change['image']}", decoded.image))
            exemplar = summaries.get((change["now_index"], change["summary"]))
            if exemplar is not None:
                caption = f"summary {change['summary'] + 1} of {change['after'].replace('_', ' ')}"
                pictures.append(Picture(caption, f"Exemplar of {caption}", exemplar))
            facts = [("is", change["class_name"]), ("before", change["before"]), ("after", change["after"])]
            if change["answer"] is not None:
                facts.append(("SVM", f"{change['answer']:.2f}"))
            yield Item(
                title=change["image"],
                pictures=pictures,
                facts=facts,
                warning="" if kind == "corrected" else "right before, wrong now",
            )
