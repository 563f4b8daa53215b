"""The user study as one static page: a summary at a time, free nouns, answers as a file (VS 4.2, table 1).

The page knows neither the class nor the file of what it shows: both would tell participants what to see.
"""

from __future__ import annotations

from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

from vissum_jax.report.config import ReportConfig
from vissum_jax.report.environment import make_environment
from vissum_jax.report.jpeg import encode_jpeg
from vissum_jax.report.model import ClassReport
from vissum_jax.report.pictures import enlarged, summary_picture
from vissum_jax.report.views import Zoom
from vissum_jax.study.answers import FORMAT, MAX_PARTICIPANT, VERSION
from vissum_jax.study.nouns import MAX_LETTERS, MAX_NOUNS, SUGGESTIONS
from vissum_jax.study.questions import question
from vissum_jax.types import Summary

PAGE = "index.html"
_STATIC = ("report.css", "report.js", "study.css", "study.js")


class StudyWriter:
    """Writes a study class by class into an empty folder, holding one class's pictures in memory at a time."""

    def __init__(self, folder: Path, *, config: ReportConfig | None = None) -> None:
        """Start a study.

        Args:
            folder: Where to.
            config: How summaries look: as in the report.
        """
        self._folder = folder
        self._config = config or ReportConfig()
        self._questions: list[dict[str, Any]] = []
        (folder / "static").mkdir()
        (folder / "pictures").mkdir()
        for name in _STATIC:
            source = resources.files("vissum_jax.report") / "static" / name
            (folder / "static" / name).write_bytes(source.read_bytes())

    def add_class(self, report: ClassReport) -> None:
        """Write the pictures of a class's kept summaries, as many of each as the report shows at first."""
        for summary in report.summaries.kept:
            pictures = [self._picture(report, summary, rank) for rank in range(self._shown(summary))]
            self._questions.append({"id": question(report.class_index, summary.number), "pictures": pictures})

    def finish(self, study: str) -> Path:
        """Write the page.

        Args:
            study: Id of the study, which the answers will name.

        Returns:
            The page.

        Raises:
            ValueError: There is nothing to ask.
        """
        if not self._questions:
            raise ValueError("no class has a summary: there is nothing to ask.")
        data = {
            "format": FORMAT,
            "version": VERSION,
            "study": study,
            "questions": self._questions,
            "suggestions": SUGGESTIONS,
            "most_nouns": MAX_NOUNS,
        }
        html = (
            make_environment()
            .get_template("study.html")
            .render(data=data, root="", max_letters=MAX_LETTERS, max_participant=MAX_PARTICIPANT)
        )
        (self._folder / PAGE).write_text(html, encoding="utf-8")
        return self._folder / PAGE

    @property
    def questions(self) -> int:
        """How many summaries are asked about so far."""
        return len(self._questions)

    def _shown(self, summary: Summary) -> int:
        return min(len(summary.kept_members), self._config.members_shown)

    def _picture(self, report: ClassReport, summary: Summary, rank: int) -> dict[str, Any]:
        member = sorted(summary.kept_members, key=lambda each: each.rank)[rank]
        salient = report.masks.salient[member.image]
        rows, columns = salient.shape
        zoom = Zoom.onto(member.box, rows, columns, self._config.zoom_margin)
        factor = max(1, -(-self._config.picture_side // min(rows, columns)))
        view = enlarged(report.images[member.image], salient, member.box, factor)
        picture = summary_picture(*view, self._config.style)
        # Numbers only: names come from outside, and would tell what is shown.
        name = f"pictures/{len(self._questions)}-{rank}.jpg"
        (self._folder / name).write_bytes(encode_jpeg(picture, self._config.jpeg_quality))
        height, width = picture.shape[:2]
        return {"file": name, "width": width, "height": height, **asdict(zoom)}
