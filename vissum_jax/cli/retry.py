"""``vissum retry``: once more for the photographs on which the work failed."""

from __future__ import annotations

import dataclasses
import time
from typing import Annotated

from vissum_jax.cli.errors import check_batch_size, running, user_mistakes
from vissum_jax.cli.options import Flag, RunPlace, optional
from vissum_jax.cli.progress import make_progress
from vissum_jax.cli.run import finish
from vissum_jax.cli.stopping import stopping


def retry(run: RunPlace, /, *, batch_size: Annotated[int | None, optional("N")] = None, json: Flag = False) -> int:
    """Try the photographs again that could not be read or broke the network, and no others; then finish the run.

    Put a photograph right in its place first. Summaries of the classes that gain one are found again, and the report
    is written. For instance:
      vissum retry runs/photos

    Args:
        run: Folder of the run.
        batch_size: Images searched at once; by default what suits the device.
        json: Print one JSON object.
    """
    began = time.perf_counter()
    with stopping() as stop:
        with user_mistakes():
            from vissum_jax import pipeline
            from vissum_jax.pipeline.retry import retry_stage

            check_batch_size(batch_size)
            opened = pipeline.open_run(run)
        with running():
            retried = retry_stage(opened, make_progress(), batch_size=batch_size, stop=stop)
        if not json:
            print(f"{retried.recovered} of {retried.images} failed image(s) recovered")
        facts = {"retried": dataclasses.asdict(retried)}
        return finish(opened, batch_size=batch_size, json=json, began=began, stop=stop, facts=facts)
