"""``vissum demo``: the whole job on rendered flowers, scored against the rendered truth."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from vissum_jax.cli.errors import DONE, running, user_mistakes
from vissum_jax.cli.options import Flag, optional
from vissum_jax.cli.output import print_json, print_outcome
from vissum_jax.cli.progress import make_progress


def demo(*, out: Annotated[Path, optional("DIR")] = Path("vissum-demo"), json: Flag = False) -> int:
    """Explain a small bundled classifier of rendered flowers and score the summaries against the truth.

    Needs no data and no network. The classes differ in one coloured part each (red petals, a blue pot, ...), so
    it is known which part a good explanation must find.

    For instance:
      vissum demo --out demo

    Args:
        out: Folder for the flowers, the run and its report; it is made, or continued. vissum-demo by default.
        json: Print one JSON object instead of text.
    """
    began = time.perf_counter()
    with user_mistakes():
        from vissum_jax.pipeline.demo import explain_flowers, render_flowers, start_demo

        progress = make_progress()
        render_flowers(out, progress)
        started = start_demo(out)
    with running():
        result = explain_flowers(started, out, progress)
    seconds = round(time.perf_counter() - began, 1)
    if json:
        print_json({**result.plain(), "seconds": seconds})
        return DONE
    print_outcome(result.outcome)
    parts = result.parts
    print(
        f"\nThe summaries against the rendered truth ({parts.members} parts in {parts.summaries} summaries):\n"
        f"  part purity          {parts.purity:.3f}   with shuffled labels {parts.shuffled_purity:.3f}\n"
        f"  the class's own part {result.own_part_share:.3f}   of all parts shown\n"
        f"\nReport: {result.report}\nDone in {seconds:.0f} s."
    )
    return DONE
