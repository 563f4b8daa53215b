"""The static site: one folder that opens from disk, without server or network."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import jinja2
import numpy as np
from jaxtyping import UInt8

from vissum_jax.report.evaluation import DROP_PLOT
from vissum_jax.report.jpeg import encode_jpeg
from vissum_jax.report.model import ClassReport, RunFacts
from vissum_jax.report.pictures import (
    PictureStyle,
    enlarged,
    heat_picture,
    mask_picture,
    summary_picture,
)
from vissum_jax.report.views import (
    MEASURE_LABELS,
    STATUS_LABELS,
    ClassFigures,
    Failure,
    Moments,
    Panel,
    PhotoView,
    SummaryView,
    Tile,
    Zoom,
    flattened,
)
from vissum_jax.types import MaskStatus, Member, Summary

MARKER = ".vissum-report"
"""File that says that a folder is ours to replace."""

_STATIC = ("report.css", "report.js")
_FAILED = (MaskStatus.INFEASIBLE, MaskStatus.UNREADABLE, MaskStatus.NON_FINITE)


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """How a report looks.

    Attributes:
        style: Colours and lines of the pictures.
        picture_side: Least short side of a summary's pictures; smaller photographs are enlarged by a
            whole factor, so that lines stay thin.
        jpeg_quality: Quality of the pictures.
        members_shown: Members of a summary that are shown before one unfolds the rest.
        exemplars_shown: Summaries of a class that the overview pictures.
        zoom_margin: Margin around a part when zoomed, as a share of the part's side.
    """

    style: PictureStyle = field(default_factory=PictureStyle)
    picture_side: int = 224
    jpeg_quality: int = 85
    members_shown: int = 12
    exemplars_shown: int = 5
    zoom_margin: float = 0.6

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("picture_side", "members_shown", "exemplars_shown"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be positive, got {getattr(self, name)}.")
        if not 1 <= self.jpeg_quality <= 100:
            raise ValueError(f"`jpeg_quality` must be in [1, 100], got {self.jpeg_quality}.")
        if self.zoom_margin < 0:
            raise ValueError(f"`zoom_margin` must not be negative, got {self.zoom_margin}.")


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
        self._figures: list[ClassFigures] = []
        self._failures: list[Failure] = []
        self._measures: dict[str, list[np.ndarray]] = {name: [] for name in MEASURE_LABELS}
        self._bytes = 0
        self._partial = self._out.with_name(self._out.name + ".partial")
        if self._partial.exists():
            shutil.rmtree(self._partial)
        self._partial.mkdir(parents=True)
        self._write(MARKER, b"")
        for name in _STATIC:
            self._write(f"static/{name}", (resources.files("vissum_jax.report") / "static" / name).read_bytes())

    def add_class(self, report: ClassReport) -> None:
        """Write the page and the pictures of a class.

        Raises:
            ValueError: The class was added before.
        """
        if any(figures.index == report.class_index for figures in self._figures):
            raise ValueError(f"class {report.class_index} is in the report already.")
        # Names come from outside; addresses are made of numbers only.
        folder = f"classes/{report.class_index}"
        page = f"{folder}/index.html"
        summaries = [self._summary(report, summary, folder) for summary in report.summaries.summaries]
        photos = [
            PhotoView.of(report, row, self._panels(report, row, folder), self._facts.class_names)
            for row in range(len(report.files))
        ]
        exemplars = tuple(
            Panel(
                caption=f"Summary {view.number}",
                picture=f"{folder}/{view.kept[0].picture}",
                alt=f"Exemplar of summary {view.number}",
            )
            for view in summaries
            if view.summary.kept and view.kept
        )
        figures = ClassFigures.of(report, page, exemplars[: self._config.exemplars_shown])
        self._figures.append(figures)
        self._failures += [
            Failure(
                class_name=report.class_name,
                page=page,
                number=photo.number,
                file=photo.file,
                status=photo.status,
                reason=photo.reason,
            )
            for photo in photos
            if photo.status in _FAILED
        ]
        for name, values in report.measures.items():
            self._measures[name].append(values)
        self._render(
            "class.html",
            page,
            figures=figures,
            report=report,
            kept=[view for view in summaries if view.summary.kept],
            dropped=[view for view in summaries if not view.summary.kept],
            photos=photos,
        )

    def finish(self) -> Path:
        """Write the overview and the run's page and put the report in place.

        Returns:
            The page to open, `index.html`.
        """
        moments = {
            name: Moments.of(np.concatenate([np.zeros(0), *columns])) for name, columns in self._measures.items()
        }
        if self._facts.evaluation is not None:
            self._write(DROP_PLOT, self._facts.evaluation.plot)
        self._render("overview.html", "index.html", classes=self._figures, moments=moments)
        self._render(
            "run.html",
            "run.html",
            moments=moments,
            failures=self._failures,
            configuration=flattened(self._facts.configuration),
            classes=self._figures,
            megabytes=self._bytes / 1e6,
            drop_plot=DROP_PLOT,
        )
        if self._out.exists():
            shutil.rmtree(self._out)
        self._partial.rename(self._out)
        return self._out / "index.html"

    def _summary(self, report: ClassReport, summary: Summary, folder: str) -> SummaryView:
        return SummaryView.of(summary, [self._tile(report, summary, member, folder) for member in summary.members])

    def _tile(self, report: ClassReport, summary: Summary, member: Member, folder: str) -> Tile:
        salient = report.masks.salient[member.image]
        height, width = salient.shape
        view = enlarged(report.images[member.image], salient, member.box, self._factor(height, width))
        name = f"summary-{summary.number + 1}-{member.rank}.jpg"
        self._picture(f"{folder}/{name}", summary_picture(*view, self._config.style))
        return Tile(
            member=member,
            picture=name,
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
            pictures.append(("mask", "Binary mask", "What the binary mask perturbs, in colour", crisp))
            if report.perturbed is not None:
                pictures.append(("perturbed", "Perturbed", "The perturbed photograph", report.perturbed[row]))
        panels = []
        for kind, caption, alt, picture in pictures:
            name = f"{kind}-{row}.jpg"
            self._picture(f"{folder}/{name}", picture)
            panels.append(Panel(caption=caption, picture=name, alt=alt))
        return tuple(panels)

    def _factor(self, height: int, width: int) -> int:
        return max(1, -(-self._config.picture_side // min(height, width)))

    def _picture(self, name: str, picture: UInt8[np.ndarray, "h w 3"]) -> None:
        self._write(name, encode_jpeg(picture, self._config.jpeg_quality))

    def _render(self, template: str, page: str, **values: object) -> None:
        html = self._templates.get_template(template).render(
            facts=self._facts, config=self._config, root="../" * page.count("/"), **values
        )
        # Names from a file system may hold halves of characters, which UTF-8 cannot write.
        self._write(page, html.encode("utf-8", "backslashreplace"))

    def _write(self, name: str, data: bytes) -> None:
        path = self._partial / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self._bytes += len(data)


def is_report(folder: Path) -> bool:
    """Whether a report may take a folder's place: it holds one, or nothing."""
    return folder.is_dir() and ((folder / MARKER).is_file() or not any(folder.iterdir()))


def make_environment() -> jinja2.Environment:
    """What the templates are rendered with."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("vissum_jax.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"percent": _percent, "number": _number, "readable": _readable, "plural": _plural}
    environment.globals |= {"STATUS_LABELS": STATUS_LABELS, "MEASURE_LABELS": MEASURE_LABELS}
    return environment


def _percent(share: float, digits: int = 1) -> str:
    return f"{round(100 * share, digits) + 0.0:.{digits}f}\u202f%" if np.isfinite(share) else "\u2013"  # never -0.0


def _number(value: float, spec: str = ".3f") -> str:
    return format(value, spec) if np.isfinite(value) else "\u2013"


def _readable(name: str) -> str:
    """A class name as one writes it: data sets have underscores for spaces."""
    return name.replace("_", " ")


def _plural(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"
