"""Every block of code in the documentation is executed, on a demo with few flowers; so is the tour."""

import functools
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from documentation import NOT_RUN, PARSED_ONLY, ROOT, Block, Reader, blocks, pages, vissum

from vissum_jax.pipeline import RunConfig, demo

TOUR = ROOT / "examples" / "tour.ipynb"
MOST_MARKED = {NOT_RUN: 2, PARSED_ONLY: 24}
"""Blocks that need not be executed, at most."""


@pytest.fixture(scope="module")
def short_demo():
    """`vissum demo` with four flowers of two kinds, and few steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "IMAGES_PER_CLASS", 4)
        patch.setattr(demo, "RunConfig", functools.partial(RunConfig, classes=("red_petals", "blue_pot")))
        settings = {name: dict(values) for name, values in demo.SETTINGS.items()}
        settings["masks"] |= {"steps": 40, "first_bisections": 3, "last_bisections": 2}
        settings["proposals"] |= {"mode": "fast"}
        patch.setattr(demo, "SETTINGS", settings)
        yield


@pytest.fixture(scope="module")
def folder(short_demo, tmp_path_factory):
    """Where the demo was run, into ``demo``, as the tutorial does first of all."""
    place = tmp_path_factory.mktemp("docs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert vissum(["demo", "--out", "demo"], patch) == 0
    return place


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_says_works(page, folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    reader = Reader(folder, monkeypatch)
    for block in blocks(page):
        reader.follow(block)


def test_few_blocks_are_not_executed():
    code = [block for page in pages() for block in blocks(page) if block.language in ("python", "sh")]
    assert len(code) > 30
    marked = Counter(block.mark for block in code if block.mark)
    assert all(marked[mark] <= most for mark, most in MOST_MARKED.items()), marked


def test_the_tour_runs_and_finds_the_parts_that_make_the_classes(tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat", reason="nbformat comes with the [test] extra")
    nbclient = pytest.importorskip("nbclient", reason="nbclient comes with the [test] extra")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    tour = nbformat.read(TOUR, as_version=4)
    for cell in tour.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    try:
        nbclient.NotebookClient(tour, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    finally:
        nbformat.write(tour, tmp_path / "tour.ipynb")  # to look at where something fails

    outputs = [output for cell in tour.cells for output in cell.get("outputs", ())]
    printed = "".join(output["text"] for output in outputs if output.output_type == "stream")
    shown = [output["data"] for output in outputs if "data" in output]
    answers = next(data["text/plain"] for data in shown if data["text/plain"].startswith("['"))
    assert re.findall(r"\w+", answers) == ["red_petals"] * 6 + ["blue_pot"] * 6
    masks, summaries, *_ = (data["text/html"] for data in shown if "text/html" in data)
    assert masks.count("<img") == 12
    for kind in ("red_petals", "blue_pot"):
        _, of_class = summaries.split(f"<strong>{kind}</strong>")
        assert of_class.split("<strong>")[0].count("<img") >= 3
    (right,) = re.findall(r"(\d+)% show the part that makes their class", printed)
    assert int(right) >= 80
    (report,) = re.findall(r"Open (.+)", printed)
    assert "blue_pot" in Path(report).read_text(encoding="utf-8")


def test_the_tour_is_committed_with_small_outputs():
    """The site shows them; a repository is no place for megabytes of pictures."""
    cells = json.loads(TOUR.read_text())["cells"]
    assert all(cell["outputs"] for cell in cells if cell["cell_type"] == "code")
    assert TOUR.stat().st_size < 200_000


class TestTheTestItself:
    """A block that does not work is noticed."""

    @pytest.fixture
    def reader(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        return Reader(tmp_path, monkeypatch)

    @staticmethod
    def block(language: str, code: str, mark: str = "") -> Block:
        return Block(ROOT / "README.md", 1, language, code, mark)

    @pytest.mark.parametrize(
        ("language", "code", "mark"),
        [
            ("sh", "vissum run photos --no-such-option", PARSED_ONLY),
            ("sh", "vissum status RUN; vissum no-such-command", PARSED_ONLY),
            ("sh", "vissum evaluate no-such-thing RUN", PARSED_ONLY),
            ("sh", "vissum status no-such-run", ""),
            ("sh", "make no-such-target", ""),
            ("sh", "pip install '.[no-such-extra]'", ""),
            ("sh", "python benchmarks/no_such_file.py", PARSED_ONLY),
            ("sh", "rm -rf /", PARSED_ONLY),
            ("sh", "open no-such-page.html", ""),
            ("rust", "fn main() {}", ""),
            ("", "vissum demo", ""),
        ],
    )
    def test_commands_and_data(self, reader, language, code, mark):
        with pytest.raises(AssertionError, match=r"^README\.md:1|assert"):
            reader.follow(self.block(language, code, mark))

    def test_python(self, reader):
        with pytest.raises(SyntaxError):
            reader.follow(self.block("python", "masks = (", NOT_RUN))
        with pytest.raises(NameError, match="masks"):
            reader.follow(self.block("python", "print(masks)"))
        with pytest.raises(ValueError, match="no_such_table"):
            reader.follow(self.block("toml", "[no_such_table]\nx = 1"))

    def test_marks_hold_for_the_next_block_alone(self, tmp_path):
        page = tmp_path / "page.md"
        page.write_text(
            "<!-- not run: why -->\n```python\n1\n```\n\n```python\n2\n```\n\n```{toctree}\nx\n```\n\n    code\n"
        )
        found = [(block.language, block.code, block.mark, block.line) for block in blocks(page)]
        assert found == [("python", "1\n", NOT_RUN, 3), ("python", "2\n", "", 7), ("", "code\n", "", 14)]
