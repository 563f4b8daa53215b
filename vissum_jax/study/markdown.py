"""The scores of a study as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vissum_jax.study.score import StudyScore

_NOTE = (
    "muU: mean Jaccard distance between the nouns of two participants (0: the same nouns, 1: none in common; 'no idea' "
    "counts as no noun). named: the same among participants who gave nouns. chance: the distance between answers to "
    "different summaries."
)


def study_markdown(found: StudyScore, names: Mapping[int, str]) -> str:
    """Tables of classes and summaries, and what holds for the study as a whole.

    Args:
        found: The scores.
        names: Names of classes, where they are known.
    """

    def title(class_index: int) -> str:
        return names.get(class_index, f"class {class_index}")

    whole = (
        f"{len(found.participants)} participants, {len(found.summaries)} summaries: "
        f"muU {_number(found.mu_u)} (named {_number(found.mu_u_named)}, chance {_number(found.chance)}), "
        f"no idea {_share(found.no_idea)}."
    )
    classes = _table(
        ("class", "summaries", "muU", "named", "no idea", "share of the tag"),
        (
            (
                title(each.class_index),
                str(each.summaries),
                *(_number(each.mu_u), _number(each.mu_u_named)),
                *(_share(each.no_idea), _share(each.tag_share)),
            )
            for each in found.classes
        ),
    )
    summaries = _table(
        ("class", "summary", "tag", "share", "others", "participants", "no idea", "muU"),
        (
            (
                title(each.class_index),
                str(each.summary),
                " / ".join((each.tag, *each.ties)) if each.tag else "-",
                _share(each.tag_share),
                ", ".join(
                    f"{noun} {count}" for noun, count in each.nouns.items() if noun not in (each.tag, *each.ties)
                ),
                *(str(each.participants), str(each.no_idea), _number(each.mu_u)),
            )
            for each in found.summaries
        ),
    )
    return "\n\n".join((whole, classes, summaries, _NOTE)) + "\n"


def _table(headings: tuple[str, ...], lines: Iterable[tuple[str, ...]]) -> str:
    rows = [headings, ("---",) * len(headings), *(tuple(map(_cell, line)) for line in lines)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _cell(text: str) -> str:
    """Text from outside, which may hold Markdown, HTML and control characters, as it is read."""
    printable = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )
    escaped = printable.replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{letter}" if letter in "\\`*_[]|" else letter for letter in escaped)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"
