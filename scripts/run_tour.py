"""Execute examples/tour.ipynb and keep its outputs, as small as they go: the site shows them.

python scripts/run_tour.py
"""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

TOUR = Path(__file__).parents[1] / "examples" / "tour.ipynb"
_BETTER = ("text/html", "image/jpeg", "image/png", "text/plain")
"""Of what an object offers, only the first is kept: a batch of masks in words is a page of numbers."""


def trim(output: nbformat.NotebookNode) -> None:
    """Keep one form of an output."""
    if "data" in output:
        best = next(kind for kind in _BETTER if kind in output["data"])
        output["data"] = {best: output["data"][best]}


def main() -> None:
    """Execute the tour in place."""
    notebook = nbformat.read(TOUR, as_version=4)
    NotebookClient(notebook, timeout=600).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times
        for output in cell.get("outputs", ()):
            trim(output)
    nbformat.write(notebook, TOUR)


if __name__ == "__main__":
    main()
