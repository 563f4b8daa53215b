"""Every block of code in the documentation is executed, in a reader's folder; so is the tour."""

import ast
import functools
import json
import re
from pathlib import Path

import pytest
from documentation import ROOT, Block, Reader, blocks, pages
from stand_ins import FEW_STEPS

from vissum_jax import masks, proposals
from vissum_jax.masks.config import CompactConfig
from vissum_jax.proposals import ProposalConfig

TOUR = ROOT / "examples" / "tour.ipynb"
LAID_OUT = {
    "README.md": "readme",
    "docs/batch.md": "imagenet_files",
    "docs/howto/cluster.md": "clustered",
    "docs/howto/network.md": "own_network",
    "docs/howto/photographs.md": "photographs",
    "docs/interpretation.md": "interpreted",
    "docs/summaries.md": "splits",
}
"""Fixtures: what is in the reader's folder besides the demo, or a name of Python's."""
FOR_LONG_BLOCKS_ALONE = {
    *("README.md", "docs/howto/cluster.md", "docs/howto/network.md"),
    *("docs/howto/photographs.md", "docs/summaries.md"),
}
"""Pages of which no other block wants it."""


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def read(page: Path, folder: Path, monkeypatch, request, *, patient: bool) -> None:
    wanted = name(page) in LAID_OUT and (patient or name(page) not in FOR_LONG_BLOCKS_ALONE)
    names = request.getfixturevalue(LAID_OUT[name(page)]) if wanted else None
    reader = Reader(folder, monkeypatch, patient=patient, **names or {})
    for block in blocks(page):
        reader.follow(block)


@pytest.mark.parametrize("page", pages(), ids=name)
def test_what_a_page_says_works(page, folder, monkeypatch, request):
    read(page, folder, monkeypatch, request, patient=False)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", [page for page in pages() if any(block.nightly for block in blocks(page))], ids=name)
def test_what_takes_long_works_too(page, folder, monkeypatch, request):
    read(page, folder, monkeypatch, request, patient=True)


def test_blocks_are_found():
    code = [block for page in pages() for block in blocks(page) if block.language in ("python", "sh")]
    assert len(code) > 40
    assert sum(not block.nightly for block in code) > 10


def assert_the_tour_finds_the_parts_that_make_the_classes(printed: str, shown: list[dict[str, str]]) -> None:
    """In what its cells print and show."""
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


def test_the_tour_works(monkeypatch, capsys):
    """In this process, with a faster search; what a cell ends with is shown."""
    monkeypatch.setattr(masks.config, "CompactConfig", functools.partial(CompactConfig, **FEW_STEPS["masks"]))
    monkeypatch.setattr(proposals, "ProposalConfig", functools.partial(ProposalConfig, **FEW_STEPS["proposals"]))
    names, shown = {}, []
    for cell in json.loads(TOUR.read_text())["cells"]:
        if cell["cell_type"] == "code":
            *before, last = ast.parse("".join(cell["source"])).body
            ends = isinstance(last, ast.Expr)
            exec(compile(ast.Module([*before, *([] if ends else [last])], []), str(TOUR), "exec"), names)
            value = eval(compile(ast.Expression(last.value), str(TOUR), "eval"), names) if ends else None
            if value is not None:
                html = {"text/html": value._repr_html_()} if hasattr(value, "_repr_html_") else {}
                shown.append({"text/plain": repr(value), **html})
    assert_the_tour_finds_the_parts_that_make_the_classes(capsys.readouterr().out, shown)


@pytest.mark.slow
def test_the_tour_runs_as_a_notebook(tmp_path, monkeypatch):
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
    assert_the_tour_finds_the_parts_that_make_the_classes(printed, shown)


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
    def block(language: str, code: str, nightly: str = "") -> Block:
        return Block(ROOT / "README.md", 1, language, code, nightly)

    @pytest.mark.parametrize(
        ("language", "code", "nightly"),
        [
            ("sh", "vissum run photos --no-such-option", "long"),
            ("sh", "vissum status RUN; vissum no-such-command", "long"),
            ("sh", "vissum evaluate no-such-thing RUN", "long"),
            ("sh", "vissum status no-such-run", ""),
            ("sh", "make no-such-target", ""),
            ("sh", "pip install '.[no-such-extra]'", ""),
            ("sh", "python benchmarks/no_such_file.py", "long"),
            ("sh", "rm -rf /", "long"),
            ("sh", "open no-such-page.html", ""),
            ("rust", "fn main() {}", ""),
            ("", "vissum demo", ""),
        ],
    )
    def test_commands_and_data(self, reader, language, code, nightly):
        with pytest.raises(AssertionError, match=r"^README\.md:1|assert"):
            reader.follow(self.block(language, code, nightly))

    def test_python(self, reader):
        with pytest.raises(SyntaxError):
            reader.follow(self.block("python", "masks = (", "long"))
        with pytest.raises(NameError, match="masks"):
            reader.follow(self.block("python", "print(masks)"))
        with pytest.raises(ValueError, match="no_such_table"):
            reader.follow(self.block("toml", "[no_such_table]\nx = 1"))

    def test_marks_hold_for_the_next_block_alone(self, tmp_path):
        page = tmp_path / "page.md"
        page.write_text(
            "<!-- nightly: why -->\n```python\n1\n```\n\n```python\n2\n```\n\n```{toctree}\nx\n```\n\n    code\n"
        )
        found = [(block.language, block.code, block.nightly, block.line) for block in blocks(page)]
        assert found == [("python", "1\n", "why", 3), ("python", "2\n", "", 7), ("", "code\n", "", 14)]
