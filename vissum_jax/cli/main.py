"""The ``vissum`` command."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import tyro

from vissum_jax.cli.bench import bench
from vissum_jax.cli.class_model import class_model
from vissum_jax.cli.compare import compare
from vissum_jax.cli.data import data
from vissum_jax.cli.demo import demo
from vissum_jax.cli.errors import FAILED
from vissum_jax.cli.evaluate import evaluate
from vissum_jax.cli.export import export
from vissum_jax.cli.features import features
from vissum_jax.cli.localize import localize
from vissum_jax.cli.models import models
from vissum_jax.cli.retry import retry
from vissum_jax.cli.run import run
from vissum_jax.cli.saliency import saliency
from vissum_jax.cli.split import split
from vissum_jax.cli.stages import masks, report, summarize
from vissum_jax.cli.status import status
from vissum_jax.cli.study import study
from vissum_jax.cli.worker import worker

COMMANDS = {
    "demo": demo,
    "run": run,
    "status": status,
    "retry": retry,
    "worker": worker,
    "masks": masks,
    "summarize": summarize,
    "report": report,
    "evaluate": evaluate,
    "compare": compare,
    "export": export,
    "features": features,
    "study": study,
    "split": split,
    "saliency": saliency,
    "class-model": class_model,
    "localize": localize,
    "models": models,
    "bench": bench,
    "data": data,
}


def use_compilation_cache() -> None:
    """Keep compiled programs in the user's cache folder, unless JAX was told where else or told not to."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "vissum" / "xla"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache))


def main() -> None:
    """Run the command line."""
    sys.path.append(os.getcwd())  # where a network of one's own is looked for: --model my_package.my_module:function
    use_compilation_cache()
    try:
        try:
            code = tyro.extras.subcommand_cli_from_dict(
                COMMANDS,
                prog="vissum",
                description="Which visual parts does an image classifier rely on, and how do we know?",
            )
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads has enough, as `head` does; what is left to write must not fail again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FAILED
    raise SystemExit(code)
