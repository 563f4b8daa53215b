"""An S3 server on this machine that can be told to misbehave.

with ObjectServer() as server:
    os.environ |= server.environment
    with server.fault("PUT", "part-00001.parquet", refuse, times=3): ...
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

BUCKET = "bucket"
Action = Callable[[Callable, dict, Callable], Iterable[bytes]]


def refuse(app, environ, start_response):
    """Answer 500 and do nothing."""
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    body = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"
    start_response(
        "500 Internal Server Error", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
    )
    return [body]


def obey_but_complain(app, environ, start_response):
    """Do what was asked for, and answer 500."""
    list(app(environ, lambda status, headers, info=None: None))
    return refuse(app, {**environ, "wsgi.input": io.BytesIO(), "CONTENT_LENGTH": "0"}, start_response)


def slowly(seconds: float) -> Action:
    """Answer late."""

    def answer(app, environ, start_response):
        time.sleep(seconds)
        return app(environ, start_response)

    return answer


def half(app, environ, start_response):
    """Keep half of what was put, and say that all is well."""
    answer = list(app(environ, start_response))
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    bucket, _, key = environ["PATH_INFO"].lstrip("/").partition("/")
    data = backend.get_object(bucket, key).value
    backend.put_object(bucket, key, data[: len(data) // 2])
    return answer


def gone(app, environ, start_response):
    """Somebody removes the object a moment before it is asked for."""
    bucket, _, key = environ["PATH_INFO"].lstrip("/").partition("/")
    s3_backends[DEFAULT_ACCOUNT_ID]["aws"].delete_object(bucket, key)
    return app(environ, start_response)


@dataclass
class Fault:
    """What happens to requests."""

    method: str
    path: str
    action: Action
    left: int
    met: int = 0


class _Quiet(WSGIRequestHandler):
    def log(self, type, message, *args):
        pass


class ObjectServer:
    """Moto's S3 behind a door that misbehaves on request; a context manager."""

    def __enter__(self) -> ObjectServer:
        self._app = DomainDispatcherApplication(create_backend_app)
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self.requests: list[tuple[str, str]] = []
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=_Quiet)
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
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._server.server_port}",
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "tests",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @contextmanager
    def fault(self, method: str, path: str, action: Action, *, times: int = 10**9) -> Iterator[Fault]:
        """Meanwhile, the next so many requests of a method to paths that contain a text meet an action."""
        fault = Fault(method, path, action, times)
        with self._lock:
            self._faults.append(fault)
        try:
            yield fault
        finally:
            with self._lock:
                self._faults.remove(fault)

    def _answer(self, environ, start_response):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        with self._lock:
            self.requests.append((method, path))
            fault = next(
                (each for each in self._faults if each.left and each.method == method and each.path in path), None
            )
            if fault is not None:
                fault.left -= 1
                fault.met += 1
        action = fault.action if fault is not None else (lambda app, environ, start: app(environ, start))
        return action(self._app, environ, start_response)
