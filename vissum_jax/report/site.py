"""The static site: one folder that opens from disk, without server or network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from vissum_jax.report.class_pages import ClassPages, Written
from vissum_jax.report.config import ReportConfig
from vissum_jax.report.environment import make_environment
from vissum_jax.report.folder import SiteFolder
from vissum_jax.report.model import ClassReport, RunFacts
from vissum_jax.report.views import MEASURE_LABELS, Moments, flattened

MARKER = ".vissum-report"
"""File that says that a folder is ours to replace."""

_STATIC = ("report.css", "report.js")


def write_report(
    out_dir: Path | str,
    facts: RunFacts,
    classes: Iterable[ClassReport],
    *,
    config: ReportConfig | None = None,
) -> Path:
    """Write a report; see `ReportWriter`. The classes may come from a generator, one at a time.

    Returns:
        The page to open, `index.html`.
    """
    writer = ReportWriter(out_dir, facts, config=config)
    for report in classes:
        writer.add_class(report)
    return writer.finish()


class ReportWriter:
    """Writes a report class by class, holding one class's pictures in memory at a time.

    Pages are built beside `out_dir` and moved there by `finish`, so that an earlier report stays whole until
    the new one is. The same input gives the same bytes.
    """

    def __init__(self, out_dir: Path | str, facts: RunFacts, *, config: ReportConfig | None = None) -> None:
        """Start a report.

        Args:
            out_dir: A folder that does not exist, is empty, or holds an earlier report, which is replaced.
            facts: What holds for the run as a whole.
            config: How the report looks.

        Raises:
            ValueError: `out_dir` holds something else.
        """
        self._out = Path(out_dir)
        if self._out.exists() and not is_report(self._out):
            raise ValueError(f"{str(self._out)!r} holds something else than a report: name another folder.")
        self._facts = facts
        self._config = config or ReportConfig()
        self._templates = make_environment()
        self._written: list[Written] = []
        self._measures: dict[str, list[np.ndarray]] = {name: [] for name in MEASURE_LABELS}
        partial = self._out.with_name(self._out.name + ".partial")
        if partial.exists():
            shutil.rmtree(partial)
        partial.mkdir(parents=True)
        self._site = SiteFolder(partial)
        self._site.write(MARKER, b"")
        self._site.write_static(_STATIC)

    def add_class(self, report: ClassReport) -> None:
        """Write the pages and the pictures of a class.

        Raises:
            ValueError: The class was added before.
        """
        if any(written.figures.index == report.class_index for written in self._written):
            raise ValueError(f"class {report.class_index} is in the report already.")
        # OpenCV draws and compresses without the interpreter's lock.
        with ThreadPoolExecutor(os.cpu_count()) as executor:
            pages = ClassPages(self._site, self._facts, self._config, self._templates, executor)
            self._written.append(pages.write(report))
        for name, values in report.measures.items():
            self._measures[name].append(values)

    def finish(self) -> Path:
        """Write the overview and the run's page and put the report in place.

        Returns:
            The page to open, `index.html`.
        """
        moments = {
            name: Moments.of(np.concatenate([np.zeros(0), *columns])) for name, columns in self._measures.items()
        }
        for evaluation in self._facts.evaluations:
            self._site.write(f"{evaluation.name}.png", evaluation.plot)
        classes = [written.figures for written in self._written]
        self._render("overview.html", "index.html", classes=classes, moments=moments)
        self._render(
            "run.html",
            "run.html",
            moments=moments,
            failures=[failure for written in self._written for failure in written.failures],
            configuration=flattened(self._facts.configuration),
            classes=classes,
            megabytes=self._site.bytes / 1e6,
            files=self._site.files + 1,
        )
        if self._out.exists():
            shutil.rmtree(self._out)
        self._site.root.rename(self._out)
        return self._out / "index.html"

    @property
    def bytes(self) -> int:
        """How much was written so far."""
        return self._site.bytes

    @property
    def files(self) -> int:
        """How many files were written so far."""
        return self._site.files

    def _render(self, template: str, page: str, **values: object) -> None:
        html = self._templates.get_template(template).render(
            facts=self._facts, config=self._config, root="../" * page.count("/"), **values
        )
        self._site.write_page(page, html)


def is_report(folder: Path) -> bool:
    """Whether a report may take a folder's place: it holds one, or nothing."""
    return folder.is_dir() and ((folder / MARKER).is_file() or not any(folder.iterdir()))
