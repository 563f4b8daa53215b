"""Where a run lives: the one place that chooses between folders and object stores."""

from __future__ import annotations

from pathlib import Path

from vissum_jax.runs.log import FILE as LOG_FILE
from vissum_jax.runs.log import EventLog, Log
from vissum_jax.runs.objects import SCHEMES, ObjectFolder, ObjectLog, open_objects
from vissum_jax.runs.store import LocalFolder, Storage


def open_place(place: Path | str | Storage) -> Storage:
    """What holds the files of a run.

    Args:
        place: A folder, ``s3://bucket/run`` or ``gs://bucket/run``; or what this function gave before.

    Raises:
        ValueError: The place names no folder of a bucket, or an object store where a command wants a folder.
    """
    if not isinstance(place, Path | str):
        return place
    if str(place).startswith(SCHEMES):
        return open_objects(str(place))
    if isinstance(place, Path) and place.parts and place.parts[0] in [scheme.rstrip("/") for scheme in SCHEMES]:
        raise ValueError(f"{str(place)!r} is in an object store; this command works on folders.")
    return LocalFolder(Path(place))


def open_log(storage: Storage) -> Log:
    """The event log of a run."""
    return ObjectLog(storage) if isinstance(storage, ObjectFolder) else EventLog(Path(str(storage)) / LOG_FILE)
