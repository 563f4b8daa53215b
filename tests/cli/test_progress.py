import io
import re

import pytest
from rich.console import Console

from vissum_jax.cli import progress
from vissum_jax.cli.progress import LineProgress, TerminalProgress, make_progress

SHOW_CURSOR = "\x1b[?25h"


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves when told to."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_lines_come_seldom_and_say_how_much_is_left(clock, capsys):
    lines = LineProgress()
    lines.start("masks", 40)
    for _ in range(4):
        clock[0] += 4.0
        lines.advance(5)
    lines.finish()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == ["masks: 15/40, about 20 s left", "masks: 20/40 in 16.0 s"]


def test_a_stage_with_nothing_to_do_is_said_to_be_done(clock, capsys):
    lines = LineProgress()
    lines.start("matches", 0)
    lines.finish()
    assert capsys.readouterr().err == "matches: 0/0 in 0.0 s\n"


def test_without_a_terminal_there_are_lines(capsys):
    assert isinstance(make_progress(), LineProgress)


@pytest.fixture
def terminal(monkeypatch):
    """A terminal that remembers what is written to it; also what is called at the end of the process."""
    screen, at_exit = io.StringIO(), []
    monkeypatch.setattr(
        progress, "Console", lambda stderr: Console(file=screen, force_terminal=True, width=80, legacy_windows=False)
    )
    monkeypatch.setattr(progress.atexit, "register", at_exit.append)
    return screen, at_exit


def last_lines(screen):
    """Lines that stay on the screen: what a carriage return overwrites is gone."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    return [line.split("\r")[-1].strip() for line in text.split("\n") if line.split("\r")[-1].strip()]


def test_each_finished_bar_is_left_on_the_screen_once(terminal):
    screen, _ = terminal
    bars = TerminalProgress()
    for _ in range(3):
        for stage in ("proposals", "matches"):
            bars.start(stage, 4)
            bars.advance(4)
            bars.finish()
    shown = [line.split()[0] for line in last_lines(screen)]
    assert shown == ["proposals", "matches"] * 3
    assert all("4/4" in line for line in last_lines(screen))


def test_the_cursor_comes_back_when_a_command_ends_in_the_middle(terminal):
    screen, at_exit = terminal
    TerminalProgress().start("masks", 4)
    assert SHOW_CURSOR not in screen.getvalue()
    for function in at_exit:
        function()
    assert screen.getvalue().rstrip("\n").endswith(SHOW_CURSOR)
