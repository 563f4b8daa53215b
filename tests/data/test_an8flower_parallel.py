import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vissum_jax.data.an8flower import FlowerConfig, flower_classes, parallel
from vissum_jax.data.an8flower.annotated import FlowerImage
from vissum_jax.data.an8flower.parallel import write_all

CONFIG = FlowerConfig(size=24)


def images(count):
    flower_class = flower_classes("part-2c")[0]
    return [FlowerImage(flower_class=flower_class, class_number=0, number=number, seed=0) for number in range(count)]


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def test_annotations_come_in_the_order_of_the_pictures(tmp_path):
    alone = list(write_all(images(20), tmp_path / "alone", CONFIG, processes=1))
    assert list(write_all(images(20), tmp_path / "two", CONFIG, processes=2)) == alone
    assert len({str(annotations) for annotations in alone}) == 20


def test_a_process_that_dies_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "_end_with_parent", die)
    with pytest.raises(ChildProcessError, match=r"^a process that renders died$"):
        list(write_all(images(2), tmp_path, CONFIG, processes=2))


def test_a_file_that_cannot_be_written_is_reported(tmp_path):
    (tmp_path / "truth").touch()
    with pytest.raises(OSError, match="truth"):
        list(write_all(images(2), tmp_path, CONFIG, processes=2))


def test_what_is_not_asked_for_any_more_is_not_rendered(tmp_path):
    written = write_all(images(4000), tmp_path, CONFIG, processes=2)
    next(written)
    written.close()
    assert not multiprocessing.active_children()
    assert len(list((tmp_path / "images").rglob("*.png"))) < 4000
    assert not list(tmp_path.rglob("*.partial"))


PROGRAM = """
import multiprocessing, sys, time
from pathlib import Path
from test_an8flower_parallel import CONFIG, images
from vissum_jax.data.an8flower.parallel import write_all

if __name__ == "__main__":
    written = write_all(images(100), Path(sys.argv[1]), CONFIG, processes=2)
    next(written)
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    time.sleep(60)
"""


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_processes_end_with_the_one_that_started_them(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(parallel.__file__).parents[3])])
    command = [sys.executable, str(tmp_path / "program.py"), str(tmp_path / "out")]
    with subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        assert parent.stdout is not None
        children = [int(word) for word in parent.stdout.readline().split()]
        assert len(children) == 2
        assert all(map(alive, children))
        parent.kill()
    deadline = time.monotonic() + 30
    while any(map(alive, children)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(alive, children))
