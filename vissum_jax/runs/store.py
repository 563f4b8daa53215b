"""Files that are either whole or not there.

A part is written beside its place, flushed to disk and renamed; its marker, which holds the part's hash, comes
last. A part counts only with a marker that fits it, so that whatever a crash leaves behind is redone.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees either the old one or the whole new one, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Several hosts may write the same file, so that a process's number would not do.
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class Storage(Protocol):
    """Named bytes in one place: all that parts and leases ask of a file system or an object store."""

    def within(self, folder: str) -> Storage:
        """A folder in it."""
        ...

    def names(self) -> set[str]:
        """Names of all that is directly in it."""
        ...

    def read(self, name: str) -> bytes:
        """The bytes of a name.

        Raises:
            FileNotFoundError: There are none.
        """
        ...

    def write(self, name: str, data: bytes) -> None:
        """Put bytes in place, durably: a reader sees the old ones or all of the new ones."""
        ...

    def tidy(self, name: str) -> None:
        """Remove what killed writers of a name left behind; for who alone may write it now."""
        ...

    def create(self, name: str, data: bytes) -> bool:
        """Put bytes where there are none; of several that try at once at most one is told True, sooner or later one."""
        ...

    def touch(self, name: str) -> bool:
        """Give a name another version; False if there is none."""
        ...

    def version(self, name: str) -> Hashable | None:
        """Something that differs after every write and touch; None if there is nothing. It is never a time."""
        ...

    def remove(self, name: str) -> None:
        """Remove a name, if it is there."""
        ...


@dataclass(frozen=True)
class LocalFolder:
    """A folder of a file system that several hosts may share; see `Storage`.

    Attributes:
        path: The folder; it is made when something is put into it.
    """

    path: Path

    def __str__(self) -> str:
        """Its path."""
        return str(self.path)

    def within(self, folder: str) -> LocalFolder:
        """A folder in it."""
        return LocalFolder(self.path / folder)

    def names(self) -> set[str]:
        """Names of all that is directly in it."""
        try:
            return {path.name for path in self.path.iterdir()}
        except FileNotFoundError:
            return set()

    def read(self, name: str) -> bytes:
        """The bytes of a file."""
        return (self.path / name).read_bytes()

    def write(self, name: str, data: bytes) -> None:
        """Write a file atomically."""
        write_atomically(self.path / name, data)

    def tidy(self, name: str) -> None:
        """Remove the unfinished files of other writers."""
        for leftover in self.path.glob(f".{name}.*.partial"):
            leftover.unlink(missing_ok=True)

    def create(self, name: str, data: bytes) -> bool:
        """Create a file; a reader may see it empty for a moment."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            return False
        try:
            os.write(handle, data)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(handle)
        return True

    def touch(self, name: str) -> bool:
        """Renew a file's time, which needs no room on a full disk."""
        try:
            os.utime(self.path / name)
        except FileNotFoundError:
            return False
        return True

    def version(self, name: str) -> Hashable | None:
        """A file's identity and time of change, asked of the open file: network file systems answer others late."""
        try:
            with open(self.path / name, "rb") as file:
                facts = os.fstat(file.fileno())
        except FileNotFoundError:
            return None
        return facts.st_ino, facts.st_mtime_ns

    def remove(self, name: str) -> None:
        """Remove a file."""
        (self.path / name).unlink(missing_ok=True)


def local_path(storage: Storage) -> Path:
    """The folder of a file system.

    Raises:
        ValueError: It is in an object store.
    """
    if not isinstance(storage, LocalFolder):
        raise ValueError(f"{str(storage)!r} is in an object store; copy it into a folder for this command.")
    return storage.path


class PartState(StrEnum):
    """What is there of a part; only a part that is done counts."""

    DONE = "done"
    MISSING = "missing"
    NO_MARKER = "part without a marker"
    NO_PART = "marker without a part"
    BAD_MARKER = "marker damaged"
    MISFIT = "part and marker do not fit"


@dataclass(frozen=True)
class PartStore:
    """The Parquet parts of one stage, in a folder of their own.

    Attributes:
        place: Where ``part-*.parquet`` and their markers live.
    """

    place: Path | Storage

    @property
    def storage(self) -> Storage:
        """What holds the parts' bytes."""
        return LocalFolder(self.place) if isinstance(self.place, Path) else self.place

    @property
    def folder(self) -> Path:
        """The folder of a file system.

        Raises:
            ValueError: The parts are in an object store.
        """
        return local_path(self.storage)

    @staticmethod
    def name(number: int) -> str:
        """What a part is called."""
        return f"part-{number:05d}"

    def part(self, number: int) -> Path:
        """The file of a part in a folder."""
        return self.folder / self.part_name(number)

    def marker(self, number: int) -> Path:
        """The file of its marker in a folder."""
        return self.folder / self.marker_name(number)

    @classmethod
    def part_name(cls, number: int) -> str:
        """Name of a part's bytes."""
        return f"{cls.name(number)}.parquet"

    @classmethod
    def marker_name(cls, number: int) -> str:
        """Name of its marker's."""
        return f"{cls.name(number)}.done"

    def commit(self, number: int, table: pa.Table) -> None:
        """Write a part, then its marker; for who holds the part's lease."""
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        data = buffer.getvalue()
        self.storage.write(self.part_name(number), data)
        record = {"rows": table.num_rows, "sha256": hashlib.sha256(data).hexdigest()}
        self.storage.write(self.marker_name(number), json.dumps(record).encode())
        for name in (self.part_name(number), self.marker_name(number)):
            self.storage.tidy(name)

    def state(self, number: int) -> PartState:
        """What is there of a part."""
        storage, part = self.storage, self.part_name(number)
        try:
            record = json.loads(storage.read(self.marker_name(number)))
        except FileNotFoundError:
            return PartState.MISSING if storage.version(part) is None else PartState.NO_MARKER
        except (json.JSONDecodeError, UnicodeDecodeError):
            return PartState.BAD_MARKER
        try:
            found = hashlib.sha256(storage.read(part)).hexdigest()
        except FileNotFoundError:
            return PartState.NO_PART
        fits = isinstance(record, dict) and record.get("sha256") == found
        return PartState.DONE if fits else PartState.MISFIT

    def done(self, number: int) -> bool:
        """Whether a part is there, whole, and the one that its marker speaks of."""
        return self.state(number) is PartState.DONE

    def read(self, number: int) -> pa.Table:
        """Read a part."""
        return pq.read_table(io.BytesIO(self.storage.read(self.part_name(number))))

    def read_all(self, numbers: Iterable[int]) -> pa.Table:
        """Rows of several parts in their order; a column that parts of earlier versions lack is null there."""
        return pa.concat_tables([self.read(number) for number in numbers], promote_options="default")

    def discard(self, number: int) -> None:
        """Remove a part, its marker first."""
        self.storage.remove(self.marker_name(number))
        self.storage.remove(self.part_name(number))
