"""Downloads from a local server: whole, broken, resumed, wrong, forbidden, two at once."""

import dataclasses
import hashlib
import http.server
import multiprocessing
import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest

from vissum_jax.models import ARCHITECTURES, fetch_weights, init_classifier, load_classifier, save_weights
from vissum_jax.models.architecture import Download
from vissum_jax.models.download import DownloadError, cache_path, fetch
from vissum_jax.models.transfer import TransferConfig

CONTENT = np.random.default_rng(0).bytes(300_000)
QUICK = TransferConfig(attempts=3, backoff_seconds=0.0, timeout_seconds=5.0, block_bytes=10_000)
NAME = "net-0123.pth"
OFFICIAL = f"https://weights.invalid/models/{NAME}"


def official(content: bytes = CONTENT) -> Download:
    return Download(url=OFFICIAL, sha256_prefix=hashlib.sha256(content).hexdigest()[:8])


class Server(http.server.ThreadingHTTPServer):
    """Serves one file; how badly is set by the test."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.ranges = True  # whether it sends parts of a file
        self.versions = {"ETag": '"one"'}
        self.breaks: list[int] = []  # bytes after which each coming connection breaks
        self.codes: list[int] = []  # errors that each coming connection answers
        self.pause = 0.0
        self.headers: dict[str, str] = {}
        self.redirect = ""
        self.asked: list[tuple[str, str | None]] = []  # path and Range of every request
        self.sent = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request, client_address):
        """Clients that break off are part of these tests."""


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        server = self.server
        server.asked.append((self.path, self.headers["Range"]))
        if server.redirect:
            self._answer(302, b"", {"Location": server.redirect})
            return
        if server.codes:
            self._answer(server.codes.pop(0), b"")
            return
        start, total = 0, len(server.content)
        same = self.headers["If-Range"] in server.versions.values()
        if server.ranges and same and self.headers["Range"]:
            start = int(re.fullmatch(r"bytes=(\d+)-", self.headers["Range"])[1])
        if start >= total:
            self._answer(416, b"", {"Content-Range": f"bytes */{total}"})
        elif start:
            headers = {"Content-Range": f"bytes {start}-{total - 1}/{total}"}
            self._answer(206, server.content[start:], headers | server.versions)
        else:
            self._answer(200, server.content, server.versions)

    def _answer(self, code: int, body: bytes, headers: dict[str, str] | None = None):
        self.send_response(code)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {}) | self.server.headers).items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        time.sleep(self.server.pause)
        until = self.server.breaks.pop(0) if body and self.server.breaks else len(body)
        self.wfile.write(body[:until])
        self.server.sent += len(body[:until])
        self.close_connection = True

    def log_message(self, *arguments):
        """Quiet."""


class Recorder:
    """Progress that adds up."""

    def __init__(self):
        self.connections: list[list] = []

    def start(self, stage, total):
        self.connections.append([stage, total, 0, False])

    def advance(self, count):
        self.connections[-1][2] += count

    def finish(self):
        self.connections[-1][3] = True


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("VISSUM_WEIGHTS_MIRROR", server.url)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("VISSUM_OFFLINE", raising=False)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "vissum" / "weights" / NAME


def _files(target: Path) -> set[str]:
    return {path.name for path in target.parent.iterdir()} - {f"{NAME}.lock"}


def _complaint(**arguments) -> str:
    with pytest.raises(DownloadError) as caught:
        fetch(arguments.pop("download", official()), config=QUICK, **arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


def by_hand(target: Path) -> str:
    return f"run again later, or fetch {OFFICIAL} by hand and save it as {target}."


def test_a_whole_file_arrives_once(server: Server, target: Path):
    progress = Recorder()
    assert fetch(official(), config=QUICK, progress=progress) == target
    assert target.read_bytes() == CONTENT
    assert progress.connections == [[NAME, len(CONTENT), len(CONTENT), True]]
    assert _files(target) == {NAME}
    fetch(official(), config=QUICK)
    assert server.asked == [(f"/models/{NAME}", None)]


def test_a_mirror_may_lie_in_a_folder(server: Server, target: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VISSUM_WEIGHTS_MIRROR", f"{server.url}/copies/of/weights/")
    fetch(official(), config=QUICK)
    assert server.asked == [(f"/copies/of/weights/models/{NAME}", None)]


def test_after_a_break_only_the_rest_is_asked_for(server: Server, target: Path):
    server.breaks = [100_000, 50_000]
    progress = Recorder()
    fetch(official(), config=QUICK, progress=progress)
    assert target.read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == [None, "bytes=100000-", "bytes=150000-"]
    assert server.sent == len(CONTENT)
    assert [count for _, _, count, _ in progress.connections] == [100_000, 150_000, 300_000]
    assert all(finished for *_, finished in progress.connections)


def test_the_next_call_goes_on_where_a_process_stopped(server: Server, target: Path):
    server.breaks = [123_456, 0, 0, 0]
    complaint = _complaint()
    host = server.url.removeprefix("http://")
    assert complaint == (
        f"`weights`: the download from {host} broke 3 times in a row after 0.1 MB (the connection closed early); "
        + by_hand(target)
    )
    assert _files(target) == {f"{NAME}.partial", f"{NAME}.partial.version"}
    server.asked.clear()
    fetch(official(), config=QUICK)
    assert server.asked == [(f"/models/{NAME}", "bytes=123456-")]
    assert target.read_bytes() == CONTENT
    assert _files(target) == {NAME}


def test_what_another_version_left_is_not_used(server: Server, target: Path):
    server.breaks = [100_000, 0, 0, 0]
    _complaint()
    server.content, server.versions = CONTENT[::-1], {"ETag": '"two"'}
    fetch(official(CONTENT[::-1]), config=QUICK)
    assert target.read_bytes() == CONTENT[::-1]


def test_a_date_names_a_version_where_the_tag_is_weak(server: Server, target: Path):
    server.versions = {"ETag": 'W/"weak"', "Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}
    server.breaks = [100_000]
    fetch(official(), config=QUICK)
    assert [asked for _, asked in server.asked] == [None, "bytes=100000-"]
    assert target.read_bytes() == CONTENT


def test_without_a_version_it_starts_over(server: Server, target: Path):
    server.versions = {}
    server.breaks = [100_000]
    fetch(official(), config=QUICK)
    assert [asked for _, asked in server.asked] == [None, None]
    assert target.read_bytes() == CONTENT


def test_a_server_without_ranges_starts_over(server: Server, target: Path):
    server.ranges = False
    server.breaks = [100_000]
    fetch(official(), config=QUICK)
    assert [asked for _, asked in server.asked] == [None, "bytes=100000-"]
    assert target.read_bytes() == CONTENT
    assert server.sent == 100_000 + len(CONTENT)


def test_a_server_that_never_gets_further_is_given_up(server: Server, target: Path):
    server.ranges = False
    server.breaks = [100_000] * 20
    assert "broke 3 times in a row after 0.1 MB" in _complaint()
    assert len(server.asked) == 1 + QUICK.attempts


def test_another_part_than_asked_for_is_not_used(server: Server, target: Path):
    server.breaks = [100_000]
    server.headers = {"Content-Range": "bytes 5-299999/300000"}
    fetch(official(), config=QUICK)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("surplus", [b"", b"more"])
def test_a_part_that_is_already_whole(server: Server, target: Path, surplus: bytes):
    server.versions = {"ETag": '"one"'}
    target.parent.mkdir(parents=True)
    target.with_name(f"{NAME}.partial").write_bytes(CONTENT + surplus)
    target.with_name(f"{NAME}.partial.version").write_text('"one"')
    fetch(official(), config=QUICK)
    assert target.read_bytes() == CONTENT
    assert server.sent == (len(CONTENT) if surplus else 0)


def test_a_wrong_file_is_deleted_and_both_hashes_named(server: Server, target: Path):
    server.content = CONTENT[:-1] + b"!"
    expected = official().sha256_prefix
    found = hashlib.sha256(server.content).hexdigest()[:8]
    assert _complaint() == (
        f"`weights`: {server.url}/models/{NAME} is not the official file and was deleted: its SHA-256 begins with "
        f"{found} instead of {expected}; {by_hand(target)}"
    )
    assert _files(target) == set()


def test_a_file_that_is_truncated_on_the_server_is_refused(server: Server, target: Path):
    server.content = CONTENT[:1000]
    assert "is not the official file and was deleted" in _complaint()
    assert _files(target) == set()


def test_a_wrong_file_put_there_by_hand_is_named(server: Server, target: Path):
    target.parent.mkdir(parents=True)
    target.write_bytes(b"something else")
    found = hashlib.sha256(b"something else").hexdigest()[:8]
    assert _complaint() == (
        f"`weights`: {target} is not the official file, its SHA-256 begins with {found} instead of "
        f"{official().sha256_prefix}; delete it and run again, or save {OFFICIAL} in its place."
    )
    assert server.asked == []


def test_a_file_that_is_not_there_is_not_tried_again(server: Server, target: Path):
    server.codes = [404]
    assert _complaint() == f"`weights`: {server.url}/models/{NAME} answers 404 Not Found; {by_hand(target)}"
    assert len(server.asked) == 1


def test_a_busy_server_is_tried_again(server: Server, target: Path):
    server.codes = [503, 429]
    fetch(official(), config=QUICK)
    assert len(server.asked) == 3


def test_a_silent_server_is_given_up(server: Server, target: Path):
    server.pause = 1.0
    config = TransferConfig(attempts=2, backoff_seconds=0.0, timeout_seconds=0.1)
    with pytest.raises(DownloadError, match=r"broke 2 times in a row after 0\.0 MB \(no answer in time\)"):
        fetch(official(), config=config)


def test_a_file_of_unknown_length_is_refused(server: Server, target: Path):
    server.headers = {"Content-Length": ""}
    assert "does not say how long the file is" in _complaint()


def test_pauses_grow(server: Server, target: Path, monkeypatch: pytest.MonkeyPatch):
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", lambda seconds: pauses.append(seconds) if seconds else None)
    server.codes = [503, 503, 503]
    fetch(official(), config=TransferConfig(attempts=4, backoff_seconds=0.5))
    assert pauses == [0.5, 1.0, 2.0]


def test_an_encrypted_connection_is_not_left(server: Server, target: Path):
    server.redirect = "ftp://127.0.0.1/net.pth"
    assert "redirects to ftp://127.0.0.1/net.pth, which is not encrypted" in _complaint()


def test_only_encrypted_places_are_official(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("VISSUM_WEIGHTS_MIRROR")
    plain = Download(url=f"{server.url}/models/{NAME}", sha256_prefix="01234567")
    with pytest.raises(ValueError, match=r"^`download`: http://.* is not encrypted; official weights come by https"):
        fetch(plain)
    assert server.asked == []


@pytest.mark.parametrize("mirror", ["file:///weights", "weights.example", "https:///weights"])
def test_a_mirror_must_be_a_url(server: Server, monkeypatch: pytest.MonkeyPatch, mirror: str):
    monkeypatch.setenv("VISSUM_WEIGHTS_MIRROR", mirror)
    message = f"VISSUM_WEIGHTS_MIRROR must be a URL such as https://host/folder, got {mirror!r}."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        fetch(official())


def test_offline_it_says_what_to_fetch_and_where_to_put_it(server: Server, target: Path):
    server.shutdown()
    server.server_close()
    host = server.url.removeprefix("http://")
    assert _complaint() == f"`weights`: {host} cannot be reached (Connection refused); {by_hand(target)}"


def test_downloads_can_be_forbidden(server: Server, target: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VISSUM_OFFLINE", "1")
    assert _complaint() == (
        f"`weights`: VISSUM_OFFLINE forbids the download; unset it, or fetch {OFFICIAL} by hand and save it as "
        f"{target}."
    )
    assert server.asked == []
    target.parent.mkdir(parents=True)
    target.write_bytes(CONTENT)
    assert fetch(official()) == target


def test_a_full_disk_is_seen_before(server: Server, target: Path, monkeypatch: pytest.MonkeyPatch):
    usage = shutil.disk_usage("/")._replace(free=100_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert _complaint() == (
        f"`weights`: {target.parent} has no room (0.3 MB are to come and 0.1 MB are free); {by_hand(target)}"
    )
    assert _files(target) == set()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_disk_that_fills_up_is_named(server: Server, target: Path, monkeypatch: pytest.MonkeyPatch):
    target.parent.mkdir(parents=True)
    partial = target.with_name(f"{NAME}.partial")
    opened = Path.open

    def full(path: Path, *arguments, **options):
        return opened(Path("/dev/full") if path == partial else path, *arguments, **options)

    monkeypatch.setattr(Path, "open", full)
    assert _complaint() == (f"`weights`: {partial} cannot be written (No space left on device); {by_hand(target)}")


def test_a_cache_that_cannot_be_made_is_named(server: Server, tmp_path: Path, target: Path):
    (tmp_path / "vissum").write_text("a file where a folder should be")
    assert _complaint().startswith(f"`weights`: {target.parent}: ")


def _fetch_here(queue):
    try:
        queue.put(str(fetch(official(), config=QUICK)))
    except Exception as error:
        queue.put(repr(error))


def test_of_two_processes_one_downloads(server: Server, target: Path):
    server.pause = 0.3
    fork = multiprocessing.get_context("spawn")
    queue = fork.Queue()
    processes = [fork.Process(target=_fetch_here, args=(queue,)) for _ in range(2)]
    for process in processes:
        process.start()
    assert [queue.get(timeout=240) for _ in processes] == [str(target)] * 2
    for process in processes:
        process.join()
    assert len(server.asked) == 1
    assert target.read_bytes() == CONTENT


def test_one_that_waits_says_so(server: Server, target: Path):
    server.pause = 0.5
    first = threading.Thread(target=fetch, args=(official(),))
    first.start()
    while not server.asked:
        time.sleep(0.01)
    progress = Recorder()
    fetch(official(), progress=progress)
    first.join()
    assert progress.connections == [[f"waiting for another process that downloads {NAME}", 1, 1, True]]
    assert len(server.asked) == 1


@pytest.mark.parametrize("stated", ["", "relative/folder"])
def test_the_cache_is_in_the_home_folder_by_default(monkeypatch: pytest.MonkeyPatch, stated: str):
    monkeypatch.setenv("XDG_CACHE_HOME", stated)
    assert cache_path(official()) == Path.home() / ".cache" / "vissum" / "weights" / NAME


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("attempts", 0, "`attempts` must be positive, got 0."),
        ("timeout_seconds", -1.0, "`timeout_seconds` must be positive, got -1.0."),
        ("block_bytes", 0, "`block_bytes` must be positive, got 0."),
        ("backoff_seconds", -0.1, "`backoff_seconds` must not be negative, got -0.1."),
    ],
)
def test_settings_are_checked(field: str, value: float, message: str):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        TransferConfig(**{field: value})


@pytest.fixture
def flowers(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network whose weights are on the server alone; where they will be put."""
    save_weights(init_classifier("flowernet", class_names="abc", key=jax.random.key(0)), tmp_path / "w.npz")
    server.content = (tmp_path / "w.npz").read_bytes()
    download = Download(
        url="https://weights.invalid/flowers-0123.npz", sha256_prefix=official(server.content).sha256_prefix
    )
    remote = dataclasses.replace(ARCHITECTURES["flowernet"], name="remote", default_weights=None, download=download)
    monkeypatch.setitem(ARCHITECTURES, "remote", remote)
    return tmp_path / "vissum" / "weights" / "flowers-0123.npz"


def test_a_network_is_loaded_from_installed_then_cached_then_downloaded_weights(server: Server, flowers: Path):
    assert load_classifier("remote").spec.class_names == ("a", "b", "c")
    assert flowers.is_file()
    assert load_classifier("remote").spec.weights_sha256 == hashlib.sha256(server.content).hexdigest()
    assert len(server.asked) == 1
    load_classifier("flowernet")  # these came with a package
    assert len(server.asked) == 1


def test_weights_named_by_the_user_come_first(server: Server, flowers: Path, tmp_path: Path):
    load_classifier("remote", weights=tmp_path / "w.npz")
    assert server.asked == []


def test_cached_weights_that_were_changed_are_refused(server: Server, flowers: Path):
    fetch_weights("remote")
    flowers.write_bytes(flowers.read_bytes()[:-1] + b"!")
    with pytest.raises(DownloadError, match="is not the official file, its SHA-256 begins with"):
        load_classifier("remote")
