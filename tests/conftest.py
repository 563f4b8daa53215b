"""Fixtures shared by all tests."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

CACHE = "JAX_COMPILATION_CACHE_DIR"


def pytest_configure(config: pytest.Config) -> None:
    """Let one process compile for all: xdist's workers and what tests start find its programs in a folder of this run.

    It is set before JAX is imported, in the process that starts the workers.
    """
    if CACHE not in os.environ:
        os.environ[CACHE] = tempfile.mkdtemp(prefix="vissum-tests-xla-")
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
        config.add_cleanup(lambda: shutil.rmtree(os.environ.pop(CACHE), ignore_errors=True))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real weights and photographs, or a skip that says how to provide it."""
    root = Path(os.environ.get("VISSUM_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not (root / "weights").is_dir():
        pytest.skip(f"no shared data at {root}; set VISSUM_SHARED_DATA to the folder with weights/ and images/")
    return root


@pytest.fixture(scope="session")
def object_server():
    """An S3 server on this machine with an empty bucket, which this process and its children find."""
    pytest.importorskip("moto.server", reason="moto is not installed: it comes with the [test] extra")
    from object_server import BUCKET, ObjectServer
    from pyarrow import fs

    with ObjectServer() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        address = server.environment["AWS_ENDPOINT_URL"]
        system = fs.S3FileSystem(endpoint_override=address, region="us-east-1", allow_bucket_creation=True)
        system.create_dir(BUCKET)
        yield server


@pytest.fixture(scope="session")
def google_server():
    """A Google Cloud Storage server on this machine with an empty bucket, which this process and its children find."""
    pytest.importorskip("gcp_storage_emulator", reason="gcp-storage-emulator is not installed: [test] has it")
    from google_server import GoogleServer

    with GoogleServer() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield server
