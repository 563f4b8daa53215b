"""A time budget: cases in order of importance, each begun only if the time that is left should do for it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]

_MARGIN = 1.3
"""A case is taken to need so many times what its cost says: cases that compile more than others are not alike."""


class TimeIsOverError(Exception):
    """The budget is spent in the middle of a case."""


@dataclass(frozen=True)
class Case:
    """Something to be measured.

    Attributes:
        name: What the results call it.
        cost: How long it takes, in units of the first guess; what other cases took corrects the guess.
        run: Measures; gives rows of results.
        missing: Why it cannot be measured here, else empty.
    """

    name: str
    cost: float
    run: Callable[[], list[Row]]
    missing: str = ""


@dataclass(frozen=True)
class Ended:
    """How a case ended.

    Attributes:
        case: Its name.
        seconds: What it took.
        rows: Its results.
        skipped: Why it was not begun or not finished, else empty.
        failed: What went wrong, else empty.
    """

    case: str
    seconds: float = 0.0
    rows: tuple[Row, ...] = ()
    skipped: str = ""
    failed: str = ""


def work_through(cases: Iterable[Case], *, seconds: float, guess: float) -> Iterator[Ended]:
    """Measure case after case within a budget.

    Args:
        cases: In order of importance.
        seconds: For all of them.
        guess: Seconds that a case of cost 1 takes, until there is something to judge by.

    Yields:
        How each case ended. One that fails does not stop the others: a machine that is lent for minutes shall not
        come back with nothing.
    """
    began = time.perf_counter()
    spent = done = 0.0
    for case in cases:
        if case.missing:
            yield Ended(case.name, skipped=case.missing)
            continue
        expected = case.cost * (_MARGIN * spent / done if done else guess)
        left = seconds - (time.perf_counter() - began)
        if expected > left:
            yield Ended(case.name, skipped=f"it should take {expected:.0f} s, and {max(left, 0):.0f} s are left")
            continue
        start = time.perf_counter()
        rows: list[Row] = []
        skipped = failed = ""
        try:
            with cut_off_after(left):
                rows = case.run()
        except TimeIsOverError:
            skipped = f"it was cut off: the budget of {seconds:.0f} s is spent"
        except Exception as error:  # reported, and the exit code says so
            failed = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
        taken = time.perf_counter() - start
        if not failed:
            spent, done = spent + taken, done + case.cost
        yield Ended(case.name, taken, tuple(rows), skipped=skipped, failed=failed)


@contextmanager
def cut_off_after(seconds: float) -> Iterator[None]:
    """End what takes too long: at once in Python, at its end in a compiler or a compiled program.

    Raises:
        TimeIsOverError: If it did.
    """

    def end(*_: object) -> None:
        raise TimeIsOverError

    handler = signal.signal(signal.SIGALRM, end)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        # As they were: others may have an alarm set, a test runner for one.
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)
