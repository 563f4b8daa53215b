"""`benchmarks/eval_precision.py` on rendered flowers."""

import json
import sys

import pytest
from PIL import Image

from benchmarks import eval_precision
from vissum_jax.data.an8flower import FlowerConfig, flower_classes, render_flower


@pytest.fixture
def flowers(tmp_path):
    for label, flower in enumerate(flower_classes("single-6c")[:2]):
        folder = tmp_path / "flowers" / flower.name
        folder.mkdir(parents=True)
        picture = render_flower(flower, (9, label), FlowerConfig(supersampling=1)).image
        Image.fromarray(picture).save(folder / "0.png")
    return tmp_path / "flowers"


def test_searches_of_both_precisions_are_judged_alike(flowers, tmp_path, monkeypatch, capsys):
    classes = ",".join(sorted(folder.name for folder in flowers.iterdir()))
    arguments = ["--model", "flowernet-single-6c", "--images", flowers, "--classes", classes, "--per-class", 1]
    arguments += ["--batch-size", 2, "--out", tmp_path, "--json"]
    monkeypatch.setattr(sys, "argv", ["eval_precision.py", *map(str, arguments)])
    eval_precision.main()
    values = json.loads(capsys.readouterr().out)
    assert values == json.loads((tmp_path / "precision_flowernet-single-6c.json").read_text())
    assert values["images"] == 2
    first, seed, half = (values["searches"][name] for name in eval_precision.SEARCHES)
    assert (first["iou"], first["reaches_99"], first["minus_float32"]) == (1.0, 1.0, {})
    for other in (seed, half):
        # Another search, of the same thing.
        assert 0.3 < other["iou"] < 1.0
        for measure, difference in other["minus_float32"].items():
            assert difference["mean"] == pytest.approx(other[measure] - first[measure], abs=1e-6)
            assert difference["images"] == 2
