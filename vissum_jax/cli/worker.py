"""``vissum worker``: one of several processes that work on a run; also what ``vissum run --workers`` starts."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from vissum_jax.cli.errors import DONE, check_batch_size, running, user_mistakes
from vissum_jax.cli.options import Flag, RunPlace, optional
from vissum_jax.cli.output import print_json
from vissum_jax.cli.progress import make_progress
from vissum_jax.cli.stopping import Stop, stopping
from vissum_jax.runs.local import DeviceGroup, has_parent, run_workers

if TYPE_CHECKING:
    from vissum_jax.pipeline.worker import Left


def worker(run: RunPlace, /, *, batch_size: Annotated[int | None, optional("N")] = None, json: Flag = False) -> int:
    """Work on a run that was started before, beside any other workers, until all masks and summaries are done.

    Start one for each accelerator, on every host that sees RUN and the photographs under the same paths. For instance:
      vissum worker runs/photos

    SIGTERM lets it finish what it is at; then it says what is left and exits with 0. Write the report with
    `vissum report RUN`, or give the command that started the run again.

    Args:
        run: Folder of the run.
        batch_size: Images on the device at once; by default what suits it.
        json: Print one JSON object.
    """
    with stopping() as stop:
        with user_mistakes():
            from vissum_jax import pipeline
            from vissum_jax.pipeline.worker import work

            check_batch_size(batch_size)
            opened = pipeline.open_run(run)
        with running():
            left = work(opened, make_progress(), batch_size=batch_size, stop=stop)
    if left:
        return say_left(run, left, json=json)
    if json:
        print_json({"run": run, "stopped": False, "left": left.plain()})
    else:
        print(f"masks and summaries are done: {run}")
    return DONE


def say_left(run: str, left: Left, *, json: bool) -> int:
    """Say what a command that was asked to stop has left of a run."""
    return say_stopped({"run": run, "left": left.plain()}, left.words(), json=json)


def say_stopped(values: Mapping[str, Any], left: str, *, json: bool) -> int:
    """Say that a command stopped as asked, in values or with what is left in words."""
    if json:
        print_json({**values, "stopped": True})
    else:
        print(f"stopped as asked; left: {left}. The same command goes on from there.")
    return DONE


def work_in_groups(run: str, groups: list[DeviceGroup], *, batch_size: int | None, stop: Stop) -> Left:
    """Let a worker in each group of devices work on a run, and show how far they are.

    Returns:
        What is left, if they were asked to stop.

    Raises:
        ChildProcessError: They all died, and left something.
    """
    from vissum_jax.pipeline.worker import Watch
    from vissum_jax.runs.engine import worker_name
    from vissum_jax.runs.place import open_log, open_place

    watch = Watch(run, make_progress())
    log = open_log(open_place(run))

    def started_again(number: int, code: int) -> None:
        print(f"vissum: worker {number} was killed by signal {-code} and is started again", file=sys.stderr)
        log.write("restart", worker_number=number, signal=-code, worker=worker_name())

    codes = run_workers(_serve, (run, batch_size), groups, stop=stop, watch=watch.look, on_restart=started_again)
    left = watch.finish()
    if not stop():
        for number, code in enumerate(codes):
            if code:
                how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
                print(f"vissum: worker {number} of {len(codes)} {how}", file=sys.stderr)
        if left:
            raise ChildProcessError(f"no worker is left, but {left.words()} are")
    return left


def require_ray() -> None:
    """Check that Ray is installed.

    Raises:
        ValueError: It is not.
    """
    if importlib.util.find_spec("ray") is None:
        raise ValueError("--engine ray needs Ray: pip install 'vissum-jax[ray]'.")


def work_on_ray(run: str, workers: int | None, address: str | None, *, batch_size: int | None, stop: Stop) -> Left:
    """Let workers on a Ray cluster work on a run, and show how far they are.

    Returns:
        What is left, if they were asked to stop.

    Raises:
        ChildProcessError: They all failed, and left something.
    """
    from vissum_jax.pipeline.worker import Watch
    from vissum_jax.runs.ray_cluster import run_on_ray

    watch = Watch(run, make_progress())
    wrong = run_on_ray(_serve_on_ray, (run, batch_size), workers=workers, address=address, stop=stop, watch=watch.look)
    left = watch.finish()
    for number, reason in enumerate(wrong):
        if reason:
            print(f"vissum: worker {number} of {len(wrong)} on the cluster: {reason}", file=sys.stderr)
    if left and not stop():
        raise ChildProcessError(f"no worker is left, but {left.words()} are")
    return left


def _serve_on_ray(run: str, batch_size: int | None, asked: Callable[[], bool]) -> int:
    """What an actor that `work_on_ray` starts does."""
    from vissum_jax.pipeline.progress import Silent
    from vissum_jax.pipeline.worker import work_on

    work_on(run, Silent(), batch_size=batch_size, stop=asked)
    return DONE


def _serve(run: str, batch_size: int | None) -> int:
    """What a process that `work_in_groups` starts does."""
    with stopping() as asked, user_mistakes(), running():
        from vissum_jax.pipeline.progress import Silent
        from vissum_jax.pipeline.worker import work_on

        # Without the process that started them, nobody would know of its workers: they end as if asked to.
        work_on(run, Silent(), batch_size=batch_size, stop=lambda: asked() or not has_parent())
    return DONE
