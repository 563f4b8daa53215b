"""Folders of results that are either whole or not there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def check_place(out: Path, marker: str, what: str) -> None:
    """Check that a folder of results may be put in a place.

    Args:
        out: The place.
        marker: Name of the file that says that a folder is ours to replace.
        what: What such a folder holds, for the message.

    Raises:
        ValueError: The place is taken by something else.
    """
    if out.is_dir() and ((out / marker).is_file() or not any(out.iterdir())):
        return
    if out.exists() or out.is_symlink():
        raise ValueError(f"{str(out)!r} holds something else than {what}; name another folder with --out.")


@contextmanager
def whole_folder(out: Path, marker: str, what: str) -> Iterator[Path]:
    """A new folder to fill, which takes its place once it is full; an earlier one stays whole until then.

    Args:
        out: The place: nothing, an empty folder, or a folder with the marker, which is replaced.
        marker: Name of a file that says so; it is made.
        what: What such a folder holds, for the message.

    Yields:
        An empty folder (but for the marker) beside the place. It is removed if filling it fails.

    Raises:
        ValueError: The place is taken by something else.
    """
    check_place(out, marker, what)
    out = out.resolve()  # "." has no name of its own, and a link stays one
    partial, old = (out.with_name(f".{out.name}.{os.getpid()}.{state}") for state in ("partial", "old"))
    for leftover in (partial, old):
        if leftover.exists():  # of a killed process that had our number
            shutil.rmtree(leftover)
    partial.mkdir(parents=True)
    try:
        (partial / marker).touch()
        yield partial
        if out.exists():
            out.rename(old)
        partial.rename(out)
    finally:
        for leftover in (partial, old):
            if leftover.exists():
                shutil.rmtree(leftover)
