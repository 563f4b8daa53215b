"""A reader's folder: the demo, run with few flowers, and whatever else the pages speak of."""

from __future__ import annotations

import csv
import functools
import io
import json
import re
import shutil
import tarfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import stand_ins
from documentation import ROOT, vissum
from PIL import Image
from stand_ins import CLASSES
from torch_files import pretend_torch, state, write_zip
from toy_runs import summary, write_run

from vissum_jax.data.an8flower import FlowerConfig
from vissum_jax.data.an8flower.dataset import write_dataset
from vissum_jax.models import load_classifier
from vissum_jax.models.architecture import flat_params
from vissum_jax.pipeline import RunConfig, demo

KINDS = ("red_petals", "blue_pot")
"""The flowers of most pages."""
EACH = 4
"""So many of a kind."""


@pytest.fixture(scope="session")
def short_demo():
    """`vissum demo` with few flowers of two kinds, and few steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "IMAGES_PER_CLASS", EACH)
        patch.setattr(demo, "RunConfig", functools.partial(RunConfig, classes=KINDS))
        patch.setattr(demo, "SETTINGS", stand_ins.FEW_STEPS)
        yield


@pytest.fixture(scope="session")
def demo_folder(short_demo, tmp_path_factory):
    """Where ``vissum demo --out demo`` was given, as the tutorial does first of all."""
    place = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert vissum(["demo", "--out", "demo"], patch) == 0
    return place / "demo"


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """Of the networks that are stood in for."""
    return stand_ins.write_weights(tmp_path_factory.mktemp("weights") / "flowers.npz")


@pytest.fixture(scope="session")
def flowers(tmp_path_factory):
    """Rendered flowers of all kinds that the demo's network knows, by kind; twice as many as a run gets."""
    place = tmp_path_factory.mktemp("rendered")
    write_dataset(place, variant=demo.VARIANT, images_per_class=2 * EACH, seed=1, config=FlowerConfig())
    return {path.name: sorted(path.iterdir()) for path in (place / "images").iterdir()}


@pytest.fixture
def folder(demo_folder, weights, tmp_path, monkeypatch):
    """The current folder: the checkout's own files and the demo are in it."""
    for name in ("benchmarks", "configs", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(demo_folder / "run", tmp_path / "demo" / "run")
    (tmp_path / "demo" / "flowers").symlink_to(demo_folder / "flowers")  # photographs stay where the run has them from
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    stand_ins.live_here(monkeypatch, weights)
    return tmp_path


def lay_photographs(place: Path, flowers, kinds=KINDS, numbers=range(EACH)) -> None:
    """A folder of class folders, named as the stand-ins call flowers."""
    for kind in kinds:
        (place / CLASSES[kind][1]).mkdir(parents=True)
        for number in numbers:
            shutil.copy(flowers[kind][number], place / CLASSES[kind][1])


def lay_flowers(place: Path, variant: str, each: int) -> None:
    """What `vissum data an8flower` renders."""
    with pytest.MonkeyPatch.context() as patch:
        command = ["data", "an8flower", str(place), "--variant", variant, "--images-per-class", str(each)]
        assert vissum(command, patch) == 0


def lay_boxes(path: Path, photographs: Path, columns: dict[str, object]) -> None:
    """An annotation, the same for each photograph."""
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", *columns])
        for file in sorted(photographs.rglob("*.png")):
            writer.writerow([file.relative_to(photographs).as_posix(), *columns.values()])


@pytest.fixture
def photographs(folder, flowers):
    """`photos`, as most pages call them; `/shared/photos` are the same."""
    lay_photographs(folder / "photos", flowers)
    (folder / "shared").mkdir()
    (folder / "shared" / "photos").symlink_to(folder / "photos")


@pytest.fixture
def readme(folder, flowers, weights):
    """Photographs, flowers, finished runs, annotations and answers under the README's names; ``images`` in Python."""
    lay_photographs(folder / "PHOTOS", flowers)
    lay_flowers(folder / "FLOWERS", "single-6c", 3)
    lay_boxes(folder / "boxes.csv", folder / "PHOTOS", {"x": 40, "y": 40, "w": 120, "h": 120})
    lay_boxes(folder / "parts.csv", folder / "PHOTOS", {"part": "head", "x": 100, "y": 100})
    for name, first in (("LIST_A", EACH), ("LIST_B", EACH + EACH // 2)):
        lay_photographs(folder / name, flowers, numbers=range(first, first + EACH // 2))
    parts = [summary(number, {row: (30 + 5 * number, 30, 40, 40) for row in range(EACH)}) for number in range(2)]
    classes = [CLASSES[kind][0] for kind in KINDS]
    models = ("resnet50", "efficientnet-lite0", "googlenet-bvlc", "resnet50")
    for name, model in zip(("RUN", "RUN_A", "RUN_B", "RUN_C"), models, strict=True):
        write_run(folder / "PHOTOS", folder / name, dict.fromkeys(classes, parts), model=model)
    with pytest.MonkeyPatch.context() as patch:
        assert vissum(["study", "build", "RUN"], patch) == 0
    lay_answers(folder / "RUN" / "study" / "pages" / "index.html", folder / "ANSWERS")
    shutil.copy(weights, folder / "bvlc_googlenet.npz")
    pictures = [Image.open(path).convert("RGB") for kind in KINDS for path in flowers[kind][:EACH]]
    return {"images": np.stack([np.asarray(picture.resize((112, 112))) for picture in pictures])}


def lay_answers(page: Path, place: Path) -> None:
    """What the page of a study writes: three people's nouns."""
    text = page.read_text(encoding="utf-8")
    study = json.loads(re.search(r'id="study">(.*?)</script>', text, re.DOTALL)[1])
    place.mkdir()
    order = [question["id"] for question in study["questions"]]
    for person in ("ann", "bob", "cem"):
        answers = {question: {"nouns": ["petal"], "no_idea": False} for question in order}
        known = {name: study[name] for name in ("format", "version", "study")}
        (place / f"{person}.json").write_text(
            json.dumps({**known, "participant": person, "order": order, "answers": answers})
        )


@pytest.fixture
def imagenet_files(folder, flowers, monkeypatch):
    """The validation photographs as image-net.org gives them: two, and TensorFlow Datasets looks for them here.

    Its builder opens them with TensorFlow's functions, which are Python's for files on this machine; and it wants room
    for all of ImageNet.
    """
    tfds = pytest.importorskip("tensorflow_datasets")
    from tensorflow_datasets.core import utils
    from tensorflow_datasets.core.download import extractor
    from tensorflow_datasets.datasets.imagenet2012 import imagenet2012_dataset_builder, imagenet_common

    manual = folder / "tensorflow_datasets" / "downloads" / "manual"
    manual.mkdir(parents=True)
    with tarfile.open(manual / "ILSVRC2012_img_val.tar", "w") as tar:
        for number, kind in enumerate(("red_leaves", "yellow_pot"), start=1):
            Image.open(flowers[kind][0]).convert("RGB").save(folder / "flower.jpg", quality=95)
            tar.add(folder / "flower.jpg", arcname=f"ILSVRC2012_val_{number:08d}.JPEG")
    files = SimpleNamespace(exists=lambda path: Path(path).exists(), GFile=io.open)
    for module in (imagenet2012_dataset_builder, imagenet_common, extractor):
        monkeypatch.setattr(module, "tf", SimpleNamespace(io=SimpleNamespace(gfile=files)))
    monkeypatch.setattr(utils, "has_sufficient_disk_space", lambda *arguments, **options: True)
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(folder / "tensorflow_datasets"))


@pytest.fixture
def imagenet(imagenet_files):
    """ImageNet, prepared as docs/batch.md says."""
    import tensorflow_datasets as tfds

    tfds.builder("imagenet2012", file_format="array_record").download_and_prepare()


@pytest.fixture
def clustered(photographs, imagenet, object_server):
    """Photographs, ImageNet, and a bucket called ``bucket``."""


@pytest.fixture
def own_network(folder, flowers):
    """Weights of a flower network in PyTorch's format, and names of its classes; flowers in reddish and bluish light.

    The page's other network knows them by the light.
    """
    classifier = load_classifier("flowernet")
    arrays = {name: np.asarray(array) for name, array in flat_params(classifier.params).items()}
    with pytest.MonkeyPatch.context() as patch:
        write_zip(folder / "mine.pth", state(pretend_torch(patch), arrays), arrays)
    lights = {"red_petals": "red", "blue_pot": "blue"}
    (folder / "classes.txt").write_text("".join(f"{lights.get(name, name)}\n" for name in classifier.spec.class_names))
    for kind, colour in lights.items():
        (folder / "photos" / colour).mkdir(parents=True)
        light = 25 * np.eye(3, dtype=int)[["red", "green", "blue"].index(colour)]
        for path in flowers[kind][:EACH]:
            picture = np.asarray(Image.open(path).convert("RGB")) + light
            Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(folder / "photos" / colour / path.name)


@pytest.fixture
def interpreted(photographs, folder):
    """Flowers, and a run of photographs."""
    lay_flowers(folder / "FLOWERS", "single-6c", EACH)
    write_run(folder / "photos", folder / "runs" / "photos", {}, model="efficientnet-lite0")


@pytest.fixture
def splits(folder, flowers, weights):
    """The photographs that the lists of `benchmarks/splits` name, each of its own content, and a network's weights.

    A folder's flowers are all of one kind, and `labels.csv` says that the folder stands for its class.
    """
    kinds = ("red_petals", "blue_pot", "blue_core", "yellow_core")
    rows = ["folder,imagenet_index"]
    names = {name for path in (ROOT / "benchmarks/splits/accuracy").glob("*.txt") for name in listed(path)}
    for number, name in enumerate(sorted({name.split("/")[0] for name in names})):
        kind = kinds[number % len(kinds)]
        rows.append(f"{name},{CLASSES[kind][0]}")
        lay_unlike(folder / "IMAGES", [each for each in sorted(names) if each.startswith(f"{name}/")], flowers[kind])
    (folder / "IMAGES" / "labels.csv").write_text("".join(f"{row}\n" for row in rows))
    others = [name for path in (ROOT / "benchmarks/splits/others").glob("*.txt") for name in listed(path)]
    lay_unlike(folder / "ONE_PER_CLASS", others, flowers["yellow_pot"])
    shutil.copy(weights, folder / "bvlc_googlenet.npz")


def listed(path: Path) -> list[str]:
    """The names of a list."""
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]


def lay_unlike(root: Path, names: list[str], pictures: list[Path]) -> None:
    """Pictures under names; no two files have the same bytes: what follows a picture in its file is not looked at."""
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pictures[number % len(pictures)].read_bytes() + name.encode())
