"""One file over HTTP, over as many connections as it takes.

The standard library's `urllib` does what is needed. What the usual clients add (pools, retries before the first
byte) is not what breaks when half a gigabyte comes over a bad line; going on in the middle of a body, which is,
none of them has.
"""

import http.client
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from vissum_jax._version import __version__

_PASSING = (408, 429, 500, 502, 503, 504)  # answers that the next attempt may not get
_PARTIAL_CONTENT, _RANGE_REFUSED = 206, 416
_MEGABYTE = 10**6


class TransferError(OSError):
    """A file could not be fetched; one clause that says why."""


class _BrokenError(Exception):
    """A connection ended early; the next one goes on from there."""


class TransferProgress(Protocol):
    """Receives the bytes of a transfer; a `start` and a `finish` for each connection."""

    def start(self, stage: str, total: int) -> None:
        """A connection brings the file so named, of `total` bytes."""
        ...

    def advance(self, count: int) -> None:
        """So many bytes are here."""
        ...

    def finish(self) -> None:
        """The connection ended."""
        ...


@dataclass(frozen=True, kw_only=True)
class TransferConfig:
    """How hard a transfer is tried.

    Attributes:
        attempts: Connections in a row that may bring nothing.
        backoff_seconds: Pause after the first of them, doubled after each further one.
        timeout_seconds: Silence after which a connection counts as broken.
        block_bytes: Bytes read at once.
    """

    attempts: int = 5
    backoff_seconds: float = 1.0
    timeout_seconds: float = 30.0
    block_bytes: int = 2**18

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("attempts", "timeout_seconds", "block_bytes"):
            if getattr(self, name) <= 0:
                raise ValueError(f"`{name}` must be positive, got {getattr(self, name)}.")
        if self.backoff_seconds < 0:
            raise ValueError(f"`backoff_seconds` must not be negative, got {self.backoff_seconds}.")


def transfer(url: str, path: Path, *, config: TransferConfig, progress: TransferProgress | None) -> None:
    """Bring a file, going on from what of it is there already.

    What the server calls this version of the file (its ETag) is kept beside it as ``PATH.version``. A rest is
    only asked for if the server still has that version; otherwise the file is brought from the start.

    Args:
        url: The file; where it begins with ``https``, so must whatever it redirects to.
        path: Destination; may hold the first part.
        config: How hard it is tried.
        progress: Told of every byte.

    Raises:
        TransferError: If the file cannot be had. What came of it stays.
    """
    file = _Transfer(url, path, config, progress)
    failures, most = 0, file.here
    while True:
        try:
            if file.connect():
                return
            continue  # what was here is of no use; from the start
        except TransferError:
            raise
        except (_BrokenError, http.client.HTTPException, OSError) as error:
            reason = _reason(error)
            # Without a first answer there is no use in waiting: this machine is offline, or the host is.
            if isinstance(error, urllib.error.URLError) and not file.answered:
                raise TransferError(f"{urlsplit(url).netloc} cannot be reached ({reason})") from error
        failures = 0 if file.here > most else failures + 1
        most = max(most, file.here)
        if failures == config.attempts:
            raise TransferError(
                f"the download from {urlsplit(url).netloc} broke {failures} times in a row after "
                f"{most / _MEGABYTE:.1f} MB ({reason})"
            )
        time.sleep(config.backoff_seconds * 2 ** max(failures - 1, 0))


class _Transfer:
    """What lasts from connection to connection."""

    def __init__(self, url: str, path: Path, config: TransferConfig, progress: TransferProgress | None) -> None:
        self.answered = False
        self._url, self._path, self._config, self._progress = url, path, config, progress
        self._version_file = path.with_name(f"{path.name}.version")
        self._opener = urllib.request.build_opener(_Redirects(urlsplit(url).scheme))

    @property
    def here(self) -> int:
        """Bytes that are here."""
        return self._path.stat().st_size if self._path.exists() else 0

    def connect(self) -> bool:
        """One connection; whether the file is whole now."""
        offset = self.here
        version = self._version_file.read_text() if offset and self._version_file.exists() else ""
        headers = {"User-Agent": f"vissum-jax/{__version__}", "Accept-Encoding": "identity"}
        if version:
            headers |= {"Range": f"bytes={offset}-", "If-Range": version}
        request = urllib.request.Request(self._url, headers=headers)
        try:
            response = self._opener.open(request, timeout=self._config.timeout_seconds)
        except urllib.error.HTTPError as error:
            self.answered = True
            with error:
                return self._refused(error, offset)
        self.answered = True
        with response:
            return self._receive(response, asked=offset if version else 0)

    def _refused(self, error: urllib.error.HTTPError, offset: int) -> bool:
        if error.code == _RANGE_REFUSED and offset:
            if error.headers.get("Content-Range") == f"bytes */{offset}":
                return True  # everything was here
            self._path.unlink()
            return False
        if error.code in _PASSING:
            raise _BrokenError(f"the server answers {error.code} {error.reason}")
        raise TransferError(f"{self._url} answers {error.code} {error.reason}")

    def _receive(self, response: Any, *, asked: int) -> bool:
        offset = asked if response.status == _PARTIAL_CONTENT else 0
        length = response.headers.get("Content-Length", "")
        if not re.fullmatch(r"[0-9]{1,15}", length):
            raise TransferError(f"{self._url} does not say how long the file is")
        total = offset + int(length)
        if offset and response.headers.get("Content-Range") != f"bytes {offset}-{total - 1}/{total}":
            self._path.unlink()  # not the part that was asked for
            return False
        free = shutil.disk_usage(self._path.parent).free
        if free < total - offset:
            missing = f"{(total - offset) / _MEGABYTE:.1f} MB are to come and {free / _MEGABYTE:.1f} MB are free"
            raise TransferError(f"{self._path.parent} has no room ({missing})")
        if not offset:
            # In this order: the first part of one version must never lie beside the name of another.
            self._path.unlink(missing_ok=True)
            self._version_file.write_text(_version(response.headers))
        if self._progress is not None:
            self._progress.start(self._path.name.removesuffix(".partial"), total)
            self._progress.advance(offset)
        try:
            self._append(response, total - offset)
        finally:
            if self._progress is not None:
                self._progress.finish()
        return True

    def _append(self, response: Any, wanted: int) -> None:
        with self._path.open("ab", buffering=0) as file:
            while wanted:
                block = response.read(min(wanted, self._config.block_bytes))
                if not block:
                    raise _BrokenError("the connection closed early")
                self._write(file, memoryview(block))
                wanted -= len(block)
                if self._progress is not None:
                    self._progress.advance(len(block))

    def _write(self, file: Any, block: memoryview) -> None:
        try:
            while block:
                block = block[file.write(block) :]
        except OSError as error:  # not to be taken for one of the network's
            raise TransferError(f"{self._path} cannot be written ({error.strerror})") from error


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but not from an encrypted connection to an open one."""

    def __init__(self, scheme: str) -> None:
        self._scheme = scheme

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """See `urllib.request.HTTPRedirectHandler`."""
        if urlsplit(newurl).scheme not in ("https", self._scheme):
            fp.close()
            raise TransferError(f"{req.full_url} redirects to {newurl}, which is not encrypted")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _version(headers: Any) -> str:
    """What names the version of a file for ``If-Range``: weak ETags do not (RFC 9110, 13.1.5)."""
    tag = headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")


def _reason(error: Exception) -> str:
    """One clause from an error of the network."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {cause.verify_message}"
    text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return " ".join(text.split())
