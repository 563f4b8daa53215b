"""What evaluations left beside a run, as its page shows it: how the masks compare, whether summaries are parts, .."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from vissum_jax.analysis.drop import MISSING
from vissum_jax.analysis.parts_comparison import ON_OWN_PART, TITLES
from vissum_jax.report.text import plural, readable

FOLDER = "evaluation"
DROP_VALUES, DROP_TABLE, DROP_PLOT = "drop.json", "drop.md", "drop.png"
COMPARE_PREFIX, COMPARE_VALUES = "compare-", "compare.json"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A table and a plot.

    Attributes:
        name: Of its files, without ending.
        title: Heading.
        headings: Of the table.
        lines: Its cells, as text.
        note: How to read it.
        plot: A PNG file.
        alt: What the plot shows.
    """

    name: str
    title: str
    headings: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    note: str
    plot: bytes
    alt: str


class Comparison(NamedTuple):
    """A page that puts a run beside another: what it calls the other, and its address seen from the run's report."""

    title: str
    page: str


def read_comparisons(run: Path, fingerprint: str) -> tuple[Comparison, ...]:
    """The pages that `vissum compare` left in a RUN folder.

    Args:
        run: The folder.
        fingerprint: Of the run's configuration: comparisons of another one are not shown.

    Raises:
        ValueError: A file is damaged.
    """
    found = []
    for path in sorted((run / FOLDER).glob(f"{COMPARE_PREFIX}*/{COMPARE_VALUES}")):
        try:
            this, other = json.loads(path.read_text(encoding="utf-8"))["runs"]
            if this["fingerprint"] == fingerprint:
                page = f"../{FOLDER}/{quote(path.parent.name)}/index.html"
                found.append(Comparison(f"{other['model']} ({other['run']})", page))
        except (KeyError, TypeError, ValueError) as error:
            what = f"{type(error).__name__}: {error}"
            raise ValueError(f"{str(path)!r} is damaged or of another version ({what}); compare again.") from error
    return tuple(found)


def read_evaluations(run: Path, fingerprint: str) -> tuple[Evaluation, ...]:
    """What `vissum evaluate drop`, `parts` and `coherency` left in a RUN folder.

    Args:
        run: The folder.
        fingerprint: Of the run's configuration: results of another one are not shown.

    Returns:
        Those that there are of this configuration, in this order.

    Raises:
        ValueError: A file is damaged.
    """
    return tuple(filter(None, (_read(run / FOLDER, fingerprint, name, make) for name, make in _KINDS.items())))


def _read(
    folder: Path, fingerprint: str, name: str, make: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> Evaluation | None:
    path = folder / f"{name}.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        plot = path.with_suffix(".png").read_bytes()
    except FileNotFoundError:
        return None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{str(path)!r} is damaged ({error}); evaluate again.") from error
    try:
        if values["fingerprint"] != fingerprint:
            return None
        return Evaluation(name=name, plot=plot, **make(values))
    except (KeyError, TypeError) as error:
        what = f"{type(error).__name__}: {error}"
        raise ValueError(f"{str(path)!r} is damaged or of another version ({what}); evaluate again.") from error


def _drop(values: Mapping[str, Any]) -> dict[str, Any]:
    """Table 2 of VS, and other methods."""
    return {
        "title": "How the masks compare",
        "headings": tuple(values["table"]["headings"]),
        "lines": tuple(tuple(line) for line in values["table"]["lines"]),
        "note": f"On {plural(values['images'], 'photograph')}; means, and the population variance of the drop. Every "
        "binary mask is judged by the same blur. Equal area: the most important pixels, as many as the run's mask of "
        "the same photograph has. Mean colour, inpainting, noise: the drop of the same mask under perturbations that "
        "it was not made for.",
        "alt": "Drop of the class's probability against the area that is blurred: a curve for each method, a point "
        "for each mask of the run",
    }


def _parts(values: Mapping[str, Any]) -> dict[str, Any]:
    """Summaries against annotated parts, beside other groupings."""
    measures = ("purity", "shuffled_purity", "nmi", "without_part")
    lines = []
    for method, mean in values["over_classes"].items():
        found = values["differences"].get(method, {}).get("purity", {"mean": None})
        less = (
            MISSING if found["mean"] is None else f"{found['mean']:+.3f} ({found['low']:+.3f} to {found['high']:+.3f})"
        )
        lines.append((TITLES[method], *(_number(mean[name]) for name in measures), less))
    count = plural(values["over_classes"]["summaries"]["classes"], "class", "classes")
    own = values.get(ON_OWN_PART)
    on_own_part = "" if own is None else f" Members that show a part that makes their class: {_number(own['share'])}."
    return {
        "title": "Are summaries parts?",
        "headings": ("grouping", "purity", "shuffled", "NMI", "without part", "summaries' purity minus it"),
        "lines": tuple(lines),
        "note": f"Means over {count}. Purity: share of a group's members that show its commonest annotated part; "
        "shuffled: the same after members were dealt out at random. NMI: normalised mutual information of groups and "
        "parts. Without part: members inside whose box no part is annotated. In brackets the 95 % interval over "
        f"classes. Stability, the adjusted mutual information between two halves of the photographs: "
        f"{_number(values['stability'])}.{on_own_part}",
        "alt": "Purity in each class: a mark for the summaries, for each other grouping, and for shuffled members",
    }


def _coherency(values: Mapping[str, Any]) -> dict[str, Any]:
    """Tags of a summary's photographs against those of random sets (VS figure 4)."""
    lines = [
        (readable(entry["class_name"]), str(entry["summaries"]), _number(entry["mu_s"]), _number(entry["mu_r"]))
        for entry in values["classes"]
    ]
    return {
        "title": "Do photographs of a summary have more in common?",
        "headings": ("class", "summaries", "muS", "muR"),
        "lines": (*lines, ("mean", "", _number(values["mu_s"]), _number(values["mu_r"]))),
        "note": f"Mean Jaccard distance of the tags that {values['tagger']} gives photographs: muS within summaries, "
        "muR within random sets of equal size of the class.",
        "alt": "Mean distance of tags in each class: a bar for its summaries, a bar for random sets",
    }


def _number(value: float | None) -> str:
    return MISSING if value is None else f"{value:.3f}"


_KINDS = {"drop": _drop, "parts": _parts, "coherency": _coherency}
