"""The pages of one class: its own, and one for each of its photographs."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import NamedTuple

import jinja2
import numpy as np
from jaxtyping import UInt8

from vissum_jax.report.config import ReportConfig
from vissum_jax.report.figures import class_figures
from vissum_jax.report.folder import SiteFolder
from vissum_jax.report.jpeg import encode_jpeg
from vissum_jax.report.model import ClassReport, RunFacts
from vissum_jax.report.pictures import enlarged, heat_picture, mask_picture, summary_picture
from vissum_jax.report.views import CRISP, ClassFigures, Failure, Panel, PhotoView, SummaryView, Tile, Zoom
from vissum_jax.types import MaskStatus, Member, Summary

_FAILED = (MaskStatus.INFEASIBLE, MaskStatus.UNREADABLE, MaskStatus.NON_FINITE)


class Written(NamedTuple):
    """What the pages of the run say of a class."""

    figures: ClassFigures
    failures: tuple[Failure, ...]


class ClassPages:
    """Writes the pages and pictures of classes; pictures are drawn by many threads."""

    def __init__(
        self,
        site: SiteFolder,
        facts: RunFacts,
        config: ReportConfig,
        templates: jinja2.Environment,
        executor: Executor,
    ) -> None:
        """Start.

        Args:
            site: Where to.
            facts: What holds for the run as a whole.
            config: How the report looks.
            templates: What pages are rendered with.
            executor: Draws pictures.
        """
        self._site, self._facts, self._config, self._executor = site, facts, config, executor
        self._class_template = templates.get_template("class.html")
        self._photo_template = templates.get_template("photograph.html")

    def write(self, report: ClassReport) -> Written:
        """Write a class."""
        # Names come from outside; addresses are made of numbers only.
        folder = f"classes/{report.class_index}"
        rows = range(len(report.files))
        panels = list(self._executor.map(lambda row: self._panels(report, row, folder), rows))
        tiles = self._tiles(report, folder)
        summaries = [
            SummaryView.of(summary, shown, self._facts.tags.get((report.class_index, summary.number)))
            for summary, shown in zip(report.summaries.summaries, tiles, strict=True)
        ]
        photos = [
            PhotoView.of(report, row, _photo_page(row), panels[row], summaries, self._facts.class_names) for row in rows
        ]
        figures = ClassFigures.of(report, f"{folder}/index.html", self._exemplars(summaries, folder))
        # Not the report itself: a template's context is a cycle of references, and would keep all its pictures until
        # Python looks for cycles, by when many classes have gone by.
        height, width = report.images.shape[1:3]
        values = {
            "facts": self._facts,
            "config": self._config,
            "root": "../../",
            "figures": figures,
            "height": height,
            "width": width,
        }
        html = self._class_template.render(
            **values,
            diagnostics=report.summaries.diagnostics,
            kept=[view for view in summaries if view.summary.kept],
            dropped=[view for view in summaries if not view.summary.kept],
            photos=photos,
            papers=self._figures_for_papers(report, folder),
        )
        self._site.write_page(figures.page, html)
        for row, photo in enumerate(photos):
            html = self._photo_template.render(
                **values,
                photo=photo,
                has_soft=report.has_soft,
                photos=len(photos),
                before=photos[row - 1].page if row else "",
                after=photos[row + 1].page if row + 1 < len(photos) else "",
            )
            self._site.write_page(f"{folder}/{photo.page}", html)
        failures = tuple(
            Failure(
                class_name=report.class_name,
                page=f"{folder}/{photo.page}",
                file=photo.file,
                status=photo.status,
                reason=photo.reason,
            )
            for photo in photos
            if photo.status in _FAILED
        )
        return Written(figures, failures)

    def _exemplars(self, summaries: list[SummaryView], folder: str) -> tuple[Panel, ...]:
        kept = [view for view in summaries if view.summary.kept and view.kept]
        return tuple(
            Panel(
                caption=f"Summary {view.number}",
                picture=f"{folder}/{view.kept[0].picture}",
                alt=f"Exemplar of summary {view.number}",
            )
            for view in kept[: self._config.exemplars_shown]
        )

    def _tiles(self, report: ClassReport, folder: str) -> list[list[Tile]]:
        """The tiles of every summary, written; of a dropped one the first."""
        shown: list[list[Member]] = [
            list(summary.members if summary.kept else summary.members[: self._config.dropped_shown])
            for summary in report.summaries.summaries
        ]
        flat = [
            (summary, member)
            for summary, members in zip(report.summaries.summaries, shown, strict=True)
            for member in members
        ]
        drawn = iter(list(self._executor.map(lambda pair: self._tile(report, pair[0], pair[1], folder), flat)))
        return [[next(drawn) for _ in members] for members in shown]

    def _tile(self, report: ClassReport, summary: Summary, member: Member, folder: str) -> Tile:
        salient = report.masks.salient[member.image]
        height, width = salient.shape
        factor = max(1, -(-self._config.picture_side // min(height, width)))
        view = enlarged(report.images[member.image], salient, member.box, factor)
        name = f"summary-{summary.number + 1}-{member.rank}.jpg"
        self._picture(f"{folder}/{name}", summary_picture(*view, self._config.style))
        return Tile(
            member=member,
            picture=name,
            page=_photo_page(member.image),
            file=report.files[member.image],
            zoom=Zoom.onto(member.box, height, width, self._config.zoom_margin),
        )

    def _panels(self, report: ClassReport, row: int, folder: str) -> tuple[Panel, ...]:
        """The pictures of one photograph, written; none where there was no photograph."""
        status, style, file = report.masks.status[row], self._config.style, report.files[row]
        if status is MaskStatus.UNREADABLE:
            return ()
        image, soft, salient = report.images[row], report.masks.soft[row], report.masks.salient[row]
        pictures = [("photo", "Photograph", f"Photograph {file}", image)]
        if report.masks.has_mask[row]:
            if report.has_soft:
                heat = heat_picture(image, soft, style)
                pictures.append(("soft", "Continuous mask", "Heat where the continuous mask perturbs", heat))
            crisp = mask_picture(image, salient, style)
            pictures.append(("mask", CRISP, f"What the binary mask of {file} perturbs, in colour", crisp))
            if report.perturbed is not None:
                alt = "The photograph with what the binary mask covers blurred"
                pictures.append(("perturbed", "Perturbed", alt, report.perturbed[row]))
        panels = []
        for kind, caption, alt, picture in pictures:
            name = f"{kind}-{row}.jpg"
            self._picture(f"{folder}/{name}", picture, fine=kind == "mask")
            panels.append(Panel(caption=caption, picture=name, alt=alt))
        return tuple(panels)

    def _figures_for_papers(self, report: ClassReport, folder: str) -> list[tuple[str, str]]:
        """Captions and files of the figures for papers, written."""
        if self._config.figures is None:
            return []
        shown = []
        for name, caption, data in class_figures(report, self._facts, self._config):
            file = f"figure-{name}.{self._config.figures}"
            self._site.write(f"{folder}/{file}", data)
            shown.append((caption, file))
        return shown

    def _picture(self, name: str, picture: UInt8[np.ndarray, "h w 3"], *, fine: bool = True) -> None:
        config = self._config
        self._site.write(
            name, encode_jpeg(picture, config.jpeg_quality, fine=fine, bytes_per_pixel=config.bytes_per_pixel)
        )


def _photo_page(row: int) -> str:
    return f"photograph-{row}.html"
