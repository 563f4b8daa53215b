"""Official weight files in the user's cache: fetched once, checked, by one process at a time."""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from vissum_jax.models.architecture import Download
from vissum_jax.models.transfer import TransferConfig, TransferError, TransferProgress, transfer

OFFLINE_VARIABLE = "VISSUM_OFFLINE"
"""Environment variable: 1 forbids downloads."""

MIRROR_VARIABLE = "VISSUM_WEIGHTS_MIRROR"
"""Environment variable: a base URL that takes the place of ``https://HOST``; the only way to allow ``http``."""


class DownloadError(OSError):
    """A file could not be had; one line that says why and what to do."""


def cache_path(download: Download) -> Path:
    """Where a file is kept, or would be: the folder ``vissum/weights`` in the user's cache."""
    stated = os.environ.get("XDG_CACHE_HOME", "")
    # By the XDG specification a relative path counts as none.
    cache = Path(stated) if os.path.isabs(stated) else Path.home() / ".cache"
    return cache / "vissum" / "weights" / PurePosixPath(urlsplit(download.url).path).name


def source_url(download: Download) -> str:
    """Where a file is fetched from: the official place, or the same path on the mirror.

    Raises:
        ValueError: If the place is not one to fetch weights from.
    """
    official = urlsplit(download.url)
    if official.scheme != "https":
        raise ValueError(f"`download`: {download.url} is not encrypted; official weights come by https only.")
    mirror = os.environ.get(MIRROR_VARIABLE, "")
    if not mirror:
        return download.url
    if urlsplit(mirror).scheme not in ("http", "https") or not urlsplit(mirror).netloc:
        raise ValueError(f"{MIRROR_VARIABLE} must be a URL such as https://host/folder, got {mirror!r}.")
    return mirror.rstrip("/") + official.path


def fetch(
    download: Download, *, progress: TransferProgress | None = None, config: TransferConfig | None = None
) -> Path:
    """Have a file in the cache, whole and right; download it if it is not there.

    Of two processes one downloads and the other waits. A break, even of the process, costs nothing: what came is
    kept as ``NAME.partial``, and the next call asks for the rest.

    Args:
        download: The file.
        progress: Told of every byte.
        config: How hard it is tried.

    Returns:
        The file's path.

    Raises:
        DownloadError: If the file cannot be had, or is not the one expected.
    """
    target = cache_path(download)
    if target.is_file():
        check_hash(download, target)
        return target
    by_hand = f"fetch {download.url} by hand and save it as {target}."
    if os.environ.get(OFFLINE_VARIABLE, "") not in ("", "0"):
        raise DownloadError(f"`weights`: {OFFLINE_VARIABLE} forbids the download; unset it, or {by_hand}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target, progress):
            if not target.is_file():  # else another process was faster
                _bring(download, target, config or TransferConfig(), progress)
    except OSError as error:
        why = str(error) if isinstance(error, TransferError) else f"{target.parent}: {error.strerror}"
        raise DownloadError(f"`weights`: {why}; run again later, or {by_hand}") from error
    return target


def check_hash(download: Download, path: Path) -> None:
    """Check that a file is the official one.

    Raises:
        DownloadError: If it is not; names both hashes.
    """
    found, expected = _hash_start(download, path), download.sha256_prefix
    if found != expected:
        raise DownloadError(
            f"`weights`: {path} is not the official file, its SHA-256 begins with {found} instead of {expected}; "
            f"delete it and run again, or save {download.url} in its place."
        )


def _bring(download: Download, target: Path, config: TransferConfig, progress: TransferProgress | None) -> None:
    """Download beside the destination; only a file that is right gets the name."""
    url = source_url(download)
    partial = target.with_name(f"{target.name}.partial")
    transfer(url, partial, config=config, progress=progress)
    partial.with_name(f"{partial.name}.version").unlink(missing_ok=True)
    found, expected = _hash_start(download, partial), download.sha256_prefix
    if found != expected:
        partial.unlink()
        raise TransferError(
            f"{url} is not the official file and was deleted: its SHA-256 begins with {found} instead of {expected}"
        )
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())
    os.replace(partial, target)


def _hash_start(download: Download, path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[: len(download.sha256_prefix)]


@contextlib.contextmanager
def _alone(target: Path, progress: TransferProgress | None) -> Iterator[None]:
    """Wait until no other process downloads this file; the lock ends with its process, however that ends."""
    with target.with_name(f"{target.name}.lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if progress is not None:
                progress.start(f"waiting for another process that downloads {target.name}", 1)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if progress is not None:
                progress.advance(1)
                progress.finish()
        yield
