"""A Google Cloud Storage server on this machine that can be told to refuse.

with GoogleServer() as server:
    os.environ |= server.environment
    with server.refusing("PUT", "part-00001.parquet", times=3) as refusal: ...
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import ThreadingHTTPServer
from urllib.parse import unquote

from gcp_storage_emulator.handlers.buckets import create_bucket
from gcp_storage_emulator.server import RequestHandler, Router
from gcp_storage_emulator.storage import Storage

BUCKET = "bucket"


@dataclass
class Refusal:
    """Requests that are answered 500: those of a method whose address contains a text."""

    method: str
    text: str
    left: int
    met: int = 0


class _Handler(RequestHandler):
    """The emulator's, one request at a time: its storage knows of no threads."""

    def __init__(self, server: GoogleServer, *arguments) -> None:
        self._ours = server
        super().__init__(server.storage, *arguments)

    def _answer(self) -> None:
        with self._ours.lock:
            if not self._ours.refuses(self.command, unquote(self.path)):
                Router(self).handle(self.command)
                return
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - as the base class calls them

    def send_header(self, keyword: str, value: str) -> None:
        # The emulator says so of an upload of which nothing has arrived; Google's store then gives no range.
        if (keyword, value) != ("Range", "bytes=0-0"):
            super().send_header(keyword, value)

    def log_message(self, format, *args):
        pass


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a client that was killed


class GoogleServer:
    """The emulator behind a door that answers 500 on request; a context manager."""

    def __enter__(self) -> GoogleServer:
        self.storage = Storage(use_memory_fs=True)
        create_bucket(BUCKET, self.storage)
        self.lock = threading.RLock()
        self._refusals: list[Refusal] = []
        self._server = _Quiet(("127.0.0.1", 0), partial(_Handler, self))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which clients find the server."""
        return {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{self._server.server_port}"}

    @contextmanager
    def refusing(self, method: str, text: str, *, times: int = 10**9) -> Iterator[Refusal]:
        """Meanwhile, the next so many requests of a method to addresses that contain a text are answered 500."""
        refusal = Refusal(method, text, times)
        with self.lock:
            self._refusals.append(refusal)
        try:
            yield refusal
        finally:
            with self.lock:
                self._refusals.remove(refusal)

    def refuses(self, method: str, address: str) -> bool:
        """Whether a request is to be refused."""
        for refusal in self._refusals:
            if refusal.left and refusal.method == method and refusal.text in address:
                refusal.left -= 1
                refusal.met += 1
                return True
        return False
