"""The command line, called in this process."""

import re
import sys
from typing import NamedTuple

import pytest
import toys

from vissum_jax.cli.main import main


class Answer(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line on standard error; a slow machine may have said before how far it was."""
        lines = [line for line in self.err.splitlines() if not re.match(r"\w+: \d+/\d+, about", line)]
        (line,) = lines
        assert line.startswith("vissum: ")
        return line


@pytest.fixture
def vissum(monkeypatch, capsys):
    """Runs ``vissum ARGUMENTS..``."""

    def run(*arguments) -> Answer:
        monkeypatch.setattr(sys, "argv", ["vissum", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        return Answer(end.value.code or 0, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Four red discs, four green squares; not to be changed."""
    return toys.write_photographs(tmp_path_factory.mktemp("photos"), {0: 4, 1: 4})


@pytest.fixture(scope="session")
def settings(tmp_path_factory):
    """A configuration file that makes runs short."""
    path = tmp_path_factory.mktemp("settings") / "toys.toml"
    path.write_text(toys.SETTINGS)
    return path


@pytest.fixture
def command(photos, settings, tmp_path):
    """``run PHOTOS --model TOY --config SHORT --out RUN``."""
    return ("run", photos, "--model", toys.MODEL, "--config", settings, "--out", tmp_path / "run")
