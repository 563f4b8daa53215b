"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real weights and photographs, or a skip that says how to provide it."""
    root = Path(os.environ.get("VISSUM_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not (root / "weights").is_dir():
        pytest.skip(f"no shared data at {root}; set VISSUM_SHARED_DATA to the folder with weights/ and images/")
    return root
