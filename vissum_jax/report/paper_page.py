"""All tables and figures of VS, ours beside the paper's: one page, and the same as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from vissum_jax.analysis.drop import markdown
from vissum_jax.report.environment import make_environment
from vissum_jax.report.gallery import Table
from vissum_jax.report.site import MARKER

PAGE, PICTURES = "paper.html", "paper"
_STATIC = ("report.css", "report.js")


class Plot(NamedTuple):
    """A PNG file, what it shows, and its name without ending."""

    name: str
    caption: str
    data: bytes


class Missing(NamedTuple):
    """What was not measured, and the command that measures it."""

    what: str
    command: str


@dataclass(frozen=True, kw_only=True)
class PaperSection:
    """One table or figure of the paper.

    Attributes:
        title: Heading.
        source: Where the paper has it.
        lede: What is compared.
        tables: Numbers, the paper's among them.
        plots: Pictures.
        notes: How to read them.
        missing: What was not measured.
        links: Text and address of pages that show more; addresses are relative to the page.
    """

    title: str
    source: str
    lede: str
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = ()
    notes: Sequence[str] = ()
    missing: Sequence[Missing] = ()
    links: Sequence[tuple[str, str]] = ()


def write_paper_page(folder: Path, sections: Sequence[PaperSection], *, runs: Sequence[str]) -> Path:
    """Write ``paper.html`` and its pictures into a folder, beside what is there.

    A folder that is not there yet becomes one that a report may take the place of.

    Args:
        folder: Where; made if need be.
        sections: In order.
        runs: What the page calls the runs.

    Returns:
        The page.
    """
    if not folder.exists():
        folder.mkdir(parents=True)
        (folder / MARKER).touch()
    (folder / "static").mkdir(exist_ok=True)
    for name in _STATIC:
        source = resources.files("vissum_jax.report") / "static" / name
        (folder / "static" / name).write_bytes(source.read_bytes())
    _write_plots(folder / PICTURES, sections)
    template = make_environment().get_template("paper.html")
    html = template.render(sections=sections, runs=runs, pictures=PICTURES, root="")
    # Names from a file system may hold halves of characters, which UTF-8 cannot write.
    (folder / PAGE).write_bytes(html.encode("utf-8", "backslashreplace"))
    return folder / PAGE


def write_paper_markdown(path: Path, sections: Sequence[PaperSection], *, runs: Sequence[str]) -> None:
    """Write the same as Markdown; its pictures go into a folder of the file's name beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = path.with_suffix("")
    _write_plots(pictures, sections)
    path.write_bytes(paper_markdown(sections, runs=runs, pictures=pictures.name).encode("utf-8", "backslashreplace"))


def paper_markdown(sections: Sequence[PaperSection], *, runs: Sequence[str], pictures: str) -> str:
    """The page as Markdown.

    Args:
        sections: In order.
        runs: What the page calls the runs.
        pictures: Folder of the plots.
    """
    lines = ["# Results beside the paper's", "", f"Runs: {', '.join(map(_plain, runs))}.", ""]
    for section in sections:
        lines += [f"## {section.title} ({section.source})", "", section.lede, ""]
        for table in section.tables:
            if table.title:
                lines += [f"**{_plain(table.title)}**", ""]
            cells = [[_plain(cell) for cell in line] for line in table.lines]
            lines += [markdown(table.headings, cells)]
            if table.note:
                lines += [_plain(table.note), ""]
        for plot in section.plots:
            lines += [f"![{_plain(plot.caption)}]({pictures}/{plot.name}.png)", ""]
        for note in section.notes:
            lines += [_plain(note), ""]
        for missing in section.missing:
            lines += [f"{_plain(missing.what)}: not measured. `{missing.command}` measures it.", ""]
    return "\n".join(lines).rstrip() + "\n"


def _write_plots(folder: Path, sections: Sequence[PaperSection]) -> None:
    plots = [plot for section in sections for plot in section.plots]
    if plots:
        folder.mkdir(exist_ok=True)
    for plot in plots:
        (folder / f"{plot.name}.png").write_bytes(plot.data)


def _plain(text: str) -> str:
    """Text from outside inside a line of Markdown."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("\n", " ")
