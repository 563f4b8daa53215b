"""``vissum evaluate paper``: the tables and figures of VS from what evaluations wrote, ours beside the paper's."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vissum_jax.analysis.drop import MISSING
from vissum_jax.analysis.paper_figures import (
    COUNTS,
    DROPS,
    MEAN_SUMMARIES_ALEXNET,
    SPECIALISATION_GAIN,
    SUMMARIES_ALEXNET,
)
from vissum_jax.models.imagenet import imagenet_classes
from vissum_jax.pipeline.evaluate_coherency import CROPS, WHOLE
from vissum_jax.pipeline.paper_values import PaperValues, RunValues
from vissum_jax.pipeline.specialize_report import VARIANT_LABELS, gain_text
from vissum_jax.report.gallery import Table
from vissum_jax.report.paper_page import Missing, PaperSection, Plot


def paper_sections(values: PaperValues, page: Path) -> list[PaperSection]:
    """All tables and figures, in the paper's order.

    Args:
        values: What was measured.
        page: The folder of the page, which links are relative to.

    Raises:
        ValueError: An evaluation's file lacks what this version looks for.
    """
    try:
        return [
            _pictures(values, page),
            _study(values),
            _drop(values),
            _coherency(values),
            _counts(values),
            _comparison(values, page),
            _specialisation(values, page),
        ]
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(
            f"an evaluation of these runs is damaged or of another version ({type(error).__name__}: {error}); measure "
            "it again."
        ) from error


def _pictures(values: PaperValues, page: Path) -> PaperSection:
    found = {each.label: each.run.folder / "report" / "index.html" for each in values.runs}
    return PaperSection(
        title="Masks and summaries",
        source="VS figures 1 to 3",
        lede="Pictures of masks, regions and summaries are in the reports of the runs.",
        links=[(f"Report of {label}", _relative(path, page)) for label, path in found.items() if path.is_file()],
        notes=[
            f"The report of {each.label} is made by: vissum report {each.run.folder}"
            for each in values.runs
            if not found[each.label].is_file()
        ],
    )


def _study(values: PaperValues) -> PaperSection:
    """Table 1: summaries a class, and how far people agree on what they show."""
    names = imagenet_classes().names
    rows: dict[str, int | None] = {names[index]: count for index, count in SUMMARIES_ALEXNET.items()}
    rows |= {name: None for each in values.runs for name in each.names.values() if name not in rows}
    headings = ["class", "VS, AlexNet"]
    columns: list[dict[str, str]] = []
    for each in values.runs:
        headings.append(f"{each.label}: summaries")
        columns.append({each.names[index]: str(count) for index, count in each.counts.items()})
        if each.study is not None:
            scores = {entry["class_index"]: entry["mu_u"] for entry in each.study["classes"]}
            tags = {
                index: ", ".join(
                    entry["tag"] for entry in each.study["summaries"] if entry["class_index"] == index and entry["tag"]
                )
                for index in scores
            }
            headings += [f"{each.label}: muU", f"{each.label}: tags"]
            columns.append({each.names[index]: _number(value) for index, value in scores.items()})
            columns.append({each.names[index]: text for index, text in tags.items()})
    lines = [
        (
            name.replace("_", " "),
            MISSING if count is None else str(count),
            *(each.get(name, MISSING) for each in columns),
        )
        for name, count in rows.items()
        if count is not None or any(name in each for each in columns)
    ]
    means = [f"{each.label} {np.mean(list(each.counts.values())):.2f}" for each in values.runs if each.counts]
    return PaperSection(
        title="Summaries of each class, and what people call them",
        source="VS table 1",
        lede="The number of summaries of each class; muU is the mean Jaccard distance between the nouns of two "
        "participants, tags are the most used noun of each summary.",
        tables=[Table(title="", headings=tuple(headings), lines=tuple(lines))],
        notes=[
            f"Mean number of summaries a class: VS, AlexNet on its 18 classes {MEAN_SUMMARIES_ALEXNET}; "
            f"{', '.join(means)}. Networks and photographs differ: only classes of both can be compared."
        ],
        missing=[
            Missing(
                f"User study of {each.label}",
                f"vissum study build {each.run.folder}, then vissum study score ANSWERS --run {each.run.folder}",
            )
            for each in values.runs
            if each.study is None
        ],
    )


def _drop(values: PaperValues) -> PaperSection:
    """Table 2: the drop of the class's probability."""
    lines: list[tuple[str, ...]] = [
        (f"VS: {row.label}", f"{row.drop:.5f}", row.variance, *[MISSING] * 3) for row in DROPS
    ]
    shown = (("iebb", "soft"), ("iebb", "equal_area"), ("run", "soft"), ("run", "own"), ("random", "equal_area"))
    for each in values.runs:
        rows = {(row["method"], row["form"]): row for row in ([] if each.drop is None else each.drop["rows"])}
        for key in shown:
            if key in rows:
                lines.append((f"{each.label}: {rows[key]['label']}", *_drop_cells(rows[key])))
    return PaperSection(
        title="Drop of the class's probability",
        source="VS table 2",
        lede="(p0 - p1) / p0 when the masked pixels are blurred, its population variance over photographs, and what "
        "the paper leaves out: the area of the masks, and the drop of the same masks under the mean colour.",
        tables=[
            Table(
                title="",
                headings=("masks", "drop", "variance", "area", "mean colour", "photographs"),
                lines=tuple(lines),
            )
        ],
        plots=_plots(values, "drop", "Drop against area"),
        notes=["A drop says little without its area: hiding everything drops every class."],
        missing=[
            Missing(f"Drop of {each.label}", f"vissum evaluate drop {each.run.folder}")
            for each in values.runs
            if each.drop is None
        ],
    )


def _drop_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    measures = row["measures"]

    def mean(name: str) -> str:
        return f"{measures[name]['mean']:.3f}" if name in measures else MISSING

    drop = measures["drop"]
    return (
        f"{drop['mean']:.5f}",
        f"{drop['variance']:.2e}",
        mean("area"),
        mean("transfer_mean_colour"),
        str(row["images"]),
    )


def _coherency(values: PaperValues) -> PaperSection:
    """Figure 4: tags of summaries against those of random sets."""
    lines = [
        (f"{each.label}, {what}", *_coherency_cells(found))
        for each in values.runs
        for what, found in (("photographs", each.coherency), ("parts", each.crops))
        if found is not None
    ]
    headings = ("run", "tagger", "muS", "muR", "muS < muR", "muS - muR", "Wilcoxon p")
    return PaperSection(
        title="Do the images of a summary have more in common?",
        source="VS figure 4",
        lede="Mean Jaccard distance of automatic tags within summaries (muS) and within random sets of equal size of "
        "the class (muR). The paper shows bars of 18 classes, and no numbers.",
        tables=[Table(title="", headings=headings, lines=tuple(lines))] if lines else [],
        plots=[
            *_plots(values, WHOLE, "Tag distances of photographs"),
            *_plots(values, CROPS, "Tag distances of parts"),
        ],
        missing=[
            Missing(f"{what} of {each.label}", f"vissum evaluate coherency {each.run.folder}{option}")
            for each in values.runs
            for what, option, found in (
                ("Coherency", "", each.coherency),
                ("Coherency of parts", " --crops", each.crops),
            )
            if found is None
        ],
    )


def _coherency_cells(found: Mapping[str, Any]) -> tuple[str, ...]:
    test = found["test"]
    difference = MISSING
    if test is not None:
        moved = test["difference"]
        difference = f"{moved['mean']:+.3f} ({moved['low']:+.3f} to {moved['high']:+.3f})"
    return (
        found["tagger"],
        _number(found["mu_s"]),
        _number(found["mu_r"]),
        f"{found['lower']} of {found['measured']} classes",
        difference,
        MISSING if test is None else f"{test['wilcoxon']:.2g}",
    )


def _counts(values: PaperValues) -> PaperSection:
    """Table 3: number of summaries against accuracy."""
    lines = [(f"VS: {row.network}", f"{row.summaries:.2f}", f"{row.top1:.1%}", MISSING) for row in COUNTS]
    notes: list[str] = []
    missing: list[Missing] = []
    if values.counts is None:
        folders = " ".join(str(each.run.folder) for each in values.runs)
        command = f"vissum evaluate counts {folders} --out DIR, then --counts DIR/counts.json"
        missing.append(Missing("Counts of these runs", command))
    else:
        lines += [
            (run["label"], f"{run['mean_summaries']:.2f}", _share(run["known_top1"]), _share(run["measured_top1"]))
            for run in values.counts["runs"]
        ]
        notes.append(f"Ours on {len(values.counts['classes'])} classes: {', '.join(values.counts['classes'])}.")
        for name, title in (("known_top1", "ImageNet's top-1"), ("measured_top1", "top-1 here")):
            found = values.counts["correlation"][name]
            if found["value"] is None:
                notes.append(f"No rank correlation with {title}: {found['reason']}.")
            else:
                interval = f"95 % interval over classes {found['low']:.2f} to {found['high']:.2f}"
                notes.append(f"Rank correlation with {title}: {found['value']:.2f} ({interval}).")
    plot = values.counts_plot
    return PaperSection(
        title="Do better networks have more summaries?",
        source="VS table 3",
        lede="Mean number of summaries a class, and top-1 accuracy on ImageNet and on the photographs here.",
        tables=[Table(title="", headings=("network", "summaries", "ImageNet top-1", "top-1 here"), lines=tuple(lines))],
        plots=[] if plot is None else [Plot("counts", "Number of summaries against accuracy", plot)],
        notes=notes,
        missing=missing,
    )


def _comparison(values: PaperValues, page: Path) -> PaperSection:
    """Figure 5: what one network relies on and another does not."""
    lines, links = [], []
    for folder, found in values.comparisons.items():
        models = [run["model"] for run in found["runs"]]
        only = [sum(len(entry["only"][side]) for entry in found["classes"]) for side in range(2)]
        both = sum(len(entry["matched"]) for entry in found["classes"])
        lines.append((f"{models[0]} and {models[1]}", str(only[0]), str(only[1]), str(both)))
        links.append((f"{models[0]} and {models[1]} side by side", _relative(folder / "index.html", page)))
    runs = " ".join(str(each.run.folder) for each in values.runs[:2])
    return PaperSection(
        title="What one network relies on and another does not",
        source="VS figure 5",
        lede="Summaries of two networks, matched by the overlap of their boxes.",
        tables=[Table(title="", headings=("networks", "only the first", "only the second", "both"), lines=tuple(lines))]
        if lines
        else [],
        links=links,
        missing=[]
        if lines
        else [Missing("Comparison", f"vissum compare {runs if len(values.runs) > 1 else runs + ' RUN_B'}")],
    )


def _specialisation(values: PaperValues, page: Path) -> PaperSection:
    """Section 4.4 and figure 6: accuracy of networks specialised by their summaries."""
    gain = f"{100 * SPECIALISATION_GAIN:+.2f} (18 of 1000 classes specialised)"
    lines: list[tuple[str, ...]] = [("VS", MISSING, MISSING, gain, MISSING)]
    links = []
    for each in values.runs:
        if each.specialize is None:
            continue
        for name, draws in each.specialize["variants"].items():
            for number, found in enumerate(draws, start=1):
                label = f"{each.label}: {VARIANT_LABELS[name]}{f', draw {number}' if len(draws) > 1 else ''}"
                groups = (gain_text(found[group]) for group in ("chosen", "all", "others"))
                lines.append((label, f"{found['weight']:.2f}", *groups))
        corrected = len(each.specialize["corrected"])
        shown = each.run.folder / "evaluation" / "specialize" / "index.html"
        links.append((f"{corrected} photographs that summaries of {each.label} corrected", _relative(shown, page)))
    return PaperSection(
        title="Networks specialised by their summaries",
        source="VS section 4.4 and figure 6",
        lede="Top-1 accuracy before and after, and the gain in points with its 95 % interval over photographs. An SVM "
        "for each summary, its answers mixed with the softmax; an SVM for each class, and for each of random sets of "
        "the summaries' sizes, say what summaries add.",
        tables=[
            Table(
                title="",
                headings=("variant", "weight", "chosen classes", "all classes", "other classes"),
                lines=tuple(lines),
            )
        ],
        links=links,
        missing=[
            Missing(
                f"Specialisation of {each.label}", f"vissum evaluate specialize {each.run.folder} --train .. --test .."
            )
            for each in values.runs
            if each.specialize is None
        ],
    )


def _plots(values: PaperValues, name: str, caption: str) -> list[Plot]:
    """An evaluation's plot of each run that has its values."""
    known: Iterable[tuple[int, RunValues]] = (
        (number, each)
        for number, each in enumerate(values.runs)
        if {"drop": each.drop, WHOLE: each.coherency, CROPS: each.crops}[name] is not None
    )
    return [
        Plot(f"{name}-{number}", f"{caption}: {each.label}", plot)
        for number, each in known
        if (plot := each.plot(name)) is not None
    ]


def _relative(path: Path, page: Path) -> str:
    return Path(os.path.relpath(path.resolve(), page.resolve())).as_posix()


def _number(value: float | None) -> str:
    return MISSING if value is None else f"{value:.3f}"


def _share(value: float | None) -> str:
    return MISSING if value is None else f"{value:.1%}"
