"""Schedulers of clusters, stood in for on this machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

# `srun` and `ssh --command` run what they are given; `vissum` writes down its arguments and its environment.
_TOOLS = {
    "srun": 'exec "$@"',
    "gcloud": 'while [ "$1" != --command ]; do shift; done; exec bash -c "$2"',
    "vissum": 'printf "%s\\0" "$@" > "$CALL"; env > "$CALL.env"',
}
SLURM = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3", "SLURM_JOB_ID": "10", "SLURM_CPUS_PER_TASK": "8"}
"""What Slurm tells a task of an array."""


def called_by(script: Path, folder: Path, variables: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Run a scheduler's script.

    Args:
        script: The script.
        folder: Where it runs, and where the tools are written.
        variables: Its environment.

    Returns:
        What ``vissum`` was called with, and its environment.

    Raises:
        AssertionError: The script failed.
    """
    tools, call = folder / "bin", folder / "call"
    tools.mkdir(exist_ok=True)
    for name, body in _TOOLS.items():
        (tools / name).write_text(f"#!/bin/bash\n{body}\n")
        (tools / name).chmod(0o755)
    answer = subprocess.run(
        ["bash", str(script)],
        env={"PATH": f"{tools}:{os.environ['PATH']}", "CALL": str(call), **variables},
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    lines = Path(f"{call}.env").read_text().splitlines()
    return call.read_text().split("\0")[:-1], dict(line.split("=", 1) for line in lines if "=" in line)
