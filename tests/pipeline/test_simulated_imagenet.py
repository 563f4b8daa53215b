"""As many classes and photographs as ImageNet's validation set, with a tiny network: masks and summaries, end to end.

    pytest tests/pipeline/test_simulated_imagenet.py -m slow -s

prints the throughput and what a part costs outside its work.
"""

import io
import itertools
import json
import tarfile
import time

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from vissum_jax.pipeline import RunConfig, mask_stage, start_run, summary_stage
from vissum_jax.pipeline import stages as stages_module
from vissum_jax.pipeline.progress import Silent
from vissum_jax.pipeline.status import run_status
from vissum_jax.runs.engine import finish_parts
from vissum_jax.types import Classifier, ClassifierSpec, Outputs

SIDE = 32
LEVELS = 10  # of each colour channel: a class a colour
CLASSES = LEVELS**3
MODEL = "test_simulated_imagenet:make_classifier"
OVERHEAD = 0.05
"""Most that a part may cost outside its work, by the whole."""

OVERRIDES = {
    "masks": {"steps": 4, "first_bisections": 1, "last_bisections": 1},
    "proposals": {"mode": "fast", "min_side": 8, "max_proposals": 20},
}


def colour(class_index: int) -> np.ndarray:
    """The colour of a class, in [0, 1]."""
    digits = [class_index // LEVELS**2, class_index // LEVELS % LEVELS, class_index % LEVELS]
    return (np.array(digits) + 0.5) / LEVELS


def answer(params, images) -> Outputs:
    """Scores: how near the centre's mean colour is to each class's."""
    centre = images[:, SIDE // 4 : -SIDE // 4, SIDE // 4 : -SIDE // 4].mean(axis=(1, 2))
    distance = ((centre[:, None, :] - params["colours"][None]) ** 2).sum(axis=-1)
    return Outputs(logits=-params["gain"] * distance, endpoints={"features": centre})


def make_classifier() -> Classifier:
    """A network of a thousand classes and no layers."""
    spec = ClassifierSpec(
        name="colours",
        input_height=SIDE,
        input_width=SIDE,
        resize_short_side=SIDE,
        class_names=tuple(f"colour {index:03d}" for index in range(CLASSES)),
        feature_endpoint="features",
    )
    colours = jnp.asarray(np.stack([colour(index) for index in range(CLASSES)]), jnp.float32)
    return Classifier(params={"colours": colours, "gain": jnp.float32(2000.0)}, apply=answer, spec=spec)


def photograph(class_index: int, seed: int) -> bytes:
    """A square of the class's colour on noise."""
    random = np.random.default_rng([class_index, seed])
    image = random.normal(128, 30, (SIDE, SIDE, 3))
    image[SIDE // 4 : -SIDE // 4, SIDE // 4 : -SIDE // 4] = 255 * colour(class_index) + random.normal(0, 2, 3)
    buffer = io.BytesIO()
    Image.fromarray(np.clip(np.rint(image), 0, 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def write_shards(place, classes: int, each: int, shard: int = 5000) -> str:
    """Tar files of so many photographs of each class, in random order as data sets for training have it."""
    order = np.random.default_rng(0).permutation(classes * each)
    for number, start in enumerate(range(0, len(order), shard)):
        with tarfile.open(place / f"part-{number:04d}.tar", "w") as tar:
            for item in order[start : start + shard]:
                class_index, seed = divmod(int(item), each)
                for ending, data in (("png", photograph(class_index, seed)), ("cls", str(class_index).encode())):
                    member = tarfile.TarInfo(f"{item:06d}.{ending}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
    return f"webdataset:{place}/part-*.tar"


class Clock:
    """Adds up what the work of all parts of a stage takes."""

    def __init__(self):
        self.inside = 0.0

    def __call__(self, stage, store, numbers, work, *arguments, **options):
        def timed(number):
            began = time.perf_counter()
            try:
                return work(number)
            finally:
                self.inside += time.perf_counter() - began

        return finish_parts(stage, store, numbers, timed, *arguments, **options)


def run_through(tmp_path, monkeypatch, capsys, *, classes: int, each: int, shard_size: int) -> dict:
    """A run from tar files to summaries; gives and prints what each stage took."""
    images = write_shards(tmp_path, classes, each)
    began = time.perf_counter()
    config = RunConfig(images=images, model=MODEL, keep_mispredicted=True, overrides=OVERRIDES)
    run = start_run(config, tmp_path / "run", shard_size=shard_size)
    found = {"images": classes * each, "classes": classes, "open_seconds": round(time.perf_counter() - began, 2)}
    for stage, work in (("masks", mask_stage), ("summaries", summary_stage)):
        clock = Clock()
        monkeypatch.setattr(stages_module, "finish_parts", clock)
        began = time.perf_counter()
        tally = work(run, Silent(), batch_size=min(shard_size, 64))  # told, so that none is tried out
        seconds = time.perf_counter() - began
        assert tally.left == 0
        outside = seconds - clock.inside
        found[stage] = {
            "parts": tally.parts,
            "seconds": round(seconds, 2),
            "images_per_second": round(classes * each / seconds, 1),
            "overhead_share": round(outside / seconds, 4),
            "overhead_ms_per_part": round(1000 * outside / tally.parts, 2),
        }
    began = time.perf_counter()
    status = run_status(run.folder)
    found["status_seconds"] = round(time.perf_counter() - began, 2)
    assert status.done == classes * each
    assert status.failed == ()
    assert [stage.done for stage in status.stages] == [-(-classes * each // shard_size), classes]
    names = [image for image, _, _ in run.manifest.entries]
    rows = run.mask_rows()["image"].to_pylist()
    assert rows == names, "every photograph once, in the manifest's order"
    with capsys.disabled():
        print(f"\nsimulated ImageNet: {json.dumps(found)}")
    return found


def test_a_small_part_of_the_simulated_imagenet_runs_through(tmp_path, monkeypatch, capsys):
    run_through(tmp_path, monkeypatch, capsys, classes=20, each=5, shard_size=32)


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
def test_the_simulated_imagenet_runs_through_with_little_overhead(tmp_path, monkeypatch, capsys):
    found = run_through(tmp_path, monkeypatch, capsys, classes=1000, each=50, shard_size=256)
    assert found["images"] == 50_000
    for stage, other in itertools.product(("masks", "summaries"), ("overhead_share",)):
        assert found[stage][other] < OVERHEAD, (stage, found[stage])
