"""Code blocks of the documentation: found as a Markdown parser finds them, and executed as readers would.

A block that a test cannot execute says so, and why, in a comment right above it in the page's source:

    <!-- parsed only: REASON -->    its commands are read by the real command line, and go no further
    <!-- not run: REASON -->        Python that is compiled, but not executed
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from markdown_it import MarkdownIt

from vissum_jax.cli.main import main
from vissum_jax.pipeline import read_settings

ROOT = Path(__file__).parents[1]
PARSED_ONLY, NOT_RUN = "parsed only", "not run"
_MARK = re.compile(rf"<!-- ({PARSED_ONLY}|{NOT_RUN}): (.+) -->")
_COMMAND = re.compile(r"\s*(vissum|python|pip|make)\s")


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        page: The page's file.
        line: Where its first line of code is, from 1.
        language: What its fence says; empty for one without a fence.
        code: The text.
        mark: Why it is not executed: `PARSED_ONLY` or `NOT_RUN`, empty if it is.
    """

    page: Path
    line: int
    language: str
    code: str
    mark: str = ""

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Everything that is documentation, in Markdown."""
    docs = sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *docs]


def blocks(page: Path) -> list[Block]:
    """The blocks of code of a page; not what Sphinx takes for a directive, like ``{toctree}``."""
    found, mark = [], ""
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        if token.type in ("fence", "code_block") and not token.info.startswith("{"):
            assert token.map is not None
            fenced = token.type == "fence"
            found.append(Block(page, token.map[0] + 1 + fenced, token.info if fenced else "", token.content, mark))
        if token.type == "html_block":
            matched = _MARK.fullmatch(token.content.strip())
            mark = matched[1] if matched else ""
        elif not token.hidden:
            mark = ""
    return found


class Reader:
    """Does what a page says, block by block, in one folder and with one set of names."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        """Start; `folder` is the current one while a page is read."""
        self.folder, self.patch = folder, monkeypatch
        self.names: dict[str, Any] = {"__name__": "__main__"}

    def follow(self, block: Block) -> None:
        """Execute a block.

        Raises:
            AssertionError: If a command fails or is none, or the block is in no language that is known here.
        """
        readers = {"python": self._python, "sh": self._shell, "toml": self._toml}
        if block.language in readers:
            readers[block.language](block)
        else:  # formulas, outputs, lists of files
            assert block.language in ("", "text"), f"{block.place}: nothing here executes {block.language!r}"
            assert not _COMMAND.match(block.code), f"{block.place}: commands need a fence that says `sh`"

    def _python(self, block: Block) -> None:
        # The lines before it put it where it stands in the page, for tracebacks.
        code = compile("\n" * (block.line - 1) + block.code, str(block.page), "exec")
        if block.mark == NOT_RUN:
            return
        if named := re.match(r"# (\w+\.py)\n", block.code):  # a file of the reader's
            (self.folder / named[1]).write_text(block.code)
        exec(code, self.names)

    def _shell(self, block: Block) -> None:
        for line in block.code.replace("\\\n", " ").splitlines():
            for words in _commands(line):
                self._command(block, words)

    def _command(self, block: Block, words: list[str]) -> None:
        program, *rest = words
        if program == "vissum":
            code = vissum(rest, self.patch, go_on=not block.mark)
        elif program == "make":
            targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            code = set(rest) - set(targets)
        elif program == "pip":
            code = set(_extras(rest)) - set(project()["optional-dependencies"])
        elif program == "open":
            code = not (block.mark or (self.folder / rest[0]).is_file())
        elif program == "python" and rest[0] == "-m":
            code = importlib.util.find_spec(rest[1]) is None
        elif program in ("python", "sbatch"):
            code = not (ROOT / rest[0]).is_file()
        else:
            code = "nothing here executes this"
        assert not code, f"{block.place}: {shlex.join(words)}: {code}"

    def _toml(self, block: Block) -> None:
        tomllib.loads(block.code)
        path = self.folder / "settings.toml"
        path.write_text(block.code)
        read_settings(path)


def _commands(line: str) -> list[list[str]]:
    """The commands of a line, without comments."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";")
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    for word in lexer:
        if word == ";":
            commands.append([])
        else:
            commands[-1].append(word)
    return [words for words in commands if words]


def project() -> dict[str, Any]:
    """What pyproject.toml says of the project."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _extras(arguments: list[str]) -> list[str]:
    return [
        extra for argument in arguments for extra in re.findall(r"[\w-]+", "".join(re.findall(r"\[(.*)\]", argument)))
    ]


class _Understood(Exception):  # noqa: N818 - no error, but as far as it shall go
    """The command line was read: the command begins to look at what it was given."""


@contextmanager
def _go_no_further():
    raise _Understood
    yield


def vissum(arguments: list[str], monkeypatch: pytest.MonkeyPatch, *, go_on: bool = True) -> int:
    """``vissum ARGUMENTS..``, the real command line in this process; its exit code.

    Args:
        arguments: Words.
        monkeypatch: Undoes what this changes.
        go_on: Do what it says; or only read it, up to where every command begins to look at its input.
    """
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", ["vissum", *arguments])
        if not go_on:
            for module in [one for name, one in sys.modules.items() if name.startswith("vissum_jax.cli.")]:
                if isinstance(module, ModuleType) and hasattr(module, "user_mistakes"):
                    patch.setattr(module, "user_mistakes", _go_no_further)
        try:
            main()
        except _Understood:
            return 0
        except SystemExit as end:
            return int(end.code or 0)
    return 0
