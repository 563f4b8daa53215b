"""Rendered flowers, and features of the bundled network chosen for two of their classes by hand."""

import numpy as np
from PIL import Image

from vissum_jax.data.an8flower import FlowerConfig, flower_classes, render_flower
from vissum_jax.interpretation.responses import response_columns
from vissum_jax.interpretation.selection import FeatureSelection
from vissum_jax.models import load_classifier
from vissum_jax.runs.manifest import Manifest

FLOWERS = flower_classes("demo")


def write_flowers(root):
    """Two flowers of the first class, one of the second, one of the fourth among those of the second, a broken file."""
    for folder, own, number in ((0, 0, 0), (0, 0, 1), (1, 1, 0), (1, 3, 1)):
        flower = render_flower(FLOWERS[own], 700 + number, FlowerConfig(size=112))
        path = root / FLOWERS[folder].name / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(flower.image).save(path)
    (root / FLOWERS[1].name / "broken.png").write_text("no picture")
    return root


def write_features(folder, *, sha256=None, mu=10.0):
    """Like a folder of `vissum features select`.

    All last filters speak for the first class; for the second every other one does, the rest against it. Those of
    `stage_0` speak for both, a little.
    """
    classifier = load_classifier("flowernet")
    columns = response_columns(classifier)
    weights = np.zeros((len(columns), 2))
    weights[columns.of_layer("stage_2")] = np.tile([[1.0, -1.0], [1.0, 1.0]], (64, 1))
    weights[columns.of_layer("stage_0")] = 0.1
    folder.mkdir(exist_ok=True)
    FeatureSelection(
        model="flowernet",
        columns=columns,
        weights=weights,
        class_index=np.array([0, 1]),
        class_names=tuple(flower.name for flower in FLOWERS[:2]),
        mu=mu,
    ).save(folder)
    Manifest(
        configuration={},
        fingerprint="",
        request={},
        model={"name": "flowernet", "weights_sha256": sha256 or classifier.spec.weights_sha256},
        versions={},
        device="",
        entries=(),
        shards=(),
    ).save(folder)
    return folder
