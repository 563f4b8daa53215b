"""Files that are either whole or not there.

A part is written beside its place, flushed to disk and renamed; its marker, which holds the part's hash, comes
last. A part counts only with a marker that fits it, so that whatever a crash leaves behind is redone.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees either the old one or the whole new one, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
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


@dataclass(frozen=True)
class PartStore:
    """The Parquet parts of one stage, in a folder of their own.

    Attributes:
        folder: Where ``part-*.parquet`` and their markers live.
    """

    folder: Path

    def part(self, number: int) -> Path:
        """Where a part lives."""
        return self.folder / f"part-{number:05d}.parquet"

    def marker(self, number: int) -> Path:
        """Where its marker lives."""
        return self.folder / f"part-{number:05d}.done"

    def commit(self, number: int, table: pa.Table) -> None:
        """Write a part, then its marker."""
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        data = buffer.getvalue()
        write_atomically(self.part(number), data)
        record = {"rows": table.num_rows, "sha256": hashlib.sha256(data).hexdigest()}
        write_atomically(self.marker(number), json.dumps(record).encode())

    def done(self, number: int) -> bool:
        """Whether a part is there, whole, and the one that its marker speaks of."""
        try:
            record = json.loads(self.marker(number).read_bytes())
            data = self.part(number).read_bytes()
        except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
            return False
        return isinstance(record, dict) and record.get("sha256") == hashlib.sha256(data).hexdigest()

    def read(self, number: int) -> pa.Table:
        """Read a part."""
        return pq.read_table(self.part(number))

    def discard(self, number: int) -> None:
        """Remove a part, its marker first."""
        self.marker(number).unlink(missing_ok=True)
        self.part(number).unlink(missing_ok=True)
