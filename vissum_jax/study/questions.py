"""What participants are asked: one question a kept summary."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from vissum_jax.types import ClassSummaries


def question(class_index: int, summary: int) -> str:
    """Id of the question about a summary."""
    return f"{class_index}-{summary}"


def questions_of(result: ClassSummaries) -> tuple[str, ...]:
    """The questions about a class."""
    return tuple(question(result.class_index, summary.number) for summary in result.kept)


def study_id(fingerprint: str, classes: Iterable[ClassSummaries]) -> str:
    """What tells answers about these very summaries from answers about others.

    Args:
        fingerprint: Of the run's configuration.
        classes: All classes of the run, by index.
    """
    shown = [
        [result.class_index, summary.number, [[member.image, *member.box] for member in summary.kept_members]]
        for result in classes
        for summary in result.kept
    ]
    return hashlib.sha256(json.dumps([fingerprint, shown]).encode()).hexdigest()[:16]
