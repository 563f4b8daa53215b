"""Part measures of summaries beside those of other groupings: means over classes, paired differences, tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from vissum_jax.analysis.bootstrap import BootstrapConfig, paired_difference
from vissum_jax.analysis.drop import MISSING, markdown

OURS, SHUFFLED = "summaries", "shuffled"
TITLES = {
    OURS: "summaries",
    SHUFFLED: "shuffled",
    "k_means": "k-means",
    "agglomerative": "agglomerative",
    "ace": "ACE",
    "craft": "CRAFT",
}
ON_OWN_PART = "on_own_part"
"""Share of the members on a part that makes their class, where that is known."""

WITHOUT_PART = "without_part"
"""Share of the members inside whose box no part is annotated."""

_HEADINGS = {
    "summaries": "groups",
    "members": "members",
    "purity": "purity",
    "shuffled_purity": "shuffled",
    "gain": "purity / shuffled",
    "nmi": "NMI",
    "parts": "parts",
    WITHOUT_PART: "without part",
    ON_OWN_PART: "on own part",
}
_COUNTS = ("summaries", "members", "parts")

Entry = Mapping[str, Any]  # one class: `methods`, with the measures of each, and `stability`


def over_classes(classes: Sequence[Entry], methods: Sequence[str], config: BootstrapConfig) -> dict[str, Any]:
    """Means over the classes that have a value, and how much better the summaries are, class by class.

    `gain` over classes is the mean purity as a multiple of the mean shuffled purity. A difference is that of the
    summaries' measure and the other's, averaged over the classes that both have, with the paired bootstrap's interval.

    Args:
        classes: Measures of each class.
        methods: Groupings, the summaries first.
        config: Constants of the bootstrap.

    Returns:
        Plain values: `over_classes`, `stability`, `differences`.
    """
    means = {}
    for method in methods:
        columns = {name: _column(classes, method, name) for name in _HEADINGS}
        mean = {name: _mean(values) for name, values in columns.items()}
        purity, shuffled = mean["purity"], mean["shuffled_purity"]
        mean["gain"] = purity / shuffled if purity is not None and shuffled else None
        means[method] = {"classes": int(np.isfinite(columns["purity"]).sum()), **mean}
    own = {name: _column(classes, OURS, name) for name in ("purity", "gain")}
    differences: dict[str, Any] = {
        SHUFFLED: {"purity": _difference(own["purity"], _column(classes, OURS, "shuffled_purity"), config)}
    }
    for method in methods:
        if method != OURS:
            differences[method] = {
                name: _difference(values, _column(classes, method, name), config) for name, values in own.items()
            }
    stabilities = [_number(entry["stability"]["value"]) for entry in classes]
    return {"over_classes": means, "stability": _mean(np.array(stabilities)), "differences": differences}


def share_of_members(classes: Sequence[Entry], name: str) -> dict[str, Any]:
    """A share of the summaries' members of all classes together, where `over_classes` counts classes alike.

    Args:
        classes: Measures of each class.
        name: `WITHOUT_PART` or `ON_OWN_PART`.

    Returns:
        `members`, how many there are, and their `share`, None if there are none.
    """
    own = [entry["methods"][OURS] for entry in classes]
    members = sum(scores["members"] for scores in own)
    found = sum(scores["members"] * scores[name] for scores in own if scores["members"])
    return {"members": members, "share": found / members if members else None}


def parts_markdown(values: Mapping[str, Any]) -> str:
    """The tables for people: over classes, then class by class."""
    measures = [name for name in _HEADINGS if name != ON_OWN_PART or ON_OWN_PART in values]
    measure_headings = [_HEADINGS[name] for name in measures]
    lines = []
    for method, mean in values["over_classes"].items():
        difference = values["differences"].get(method, {}).get("purity")
        cells = [_text(mean[name], ".1f" if name in _COUNTS else ".3f") for name in measures]
        lines.append([TITLES[method], str(mean["classes"]), *cells, _interval(difference)])
    own, chance = values["over_classes"][OURS], values["differences"][SHUFFLED]["purity"]
    blank = [MISSING] * len(measures)
    blank[measures.index("purity")] = _text(own["shuffled_purity"], ".3f")
    lines.insert(1, [TITLES[SHUFFLED], str(own["classes"]), *blank, _interval(chance)])
    out = markdown(["grouping", "classes", *measure_headings, "summaries' purity minus it"], lines)
    without = values[WITHOUT_PART]
    out += f"\nOf the summaries' {without['members']} members, all classes together, "
    out += f"{_text(without['share'], '.3f')} show no part.\n"
    stability = _text(values["stability"], ".3f")
    if ON_OWN_PART in values:
        own_part = values[ON_OWN_PART]
        share = _text(own_part["share"], ".3f")
        out += f"\nOf the summaries' {own_part['members']} members {share} show a part that makes their class.\n"
    out += f"\nStability (adjusted mutual information between two halves of the photographs): {stability}.\n"
    others = [method for method in values["over_classes"] if method != OURS]
    headings = ["class", *measure_headings, "stability", *(f"purity: {TITLES[method]}" for method in others)]
    by_class = []
    for entry in values["classes"]:
        methods = entry["methods"]
        cells = [_text(methods[OURS][name], "d" if name in _COUNTS else ".3f") for name in measures]
        purities = [_text(methods.get(method, {}).get("purity"), ".3f") for method in others]
        name = entry["class_name"].replace("|", "\\|")
        by_class.append([name, *cells, _text(entry["stability"]["value"], ".3f"), *purities])
    out += "\n" + markdown(headings, by_class)
    reasons = [f"{entry['class_name']}: {entry['reason']}" for entry in values["classes"] if entry["reason"]]
    for entry in values["classes"]:
        for method in others:
            why = entry["methods"].get(method, {}).get("reason")
            reasons += [f"{entry['class_name']}, {TITLES[method]}: {why}"] if why and not entry["reason"] else []
    notes = [f"- {' '.join(reason.split())}." for reason in reasons]
    return out + ("\n" + "\n".join(notes) + "\n" if notes else "")


def _column(classes: Sequence[Entry], method: str, name: str) -> Float[np.ndarray, " n"]:
    """A measure of each class, NaN where it has none; counts of a class without members are none, too."""
    found = [entry["methods"].get(method, {}) for entry in classes]
    return np.array([_number(scores.get(name)) if scores.get("members") else np.nan for scores in found])


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _mean(values: Float[np.ndarray, " n"]) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else None


def _difference(
    first: Float[np.ndarray, " n"], second: Float[np.ndarray, " n"], config: BootstrapConfig
) -> dict[str, Any]:
    found = paired_difference(first, second, config)
    return {
        "mean": found.mean if found.images else None,
        "low": found.low if found.images else None,
        "high": found.high if found.images else None,
        "classes": found.images,
        "better_in": int(np.sum(first > second)),
    }


def _interval(difference: Mapping[str, Any] | None) -> str:
    if difference is None or difference["mean"] is None:
        return MISSING
    return f"{difference['mean']:+.3f} ({difference['low']:+.3f} to {difference['high']:+.3f})"


def _text(value: float | None, spec: str) -> str:
    return MISSING if value is None else format(value, spec)
