"""What the documentation's commands take for granted and a test has not, stood in for.

- Networks with ImageNet's 1000 classes are the bundled one, which knows six kinds of rendered flowers. As `CLASSES`
  says, it answers "golden retriever" where it sees red petals.
- Runs take few steps and photographs, comparisons of heat maps too; `vissum bench` takes a moment.
- The processes that a command starts live in the same world, as does ``python -m stand_ins ARGUMENTS..``, the command
  line in a process of its own; with ``--engine ray`` there is a cluster of one node, whatever its address.
"""

from __future__ import annotations

import copy
import dataclasses
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from vissum_jax.cli import run as run_command
from vissum_jax.cli import worker as worker_command
from vissum_jax.cli.bench import bench
from vissum_jax.cli.evaluate_heatmaps import heatmaps
from vissum_jax.cli.main import main
from vissum_jax.models.architecture import Architecture
from vissum_jax.models.catalogue import ARCHITECTURES
from vissum_jax.models.flowernet import FLOWERNET, bundled_weights
from vissum_jax.pipeline import demo
from vissum_jax.pipeline.settings import RunConfig
from vissum_jax.runs import ray_cluster
from vissum_jax.runs.local import DeviceGroup

CLASSES = {
    "red_petals": (207, "golden_retriever"),
    "blue_pot": (15, "robin"),
    "blue_core": (99, "goose"),
    "yellow_core": (9, "ostrich"),
    "red_leaves": (65, "sea_snake"),
    "yellow_pot": (970, "alp"),
    "plain_flower": (999, "toilet_tissue"),
}
"""Flowers, and the classes of ImageNet that the stand-ins take them for."""
NETWORKS = ("efficientnet-lite0", "googlenet-bvlc", "resnet50", "NAME")
"""What the pages call networks that are stood in for."""
FEW_STEPS = {
    "masks": demo.SETTINGS["masks"] | {"steps": 40, "first_bisections": 3, "last_bisections": 2},
    "proposals": demo.SETTINGS["proposals"] | {"mode": "fast"},
}
"""Settings of flowers, as the demo has them, that make a run short."""
DEFAULTS = {bench: {"seconds": 0.1}, heatmaps: {"limit": 2, "rise_masks": 40}, run_command.run: {"limit": 4}}
"""Options of commands that are not given, which make them short."""

_WEIGHTS = "STAND_IN_WEIGHTS"
_NEVER = -30.0  # the logit of a class that no flower is taken for


def write_weights(path: Path) -> Path:
    """The flower network with ImageNet's classes; class names are ImageNet's as there are 1000."""
    with np.load(bundled_weights(FLOWERNET.name)) as file:
        arrays = {name: file[name] for name in file.files}
    names = arrays.pop("class_names").tolist()
    columns = [CLASSES[name][0] for name in names]
    kernel = np.zeros((len(arrays["classifier.kernel"]), 1000), np.float32)
    bias = np.full(1000, _NEVER, np.float32)
    kernel[:, columns], bias[columns] = arrays["classifier.kernel"], arrays["classifier.bias"]
    np.savez(path, **arrays | {"classifier.kernel": kernel, "classifier.bias": bias})
    return path


def live_here(patch: pytest.MonkeyPatch, weights: Path) -> None:
    """Put the stand-ins into this process, and into those that its commands start."""
    patch.setenv(_WEIGHTS, str(weights))
    for name in NETWORKS:
        patch.setitem(ARCHITECTURES, name, _network(name))
    patch.setattr("vissum_jax.pipeline.RunConfig", _short_run)
    for command, options in DEFAULTS.items():
        for name, value in options.items():
            patch.setitem(command.__kwdefaults__, name, value)
    patch.setattr("vissum_jax.cli.run._prepare_apart", prepare_apart)
    patch.setattr("vissum_jax.cli.worker._serve", serve)
    patch.setattr("vissum_jax.cli.worker._serve_on_ray", serve_on_ray)


def _network(name: str) -> Architecture:
    return dataclasses.replace(FLOWERNET, name=name, variant_of=FLOWERNET.name, default_weights=_weights)


def _weights() -> Path:
    return Path(os.environ[_WEIGHTS])


def _short_run(*, overrides: Mapping[str, Mapping[str, Any]] = MappingProxyType({}), **settings: Any) -> RunConfig:
    tables = copy.deepcopy(FEW_STEPS)
    for name, table in overrides.items():
        tables[name] = {**tables.get(name, {}), **table}
    return RunConfig(**settings, overrides=tables)


# What processes that commands start call in place of the functions of these names. There, nothing is undone.


def prepare_apart(request: RunConfig, out: str, shard_size: int | None, preflight: bool, workers: int | None):
    """In a process that prepares a run: on a machine of as many cores as workers."""
    patch = pytest.MonkeyPatch()
    original = run_command._prepare_apart
    live_here(patch, _weights())
    patch.setattr(run_command, "divide", lambda workers, **machine: [DeviceGroup()] * workers)
    return original(request, out, shard_size, preflight, workers)


def serve(run: str, batch_size: int | None) -> int:
    """In a worker's process."""
    original = worker_command._serve
    live_here(pytest.MonkeyPatch(), _weights())
    return original(run, batch_size)


def serve_on_ray(run: str, batch_size: int | None, asked) -> int:
    """In a process of a Ray cluster."""
    original = worker_command._serve_on_ray
    live_here(pytest.MonkeyPatch(), _weights())
    return original(run, batch_size, asked)


def _on_a_cluster_of_ours(*arguments: Any, address: str, **options: Any) -> list[str]:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        return _run_on_ray(*arguments, address=cluster.address, **options)
    finally:
        cluster.shutdown()


_run_on_ray = ray_cluster.run_on_ray

if __name__ == "__main__":
    import stand_ins  # by its name, which other processes know

    stand_ins.live_here(pytest.MonkeyPatch(), stand_ins._weights())
    ray_cluster.run_on_ray = stand_ins._on_a_cluster_of_ours
    sys.argv[0] = "vissum"
    main()
