import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vissum_jax.runs import local
from vissum_jax.runs.local import RESTARTS, DeviceGroup, apart, divide, has_parent, run_workers

# Dividing.


@pytest.fixture
def cores(monkeypatch):
    """Lets the machine have so many processor cores."""
    return lambda *numbers: monkeypatch.setattr(
        local.os, "sched_getaffinity", lambda process: set(numbers), raising=False
    )


def test_processor_cores_are_divided_into_equal_groups(cores):
    cores(0, 1, 2, 3, 8, 9, 10)
    groups = divide(3, platform="cpu", devices=1)
    assert [group.cores for group in groups] == [(0, 1), (2, 3), (8, 9)], "equal, so that results are"


def test_one_worker_gets_everything(cores):
    cores(0, 1)
    assert divide(1, platform="cpu", devices=1) == divide(1, platform="tpu", devices=4) == [DeviceGroup()]


def test_gpus_are_divided_into_equal_groups(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    groups = divide(2, platform="gpu", devices=4)
    assert [group.environment for group in groups] == [
        {"CUDA_VISIBLE_DEVICES": "0,1"},
        {"CUDA_VISIBLE_DEVICES": "2,3"},
    ]


def test_gpus_that_were_hidden_stay_hidden(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-8a")
    groups = divide(2, platform="gpu", devices=2)
    assert [group.environment["CUDA_VISIBLE_DEVICES"] for group in groups] == ["5", "GPU-8a"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((0, "cpu", 1), "`workers` must be at least 1, got 0."),
        ((3, "cpu", 1), "`workers` must be at most 2, the number of processor cores, got 3."),
        ((3, "gpu", 2), "`workers` must be at most 2, the number of GPUs, got 3."),
        ((2, "tpu", 4), "`workers` must be 1 on a tpu, whose devices belong to one process, got 2."),
    ],
)
def test_more_workers_than_devices_are_refused(cores, monkeypatch, arguments, complaint):
    cores(0, 1)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    workers, platform, devices = arguments
    with pytest.raises(ValueError) as error:  # noqa: PT011
        divide(workers, platform=platform, devices=devices)
    assert str(error.value) == complaint


# Processes; their functions are found by name.


def tell(folder: Path) -> int:
    """Say which devices there are."""
    told = f"{os.environ.get('CUDA_VISIBLE_DEVICES')} {sorted(os.sched_getaffinity(0))}"
    (folder / str(os.getpid())).write_text(told)
    return 0


def end_in_order(folder: Path) -> int:
    """One ends well, one with an error, one is killed."""
    for number in range(3):
        try:
            (folder / str(number)).touch(exist_ok=False)
        except FileExistsError:
            continue
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return number
    raise AssertionError


def until_told(folder: Path) -> int:
    """Work until told to stop; the break is not heard."""
    told = []
    signal.signal(signal.SIGTERM, lambda *_: told.append(True))
    (folder / "ready").touch()
    os.kill(os.getpid(), signal.SIGINT)
    while not told:
        time.sleep(0.01)
    (folder / "ended").touch()
    return 0


def die(folder: Path) -> int:
    """As if the system had no memory left."""
    (folder / str(os.getpid())).touch()
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def die_twice(folder: Path) -> int:
    """The first two that come die, the others do not."""
    for name in ("first", "second"):
        try:
            (folder / name).touch(exist_ok=False)
        except FileExistsError:
            continue
        os.kill(os.getpid(), signal.SIGKILL)
    return 0


def until_orphaned(folder: Path) -> int:
    """Work until the process that started this one is gone."""
    (folder / "ready").touch()
    while has_parent():
        time.sleep(0.01)
    (folder / "orphaned").touch()
    return 0


def divide_by(number: int) -> float:
    """For `apart`."""
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 0:
        raise ValueError("`number` must not be 0.")
    return os.getpid() / number


def never() -> bool:
    return False


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not pin processes to cores")
def test_a_worker_sees_its_own_devices_alone(tmp_path):
    core = min(os.sched_getaffinity(0))
    groups = [DeviceGroup(environment={"CUDA_VISIBLE_DEVICES": "3"}), DeviceGroup(cores=(core,))]
    assert run_workers(tell, (tmp_path,), groups, stop=never, watch=lambda: None) == [0, 0]
    told = {path.read_text() for path in tmp_path.iterdir()}
    mine = f"{os.environ.get('CUDA_VISIBLE_DEVICES')} [{core}]"
    assert told == {f"3 {sorted(os.sched_getaffinity(0))}", mine}


def test_how_each_worker_ended_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("vissum_jax.runs.local.RESTARTS", 0)
    looks = []
    codes = run_workers(end_in_order, (tmp_path,), [DeviceGroup()] * 3, stop=never, watch=lambda: looks.append(1))
    assert sorted(codes) == [-signal.SIGKILL, 0, 1]
    assert looks


def test_a_worker_that_died_is_started_again_and_that_is_told(tmp_path):
    told = []
    codes = run_workers(
        die_twice,
        (tmp_path,),
        [DeviceGroup()] * 2,
        stop=never,
        watch=lambda: None,
        on_restart=lambda number, code: told.append((number, code)),
    )
    assert codes == [0, 0]
    assert [code for _, code in told] == [-signal.SIGKILL] * 2


def test_a_worker_that_dies_again_and_again_is_given_up(tmp_path):
    told = []
    codes = run_workers(
        die,
        (tmp_path,),
        [DeviceGroup()],
        stop=never,
        watch=lambda: None,
        on_restart=lambda number, code: told.append(number),
    )
    assert codes == [-signal.SIGKILL]
    assert told == [0] * RESTARTS
    assert len(list(tmp_path.iterdir())) == RESTARTS + 1


def test_workers_are_told_to_stop_and_end_in_their_own_time(tmp_path):
    codes = run_workers(until_told, (tmp_path,), [DeviceGroup()], stop=(tmp_path / "ready").exists, watch=lambda: None)
    assert codes == [0]
    assert (tmp_path / "ended").exists()


def test_a_break_ends_all_workers_at_once(tmp_path):
    def interrupt():
        if (tmp_path / "ready").exists():
            raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)  # which a shell that runs this in the background may have switched off
    with pytest.raises(KeyboardInterrupt):
        run_workers(until_told, (tmp_path,), [DeviceGroup()], stop=never, watch=interrupt)
    assert not (tmp_path / "ended").exists()
    assert signal.getsignal(signal.SIGINT) is before


PARENT = """
import sys
from pathlib import Path
import test_local
from vissum_jax.runs.local import DeviceGroup, run_workers
if __name__ == "__main__":
    run_workers(
        test_local.until_orphaned, (Path(sys.argv[1]),), [DeviceGroup()], stop=test_local.never, watch=lambda: None
    )
"""


def test_a_worker_knows_when_the_process_that_started_it_was_killed(tmp_path):
    here = Path(__file__)
    paths = os.pathsep.join([str(here.parent), str(here.parents[2])])
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], env={**os.environ, "PYTHONPATH": paths})
    try:
        wait_for(tmp_path / "ready")
        assert not (tmp_path / "orphaned").exists()
    finally:
        parent.kill()
        parent.wait()
    wait_for(tmp_path / "orphaned")


def wait_for(path):
    end = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < end, path
        time.sleep(0.01)


def test_a_process_that_nobody_started_has_no_parent_to_lose():
    assert has_parent()


def test_a_call_in_a_process_of_its_own_gives_its_result_and_its_errors():
    assert apart(divide_by, 1) != os.getpid()
    with pytest.raises(ValueError, match=r"^`number` must not be 0\.$"):
        apart(divide_by, 0)
    with pytest.raises(ChildProcessError, match="the process that prepares the run died"):
        apart(divide_by, 7)
