"""docs/batch.md names the test that holds each guarantee: every one of them exists."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "batch.md").read_text()
LINK = re.compile(r"`(?:(?P<file>[\w/]+\.py)|\.\.)(?:(?:::)?(?P<test>test_\w+?)(?P<more>_\.\.)?)?`")
"""`tests/runs/test_x.py`, `test_x.py::test_y`, `test_x.py::test_y_..` (it begins so), `..test_z` (same file)."""


def named() -> Iterator[tuple[str, str, bool]]:
    """File, test and whether that is a beginning alone, of every test that the page names."""
    for line in PAGE.splitlines():
        file = ""
        for link in LINK.finditer(line):
            if link["file"] and not Path(link["file"]).name.startswith("test_"):
                continue
            file = link["file"] or file
            yield file, link["test"] or "", bool(link["more"])


def guarantees() -> list[list[str]]:
    """The rows of the table."""
    section = PAGE.split("## Guarantees")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


@pytest.mark.parametrize(("file", "test", "beginning"), sorted(set(named())))
def test_every_test_that_is_named_exists(file, test, beginning):
    (path,) = [path for path in TESTS.rglob("test_*.py") if path.as_posix().endswith(f"/{file}")]
    there = re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
    found = [name for name in there if name == test or (beginning and name.startswith(f"{test}_"))]
    assert len(found) == 1 if test else there


def test_every_guarantee_names_a_test():
    rows = guarantees()
    assert len(rows) > 20
    assert [row[0] for row in rows if not LINK.search(row[-1])] == []


def test_nothing_else_looks_like_the_name_of_a_test():
    assert re.findall(r"`[^`]*test_[^`]*`", LINK.sub("", PAGE)) == []
