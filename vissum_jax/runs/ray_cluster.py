"""Several workers on a Ray cluster: actors that Ray places on nodes with a free accelerator, and starts again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

SECONDS_BETWEEN_LOOKS = 0.5
RESTARTS = 3
"""Times that Ray starts a worker again whose process or node died."""

_GRACE = 30.0  # seconds for the others to notice that all is done


class _Worker:
    """What runs on a node: works in one thread, hears in another whether to stop."""

    def __init__(self) -> None:
        self._asked = False

    def work(self, target: Callable[..., int], arguments: tuple) -> int:
        return target(*arguments, lambda: self._asked)

    def ask_to_stop(self) -> None:
        self._asked = True


def run_on_ray(
    target: Callable[..., int],
    arguments: tuple,
    *,
    workers: int | None,
    address: str | None,
    stop: Callable[[], bool],
    watch: Callable[[], object],
) -> list[str]:
    """Run workers on a Ray cluster until all have ended, or one has found nothing left to do.

    Each worker gets a GPU of the cluster, or where it has none a processor. One whose node dies is started again on
    another, as far as there is room; what it held is free for all meanwhile.

    Args:
        target: A module's function that can be imported on all nodes; gets `arguments` and a function that tells
            whether to stop, and returns 0 once nothing is left.
        arguments: For every worker the same.
        workers: Number of workers; None for one for each GPU of the cluster, or one.
        address: The cluster's; None for the one that RAY_ADDRESS names, or else a new one on this machine.
        stop: Whether workers are to finish what they hold and end.
        watch: Called every now and then.

    Returns:
        What went wrong with each worker; empty where nothing did.

    Raises:
        ModuleNotFoundError: Ray is not installed.
        ConnectionError: There is no cluster at the address.
        ChildProcessError: The cluster has no room for a single worker.
    """
    import ray  # of the [ray] extra  # pyright: ignore[reportMissingImports]

    ours = not ray.is_initialized()
    if ours:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    try:
        there = ray.cluster_resources()
        kind = "GPU" if there.get("GPU") else "CPU"
        if there.get(kind, 0) < 1:
            raise ChildProcessError(f"the Ray cluster has no {kind} for a worker")
        count = workers or (int(there["GPU"]) if kind == "GPU" else 1)
        actor: Any = ray.remote(_Worker).options(
            num_gpus=1 if kind == "GPU" else 0,
            num_cpus=0 if kind == "GPU" else 1,
            max_concurrency=2,
            max_restarts=RESTARTS,
            max_task_retries=RESTARTS,
            scheduling_strategy="SPREAD",
        )
        crew = [actor.remote() for _ in range(count)]
        return _until_done(ray, crew, [each.work.remote(target, arguments) for each in crew], stop, watch)
    finally:
        if ours:
            ray.shutdown()


def _until_done(
    ray: Any, crew: list, results: list, stop: Callable[[], bool], watch: Callable[[], object]
) -> list[str]:
    wrong = [""] * len(crew)
    pending = dict(zip(results, range(len(crew)), strict=True))
    told, end = False, float("inf")
    while pending and time.monotonic() < end:
        if stop() and not told:
            for number in pending.values():
                crew[number].ask_to_stop.remote()
            told, end = True, float("inf")
        ended, _ = ray.wait(list(pending), num_returns=len(pending), timeout=SECONDS_BETWEEN_LOOKS)
        for result in ended:
            number = pending.pop(result)
            try:
                ray.get(result)
                # Nothing is left. A worker that still waits for room on a node would wait for nothing.
                end = min(end, time.monotonic() + _GRACE)
            except ray.exceptions.RayError as error:
                wrong[number] = " ".join(str(error).split("\n")[-1].split()) or type(error).__name__
        watch()
    for each in crew:
        ray.kill(each)
    return wrong
