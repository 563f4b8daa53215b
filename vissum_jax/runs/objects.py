"""Runs in object stores: the same names and bytes as in a folder, kept by S3 or Google Cloud Storage.

pyarrow's file systems cannot ask a store to put an object only where there is none. What stands in for it needs no
clock and no such request, only that a store lists an object as soon as it has acknowledged it (S3 does since December
2020, Google Cloud Storage always did). Who wants a name puts a claim that nobody else can put, then lists the claims:

- Only his own is there: the name is his. Whoever comes later finds his claim.
- Others are there: he takes his own back, and tries again at another time.

Of two who try at once the one whose put was acknowledged last sees the other's claim, so that never more than one
succeeds. It may be none of them.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from collections.abc import Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pyarrow import fs

from vissum_jax.runs.log import event_record, parse_event

SCHEMES = ("s3://", "gs://")
_CLAIMS = "leases"  # folder of the claims: they are few, so that one request lists them
_EVENTS = "log"
_ATTEMPTS = 8  # of a request that a busy store refuses; with the waits between them, about a minute
_SECONDS = 60  # that a request may take
_READERS = 16  # requests at once where many small objects are read
_OPTIONS = ("endpoint_override", "region", "scheme")
_GOOGLES_STATUS = re.compile(r"google::cloud::Status\((.*?) error_info=", re.DOTALL)


class ObjectFolder:
    """The objects under a prefix; see `Storage`."""

    def __init__(self, system: fs.FileSystem, path: str, name: str) -> None:
        """Of a file system of pyarrow.

        Args:
            system: The object store.
            path: Bucket and prefix.
            name: What users call it.
        """
        self._system = system
        self._path = path
        self._name = name
        self._own: dict[str, str] = {}  # claims that were successful

    def __str__(self) -> str:
        """What users call it."""
        return self._name

    def within(self, folder: str) -> ObjectFolder:
        """A folder in it."""
        return ObjectFolder(self._system, f"{self._path}/{folder}", f"{self._name}/{folder}")

    def names(self) -> set[str]:
        """Names of all objects directly in it, and of folders but in Google's store, of which pyarrow lists none."""
        return {entry.base_name for entry in self._list(self._path)}

    def read(self, name: str) -> bytes:
        """The bytes of an object, or of the only claim of a name; none while several claim it."""
        if claims := self._claims(name):
            paths = [claim.path for claim in claims]
            paths = [path for path in paths if path == self._own.get(name)] or paths
            return self._get(paths[0]) if len(paths) == 1 else b""
        return self._get(f"{self._path}/{name}")

    def write(self, name: str, data: bytes) -> None:
        """Put an object: stores show it once it is whole."""
        self._put(f"{self._path}/{name}", data)

    def tidy(self, name: str) -> None:
        """Nothing to do: an object that was not put whole is not there."""

    def create(self, name: str, data: bytes) -> bool:
        """Claim a name; of several who try at once at most one is told True."""
        if self._claims(name):
            return False
        claim = f"{self._path}/{_CLAIMS}/{name}~{secrets.token_hex(8)}"
        alone = False
        try:
            self._put(claim, data)
            alone = [found.path for found in self._claims(name)] == [claim]
        finally:
            if not alone:
                self._delete(claim)
        if alone:
            self._own[name] = claim
        return alone

    def touch(self, name: str) -> bool:
        """Put an object, or one's own claim, once more."""
        path = self._own.get(name, f"{self._path}/{name}")
        try:
            self._put(path, self._get(path))
        except FileNotFoundError:
            return False
        return True

    def version(self, name: str) -> Hashable | None:
        """When the store took the object, or each claim of the name."""
        found = self._claims(name) or [self._system.get_file_info(f"{self._path}/{name}")]
        facts = [(each.path, each.size, each.mtime_ns) for each in found if each.type == fs.FileType.File]
        return tuple(sorted(facts)) or None

    def remove(self, name: str) -> None:
        """Remove an object; of a name one's own claim, or those of others if one has none."""
        if mine := self._own.pop(name, None):
            self._delete(mine)
            return
        for path in (*(claim.path for claim in self._claims(name)), f"{self._path}/{name}"):
            self._delete(path)

    def _claims(self, name: str) -> list[fs.FileInfo]:
        return [entry for entry in self._list(f"{self._path}/{_CLAIMS}") if entry.base_name.rpartition("~")[0] == name]

    def _list(self, path: str) -> list[fs.FileInfo]:
        with _naming(path):
            return self._system.get_file_info(fs.FileSelector(path, allow_not_found=True))

    def _get(self, path: str) -> bytes:
        try:
            return self._get_once(path)
        except FileNotFoundError:
            raise
        except OSError:
            # pyarrow asks for the size, then for the bytes. Of an object that was removed or replaced in between it
            # reports an answer that does not fit, in no way that tells this from a failure: look again.
            if self._system.get_file_info(path).type == fs.FileType.NotFound:
                raise FileNotFoundError(f"No object {path!r}.") from None
            return self._get_once(path)

    def _get_once(self, path: str) -> bytes:
        with _naming(path), self._system.open_input_stream(path) as stream:
            return stream.read()

    def _put(self, path: str, data: bytes) -> None:
        # Not in a context, which would close the stream, and so put what there is of the object, after a failure too.
        with _naming(path):
            stream = self._system.open_output_stream(path)
            stream.write(data)
            stream.close()

    def _delete(self, path: str) -> None:
        with suppress(FileNotFoundError), _naming(path):
            self._system.delete_file(path)


@contextmanager
def _naming(path: str) -> Iterator[None]:
    """Failures name the object: as pyarrow tells them, Google's do not, and quote all that its library knows."""
    try:
        yield
    except OSError as error:
        if path in str(error):
            raise
        status = _GOOGLES_STATUS.search(str(error))
        raise type(error)(f"{path!r}: {status[1] if status else error}") from error


class ObjectLog:
    """Events in an object store, which cannot append: an object an event, in the order of their names.

    Attributes:
        storage: The folder of the run.
    """

    def __init__(self, storage: ObjectFolder) -> None:
        """Of a run."""
        self._storage = storage.within(_EVENTS)

    def write(self, event: str, **values: Any) -> None:
        """Put one event with the time and the process's peak memory."""
        name = f"{time.time_ns():020d}-{secrets.token_hex(4)}.json"
        self._storage.write(name, json.dumps(event_record(event, values), ensure_ascii=False).encode())

    def events(self) -> Iterator[dict[str, Any]]:
        """All events; what is no whole event is passed over."""
        names = sorted(name for name in self._storage.names() if name.endswith(".json"))
        with ThreadPoolExecutor(_READERS) as pool:
            for data in pool.map(self._storage.read, names):
                record = parse_event(data)
                if record is not None:
                    yield record


def open_objects(place: str) -> ObjectFolder:
    """The folder of an object store that a place names.

    Credentials come from the environment, as the stores' own tools find them; an S3 server other than Amazon's from
    ``AWS_ENDPOINT_URL`` or from ``s3://bucket/run?endpoint_override=http://host:port``.

    Raises:
        ValueError: The place names no bucket or no folder in it, or has an unknown option.
    """
    parts = urlsplit(place)
    folder = parts.path.strip("/")
    if not parts.netloc or not folder:
        raise ValueError(f"{place!r} must name a bucket and a folder in it: {parts.scheme}://bucket/run.")
    options = dict(parse_qsl(parts.query))
    if unknown := set(options) - set(_OPTIONS):
        raise ValueError(f"{place!r}: unknown option {sorted(unknown)[0]!r}; known are {', '.join(_OPTIONS)}.")
    system = _s3(options) if parts.scheme == "s3" else _google(options)
    return ObjectFolder(system, f"{parts.netloc}/{folder}", place)


def _s3(options: dict[str, str]) -> fs.FileSystem:
    scheme, endpoint = _endpoint(options, ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"))
    return fs.S3FileSystem(
        region=options.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
        scheme=scheme,
        endpoint_override=endpoint,
        request_timeout=_SECONDS,
        connect_timeout=_SECONDS,
        allow_delayed_open=True,  # one request puts a small object
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
    )


def _google(options: dict[str, str]) -> fs.FileSystem:
    scheme, endpoint = _endpoint(options, ("STORAGE_EMULATOR_HOST",))
    return fs.GcsFileSystem(
        scheme=scheme,
        endpoint_override=endpoint,
        anonymous=endpoint is not None,
        retry_time_limit=timedelta(seconds=_SECONDS),
    )


def _endpoint(options: dict[str, str], variables: tuple[str, ...]) -> tuple[str, str | None]:
    """Scheme and address of a server other than the store's own; None for that one."""
    stated = options.get("endpoint_override") or next(filter(None, map(os.environ.get, variables)), "")
    scheme, there, address = stated.rpartition("://")
    return options.get("scheme") or (scheme if there else "https"), address.rstrip("/") or None
