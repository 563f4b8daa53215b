"""The folder that pages are written into, and how large it has become."""

from __future__ import annotations

import threading
from importlib import resources
from pathlib import Path


class SiteFolder:
    """Writes files and counts them; any number of threads may write at once."""

    def __init__(self, root: Path) -> None:
        """Use a folder.

        Args:
            root: The folder; made when something is written.
        """
        self.root = root
        self.bytes = 0
        self.files = 0
        self._lock = threading.Lock()

    def write(self, name: str, data: bytes) -> None:
        """Write one file.

        Args:
            name: Its place under the root, with forward slashes.
            data: What it holds.
        """
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        with self._lock:
            self.bytes += len(data)
            self.files += 1

    def write_page(self, name: str, html: str) -> None:
        """Write a page. Names from a file system may hold halves of characters, which UTF-8 cannot write."""
        self.write(name, html.encode("utf-8", "backslashreplace"))

    def write_static(self, names: tuple[str, ...]) -> None:
        """Write what all pages share: style sheets and scripts of the package."""
        for name in names:
            self.write(f"static/{name}", (resources.files("vissum_jax.report") / "static" / name).read_bytes())
