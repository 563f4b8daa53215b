"""Several workers on this machine: processes that divide its devices among them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import Any, TypeVar

T = TypeVar("T")

# A process begun afresh: JAX's threads and devices do not survive a fork.
_CONTEXT = multiprocessing.get_context("spawn")
_SECONDS_BETWEEN_LOOKS = 0.5
RESTARTS = 3
"""Times that a worker that died is started again."""


@dataclass(frozen=True)
class DeviceGroup:
    """The part of a machine that a worker gets.

    Attributes:
        environment: Variables that show the worker its accelerators and no others.
        cores: Processor cores that it keeps to; none for all of them.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    cores: tuple[int, ...] = ()


def divide(workers: int, *, platform: str, devices: int) -> list[DeviceGroup]:
    """Divide this machine's devices into equal groups, a group a worker; what is over stays unused.

    Groups are equal because results can depend on the number of cores (see docs/batch.md).

    Args:
        workers: Number of groups.
        platform: What JAX computes on: cpu, gpu or tpu.
        devices: Number of devices of this platform.

    Raises:
        ValueError: There are fewer devices than groups, or the platform's devices cannot be divided.
    """
    if workers < 1:
        raise ValueError(f"`workers` must be at least 1, got {workers}.")
    if workers == 1:
        return [DeviceGroup()]
    if platform == "cpu":
        can_pin = hasattr(os, "sched_getaffinity")  # not on macOS, where workers share all cores
        cores = sorted(os.sched_getaffinity(0)) if can_pin else list(range(os.cpu_count() or 1))
        groups = _equal_groups(cores, workers, "processor cores")
        return [DeviceGroup(cores=tuple(group) if can_pin else ()) for group in groups]
    if platform == "gpu":
        shown = os.environ.get("CUDA_VISIBLE_DEVICES")
        names = shown.split(",") if shown else [str(number) for number in range(devices)]
        groups = _equal_groups(names[:devices], workers, "GPUs")
        return [DeviceGroup(environment={"CUDA_VISIBLE_DEVICES": ",".join(group)}) for group in groups]
    raise ValueError(f"`workers` must be 1 on a {platform}, whose devices belong to one process, got {workers}.")


def _equal_groups(devices: list[T], count: int, what: str) -> list[list[T]]:
    size = len(devices) // count
    if not size:
        raise ValueError(f"`workers` must be at most {len(devices)}, the number of {what}, got {count}.")
    return [devices[number * size : (number + 1) * size] for number in range(count)]


def apart(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function in a process of its own, so that this one holds on to no device.

    Raises:
        ChildProcessError: The process died; what the function raises is raised here too.
    """
    try:
        with ProcessPoolExecutor(1, mp_context=_CONTEXT) as pool:
            return pool.submit(function, *arguments).result()
    except BrokenProcessPool as error:
        raise ChildProcessError(f"the process that prepares the run died: {error}") from error


def run_workers(
    target: Callable[..., int],
    arguments: tuple,
    groups: list[DeviceGroup],
    *,
    stop: Callable[[], bool],
    watch: Callable[[], object],
    on_restart: Callable[[int, int], object] = lambda worker, code: None,
) -> list[int]:
    """Run a worker in each group until all have ended.

    A worker that dies is started again, at most `RESTARTS` times; the others take over what it held meanwhile. One that
    ends by itself with an exit code said why, and would do so again.

    Args:
        target: A module's function; its result becomes the process's exit code. It gets SIGTERM when it is to stop,
            and looks at `has_parent` itself.
        arguments: For every worker the same.
        groups: One a worker.
        stop: Whether workers are to finish what they hold and end.
        watch: Called every now and then.
        on_restart: Called with the number and the exit code of a worker that died and is started again.

    Returns:
        Exit codes; minus the signal's number for a worker that was killed.
    """

    def start(group: DeviceGroup) -> Any:
        process = _CONTEXT.Process(target=_work, args=(group, target, arguments))
        with _break_ignored():
            process.start()
        return process

    restarts = [0] * len(groups)
    processes: list[Any] = []
    told = False
    try:
        for group in groups:
            processes.append(start(group))
        while True:
            codes = [process.exitcode for process in processes]  # None while one lives
            died = [number for number, code in enumerate(codes) if code is not None and code < 0]
            again = [] if stop() else [number for number in died if restarts[number] < RESTARTS]
            if None not in codes and not again:
                break
            for number in again:
                restarts[number] += 1
                on_restart(number, codes[number] or 0)
                processes[number] = start(groups[number])
            if stop() and not told:
                for process in processes:
                    process.terminate()  # which one that has ended does not mind
                told = True
            watch()
            wait([process.sentinel for process in processes if process.is_alive()], timeout=_SECONDS_BETWEEN_LOOKS)
    finally:
        # Only a break or an error finds any of them alive; what they held is free once they are gone.
        for process in processes:
            if process.is_alive():
                process.kill()
                process.join()
    return [process.exitcode or 0 for process in processes]


def has_parent() -> bool:
    """Whether the process that started this worker is there still; True for one that nobody started."""
    parent = multiprocessing.parent_process()
    return parent is None or parent.is_alive()


@contextmanager
def _break_ignored() -> Iterator[None]:
    """Processes started meanwhile do not hear the terminal's break: this one ends them."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _work(group: DeviceGroup, target: Callable[..., int], arguments: tuple) -> None:
    os.environ.update(group.environment)
    if group.cores:
        os.sched_setaffinity(0, group.cores)
    sys.exit(target(*arguments))
