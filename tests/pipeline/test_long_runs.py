"""Many photographs, some of them broken in every way; many parts in one process."""

import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import toys
from PIL import Image

from vissum_jax.pipeline import RunConfig, mask_stage, outcome, start_run, summary_stage
from vissum_jax.pipeline.progress import Silent
from vissum_jax.pipeline.status import run_status

STATM = Path("/proc/self/statm")
DESCRIPTORS = Path("/proc/self/fd")


def empty(path):
    path.write_bytes(b"")


def text(path):
    path.write_text("this is no picture")


def web_page(path):
    path.write_bytes(b"<!DOCTYPE html><title>404 Not Found</title>")


def truncated_jpeg(path):
    Image.fromarray(toys.photograph(0, 0)).save(path, "JPEG")
    os.truncate(path, path.stat().st_size // 2)


def truncated_png(path):
    Image.fromarray(toys.photograph(0, 0)).save(path, "PNG")
    os.truncate(path, path.stat().st_size // 2)


def noise_after_the_header(path):
    path.write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + np.random.default_rng(0).bytes(500))


def one_pixel(path):
    Image.new("RGB", (1, 1)).save(path, "PNG")


def too_many_pixels(path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 200_000, 200_000, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))


def dead_link(path):
    path.symlink_to("nowhere.png")


def pipe(path):
    os.mkfifo(path)


WAYS = {
    empty: "the file is empty",
    text: "not a picture of a known kind",
    web_page: "not a picture of a known kind",
    truncated_jpeg: "truncated",
    truncated_png: "truncated",
    noise_after_the_header: "not a picture of a known kind",
    one_pixel: "1 x 1 pixels",
    too_many_pixels: "too many pixels",
    dead_link: "no such file",
    pipe: "not a regular file",
}


def write_broken(photos: Path, counts: dict[int, int], broken: int) -> dict[str, str]:
    """Breaks every n-th photograph of the first class; gives what is wrong with each."""
    folder = photos / toys.CLASSES[0].replace(" ", "_")
    ways, wrong = list(WAYS.items()), {}
    for number in range(broken):
        path = folder / f"{number * counts[0] // broken}.png"
        path.unlink()
        way, reason = ways[number % len(ways)]
        way(path)
        wrong[f"{folder.name}/{path.name}"] = reason
    return wrong


def assert_every_good_one_is_done_and_every_bad_one_has_its_reason(tmp_path, counts, broken, shard_size):
    photos = toys.write_photographs(tmp_path / "photos", counts)
    wrong = write_broken(photos, counts, broken)
    run = start_run(
        RunConfig(images=str(photos), model=toys.MODEL, overrides=toys.overrides()),
        tmp_path / "run",
        shard_size=shard_size,
    )
    mask_stage(run, Silent())
    rows = {row["image"]: row for row in run.mask_rows().to_pylist()}
    assert len(rows) == sum(counts.values())
    for image, reason in wrong.items():
        assert rows[image]["status"] == "unreadable", image
        assert reason in rows[image]["reason"].lower(), image
        assert rows[image]["rle"] is None
    good = [row for image, row in rows.items() if image not in wrong]
    assert {row["status"] for row in good} <= {"ok", "infeasible"}
    assert sum(row["status"] == "ok" for row in good) >= 0.95 * len(good)
    assert all(row["rle"] is not None for row in good)
    status = run_status(run.folder)
    assert {image for image, _ in status.failed} == set(wrong)
    return run


def test_of_a_hundred_photographs_every_good_one_is_done_and_every_bad_one_has_its_reason(tmp_path):
    assert_every_good_one_is_done_and_every_bad_one_has_its_reason(tmp_path, {0: 60, 1: 40}, 10, 32)


@pytest.mark.slow
def test_of_two_thousand_photographs_every_good_one_is_done_and_every_bad_one_has_its_reason(tmp_path):
    run = assert_every_good_one_is_done_and_every_bad_one_has_its_reason(tmp_path, {0: 1000, 1: 1000}, 100, 64)
    assert len(run.manifest.shards) == 32


FIFTY_PARTS = """
import sys
from pathlib import Path
import test_long_runs
test_long_runs.fifty_parts(Path(sys.argv[1]))
"""


def fifty_parts(place: Path) -> None:
    """Work through fifty parts; print the resident pages and the open files before each and at the end."""
    photos = toys.write_photographs(place / "photos", {0: 100, 1: 100})
    run = start_run(
        RunConfig(images=str(photos), model=toys.MODEL, overrides=toys.overrides()), place / "run", shard_size=4
    )
    seen = []

    def look():
        seen.append((int(STATM.read_text().split()[1]), len(list(DESCRIPTORS.iterdir()))))
        return False

    mask_stage(run, Silent(), stop=look)  # asked once before all parts and once before each
    look()
    print(json.dumps(seen[1:]))


@pytest.mark.slow
@pytest.mark.skipif(not STATM.exists(), reason="needs /proc to see memory and open files")
def test_memory_and_open_files_stay_flat_over_fifty_parts(tmp_path):
    paths = [str(Path(__file__).parent), str(Path(toys.__file__).parent), str(Path(toys.__file__).parents[1])]
    # One arena: glibc else keeps freed buffers for each thread that happened to have one, which is no leak.
    answer = subprocess.run(
        [sys.executable, "-c", FIFTY_PARTS, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "JAX_PLATFORMS": "cpu", "MALLOC_ARENA_MAX": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    memory, files = zip(*json.loads(answer.stdout), strict=True)
    assert len(memory) == 51
    assert max(memory[3:]) <= 1.05 * memory[3]
    assert len(set(files[3:])) == 1
    status = run_status(tmp_path / "run")
    assert [result.statuses for result in status.classes] == [{"ok": 100}, {"ok": 100}]


@pytest.mark.slow
def test_summaries_do_not_depend_on_which_parts_hold_a_classs_masks(tmp_path):
    counts = {0: 7, 1: 8, 2: 6}
    photos = toys.write_photographs(tmp_path / "photos", counts)
    found = []
    for shard_size in (2, 100):
        run = start_run(
            RunConfig(images=str(photos), model=toys.MODEL, overrides=toys.overrides()),
            tmp_path / f"run-{shard_size}",
            shard_size=shard_size,
        )
        mask_stage(run, Silent(), batch_size=1)
        summary_stage(run, Silent())
        found.append([run.summaries.read(index).to_pylist() for index in counts])
        assert outcome(run).failed == ()
    assert found[0] == found[1]
