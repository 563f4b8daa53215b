"""What the next part needs is read while this one is worked on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")


class ReadAhead(Generic[T]):
    """A function of a part's number, like the one it is made from; one result is held ready.

    Errors of a reading ahead come where its result is asked for. What nobody asks for is dropped.
    """

    def __init__(self, read: Callable[[int], T], following: Callable[[int], int | None]) -> None:
        """Read ahead.

        Args:
            read: What is needed of a part.
            following: The part that is likely to be asked for after another one; None for none.
        """
        self._read, self._following = read, following
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
        self._number: int | None = None
        self._ahead: Future[T] | None = None

    def __call__(self, number: int) -> T:
        """What is needed of a part; the reading of the one that follows begins."""
        ready, self._ahead = self._ahead, None
        if ready is not None and self._number == number:
            result = ready.result()
        else:
            if ready is not None:
                ready.cancel()
            result = self._read(number)
        self._number = self._following(number)
        if self._number is not None:
            self._ahead = self._pool.submit(self._read, self._number)
        return result

    def __enter__(self) -> ReadAhead[T]:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drop what was read ahead."""
        self._pool.shutdown(cancel_futures=True)
