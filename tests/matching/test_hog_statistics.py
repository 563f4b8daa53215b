"""The script that estimates the background statistics."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vissum_jax.matching.whitening import load_statistics, unpack

SCRIPT = Path(__file__).parents[2] / "scripts" / "estimate_hog_statistics.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("estimate_hog_statistics", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_products_equal_loops_over_pairs_of_cells(script):
    cells = np.random.default_rng(0).normal(size=(9, 10, 3))
    mean, products = script.accumulate(cells)
    np.testing.assert_allclose(mean, cells.reshape(-1, 3).mean(axis=0))
    for dy, dx in [(0, 0), (1, 0), (0, -3), (5, 2), (-2, 7), (-7, -7)]:
        pairs = [
            np.outer(cells[y, x], cells[y - dy, x - dx])
            for y in range(9)
            for x in range(10)
            if 0 <= y - dy < 9 and 0 <= x - dx < 10
        ]
        np.testing.assert_allclose(products[7 + dy, 7 + dx], np.mean(pairs, axis=0), atol=1e-12)


def test_photographs_become_statistics(script, tmp_path, monkeypatch, capsys):
    random = np.random.default_rng(0)
    for folder, count in (("a", 3), ("b", 2)):
        (tmp_path / folder).mkdir()
        for number in range(count):
            noise = random.integers(0, 256, (40, 52, 3), dtype=np.uint8)
            Image.fromarray(noise).resize((520, 400)).save(tmp_path / folder / f"{number}.png")
    (tmp_path / "a" / "broken.jpg").write_bytes(b"no photograph")
    monkeypatch.setattr(script, "TARGET", tmp_path / "out" / "statistics.npz")
    monkeypatch.setattr(script, "SCALED_SIDES", (160, 240))
    monkeypatch.setattr("sys.argv", ["estimate", str(tmp_path / "a"), str(tmp_path / "b"), "--per-folder", "9"])
    script.main()
    said = capsys.readouterr().out
    assert "left out" in said
    assert "5 photographs ->" in said
    with np.load(tmp_path / "out" / "statistics.npz") as arrays:
        statistics = unpack(dict(arrays))
    shipped = load_statistics()
    assert statistics.covariance.shape == shipped.covariance.shape
    assert np.linalg.eigvalsh(statistics.covariance[7, 7]).min() > -1e-4
    # Any image's mean cell is like any other's: normalised histograms.
    assert np.abs(statistics.mean - shipped.mean).max() < 0.15
