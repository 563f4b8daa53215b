"""Code blocks of the documentation: found as a Markdown parser finds them, and executed as readers would.

A block that takes long says so, and why, in a comment right above it in the page's source:

    <!-- nightly: REASON -->

`make test-slow` executes it with the rest of its page. Otherwise it is only read: commands by the real command line,
Python by its compiler. What a page takes for granted is laid out by `tests/docs/conftest.py` and `stand_ins`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shlex
import subprocess
import sys
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from markdown_it import MarkdownIt
from packaging.requirements import Requirement
from schedulers import SLURM, called_by

from vissum_jax.cli.main import main
from vissum_jax.pipeline import read_settings

ROOT = Path(__file__).parents[1]
SHORTER = {
    "benchmarks.suite": ("--device", "cpu", "--quick"),
    "benchmarks/bench_matching.py": ("--quick",),
    "benchmarks/bench_pipeline.py": ("--quick",),
    "benchmarks/bench_report.py": ("--quick",),
    "benchmarks/eval_an8flower.py": (
        *("--variants", "single-6c", "--train", "4", "--test", "3"),
        *("--rise-masks", "8", "--out", "."),
    ),
}
"""Options that make the programs which a page names short."""
NEEDS_MORE = {"benchmarks/bench_masks.py"}
"""Programs that need PyTorch: here their options are read; `make parity` executes them (tests/test_bench_masks.py)."""
_MARK = re.compile(r"<!-- nightly: (.+) -->")
_COMMAND = re.compile(r"\s*(vissum|python|pip|make)\s")
_VARIABLE = re.compile(r"([A-Z]+)=(.*)")


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        page: The page's file.
        line: Where its first line of code is, from 1.
        language: What its fence says; empty for one without a fence.
        code: The text.
        nightly: Why it takes long; empty if it does not.
    """

    page: Path
    line: int
    language: str
    code: str
    nightly: str = ""

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Everything that is documentation, in Markdown."""
    docs = sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *docs]


def blocks(page: Path) -> list[Block]:
    """The blocks of code of a page; not what Sphinx takes for a directive, like ``{toctree}``."""
    found, nightly = [], ""
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        if token.type in ("fence", "code_block") and not token.info.startswith("{"):
            assert token.map is not None
            fenced = token.type == "fence"
            found.append(Block(page, token.map[0] + 1 + fenced, token.info if fenced else "", token.content, nightly))
        if token.type == "html_block":
            matched = _MARK.fullmatch(token.content.strip())
            nightly = matched[1] if matched else ""
        elif not token.hidden:
            nightly = ""
    return found


class Reader:
    """Does what a page says, block by block, in one folder and with one set of names."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *, patient: bool = False, **names: Any):
        """Start; `folder` is the current one while a page is read.

        Args:
            folder: Also where a page's absolute paths lead.
            monkeypatch: Undoes what this changes.
            patient: Execute blocks that take long, too.
            names: What the page's Python takes for granted.
        """
        self.folder, self.patch, self.patient = folder, monkeypatch, patient
        self.names: dict[str, Any] = {"__name__": "__main__", **names}

    def follow(self, block: Block) -> None:
        """Execute a block; only read one that takes long, unless patient.

        Raises:
            AssertionError: If a command fails or is none, or the block is in no language that is known here.
        """
        readers = {"python": self._python, "sh": self._shell, "toml": self._toml}
        if block.language in readers:
            readers[block.language](block)
        else:  # formulas, outputs, lists of files
            assert block.language in ("", "text"), f"{block.place}: nothing here executes {block.language!r}"
            assert not _COMMAND.match(block.code), f"{block.place}: commands need a fence that says `sh`"

    def _goes_on(self, block: Block) -> bool:
        return self.patient or not block.nightly

    def _python(self, block: Block) -> None:
        # The lines before it put it where it stands in the page, for tracebacks.
        code = compile("\n" * (block.line - 1) + block.code, str(block.page), "exec")
        if not self._goes_on(block):
            return
        if named := re.match(r"# (\w+\.py)\n", block.code):  # a file of the reader's
            (self.folder / named[1]).write_text(block.code)
        exec(code, self.names)

    def _shell(self, block: Block) -> None:
        for line in block.code.replace("\\\n", " ").splitlines():
            for words in _commands(line):
                what = self._command(block, [self._here(word) for word in words])
                assert not what, f"{block.place}: {shlex.join(words)}: {what}"

    def _here(self, word: str) -> str:
        """A word of a command; an absolute path leads into the folder."""
        return re.sub(r"^(\w+=)?/", rf"\g<1>{self.folder}/", word)

    def _command(self, block: Block, words: list[str]) -> object:
        """Give a command; what is wrong, if anything is."""
        variables = {}
        while variable := _VARIABLE.fullmatch(words[0]):
            variables[variable[1]] = variable[2]
            words = words[1:]
        program, *rest = words
        go_on = self._goes_on(block)
        if program == "vissum":
            if go_on and "ray" in rest:  # which leaves threads and sockets behind
                return _apart("-m", "stand_ins", *rest)
            return vissum(rest, self.patch, go_on=go_on)
        if program == "make":
            return self._make(rest)
        if program == "pip":
            return _not_installed(rest)
        if program == "open":
            return go_on and not (self.folder / rest[0]).is_file()
        if program == "python":
            name = rest[rest[0] == "-m"]
            wrong = _python_program(rest)
            return wrong or (go_on and name not in NEEDS_MORE and _apart(*rest, *SHORTER[name]))
        if program == "sbatch":
            script = ROOT / rest[0]
            if not script.is_file() or not go_on:
                return not script.is_file()
            arguments, _ = called_by(script, self.folder, {**SLURM, **variables})
            return vissum(arguments, self.patch)
        return "nothing here executes this"

    def _make(self, targets: list[str]) -> object:
        """What make would do: the package's commands are given, the environment is there already."""
        plan = ["make", "--dry-run", *targets]
        answer = subprocess.run(plan, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "MAKEFLAGS": ""})
        commands = re.findall(r"^\S*/vissum (.+)$", answer.stdout, re.MULTILINE)
        return answer.returncode or any(vissum(shlex.split(command), self.patch) for command in commands)

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


def _not_installed(arguments: list[str]) -> list[str]:
    """What of ``pip install 'PACKAGE[EXTRA]'`` is not here; an extra that there is not is none of it."""
    extras = re.findall(r"[\w-]+", "".join(re.findall(r"\[(.*)\]", " ".join(arguments))))
    known = project()["optional-dependencies"]
    wanted = [Requirement(each) for extra in extras for each in known.get(extra, [f"no-such-extra-{extra}>0"])]
    return [str(each) for each in wanted if _version(each.name) not in each.specifier]


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "0"


def _python_program(arguments: list[str]) -> object:
    """What is wrong with ``python FILE --option..`` or ``python -m MODULE --option..``: it must know its options."""
    name = Path(arguments[1].replace(".", "/") + ".py" if arguments[0] == "-m" else arguments[0])
    if not (ROOT / name).is_file():
        return f"there is no {name}"
    code = (ROOT / name).read_text()
    return [word for word in arguments[1:] if word.startswith("--") and f'"{word}"' not in code]


def _apart(*arguments: str) -> object:
    """``python ARGUMENTS..`` in the current folder; what is wrong, if anything is."""
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests", Path.cwd())))
    answer = subprocess.run(
        [sys.executable, *arguments], env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True
    )
    return answer.returncode and answer.stderr


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
