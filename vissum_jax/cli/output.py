"""What commands print: one JSON object, or a table for people; on standard output."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vissum_jax.pipeline import Outcome


def print_json(values: dict[str, Any]) -> None:
    """Print one JSON object."""
    print(json.dumps(values, indent=1, ensure_ascii=False))


def print_outcome(outcome: Outcome) -> None:
    """Print a run's figures, a line a class, and the images that failed."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    table = Table(box=None, pad_edge=False)
    for heading in ("class", "images", "masks", "drop", "area", "transfer", "summaries", "images in each"):
        table.add_column(heading, justify="left" if heading in ("class", "images in each") else "right")
    for result in outcome.classes:
        masked = sum(result.statuses.get(status, 0) for status in ("ok", "infeasible"))
        figures = (result.drop_binary_mean, result.area_mean, result.transfer_drop_mean)
        table.add_row(
            escape(result.class_name),
            str(sum(result.statuses.values())),
            str(masked),
            *("-" if figure is None else f"{figure:.3f}" for figure in figures),
            str(result.summaries_kept),
            ", ".join(map(str, result.images_per_summary)) or escape(result.reason),
        )
    console.print(table)
    for image, reason in outcome.failed:
        print(f"failed: {one_line(image)}: {one_line(reason)}")


def print_summaries(outcome: Outcome) -> None:
    """Print the kept summaries of a run, a line a summary, or a class's reason for none."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    def figure(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    table = Table(box=None, pad_edge=False)
    for heading in ("class", "summary", "images", "importance", "stability"):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    for result in outcome.classes:
        name = escape(result.class_name)
        if not result.summaries_kept:
            table.add_row(f"{name}: {escape(result.reason)}")
        for number, images in enumerate(result.images_per_summary):
            table.add_row(
                name, str(number), str(images), figure(result.importance[number]), figure(result.stability[number])
            )
    Console().print(table)


def one_line(text: str) -> str:
    """Text from outside, its control characters spelt out: they could move the cursor."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )
