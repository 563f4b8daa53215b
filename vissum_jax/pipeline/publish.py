"""The report of a run, written where the run lives."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from tempfile import TemporaryDirectory

from vissum_jax.pipeline.progress import Progress
from vissum_jax.pipeline.run import Run
from vissum_jax.pipeline.stages import report_stage
from vissum_jax.runs.leases import LeaseConfig, Leases
from vissum_jax.runs.store import LocalFolder


def publish_report(run: Run, progress: Progress) -> str:
    """Write the static report of a run into its folder or object store; returns the place of its first page.

    Raises:
        NotReadyError: If some mask or summary part is not done.
    """
    if isinstance(run.storage, LocalFolder):
        return str(report_stage(run, progress))
    # Of several processes that come this far one writes at a time.
    with (
        Leases(run.storage, LeaseConfig()) as leases,
        leases.wait("report"),
        TemporaryDirectory(prefix="vissum-report-") as folder,
    ):
        page = report_stage(dataclasses.replace(run, workplace=Path(folder)), progress)
        report = run.storage.within("report")
        files = sorted(path for path in page.parent.rglob("*") if path.is_file())
        for path in sorted(files, key=lambda path: path == page):  # the first page last: it links to the others
            report.write(path.relative_to(page.parent).as_posix(), path.read_bytes())
        return f"{report}/{page.name}"
