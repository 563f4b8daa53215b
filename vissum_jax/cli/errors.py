"""From exceptions to the contract's exit codes: 0 done, 1 ran but something failed, 2 bad usage."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

DONE, FAILED, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130
_RESUMABLE = "what was finished is kept, the same command goes on from there."


def stop(message: str, code: int) -> NoReturn:
    """End the command with one line on standard error."""
    print(f"vissum: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(code)


def check_batch_size(batch_size: int | None) -> None:
    """Check the option --batch-size.

    Raises:
        ValueError: If it is not positive.
    """
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"--batch-size must be at least 1, got {batch_size}.")


@contextmanager
def user_mistakes() -> Iterator[None]:
    """While a command takes in what the user named: what is wrong with it ends the command in one line."""
    try:
        yield
    except (ValueError, OSError) as error:
        stop(f"error: {error}", BAD_USAGE)
    except KeyboardInterrupt:
        stop(f"interrupted; {_RESUMABLE}", INTERRUPTED)


@contextmanager
def running() -> Iterator[None]:
    """While a command works: the machine's failures and the user's break end it in one line."""
    from vissum_jax.pipeline import ChangedError, NotReadyError

    try:
        yield
    except (ChangedError, NotReadyError) as error:
        stop(f"error: {error}", BAD_USAGE)
    except (OSError, MemoryError) as error:
        stop(f"stopped: {error}; {_RESUMABLE}", FAILED)
    except KeyboardInterrupt:
        stop(f"interrupted; {_RESUMABLE}", INTERRUPTED)
