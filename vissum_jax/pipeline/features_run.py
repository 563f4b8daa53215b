"""A folder of selected features: what was asked for, and the responses that it is made from.

A run as in `stages`: the same manifest, parts and resume.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from vissum_jax.data import ImageSource, open_images
from vissum_jax.data.images import absolute_images
from vissum_jax.interpretation.mu_lasso import MuLassoConfig
from vissum_jax.interpretation.responses import Columns, response_columns
from vissum_jax.interpretation.selection import FeatureSelection
from vissum_jax.pipeline.run import NotReadyError, Run, start_run
from vissum_jax.pipeline.settings import RunConfig
from vissum_jax.runs.manifest import FILE as MANIFEST_FILE
from vissum_jax.runs.manifest import load_manifest
from vissum_jax.runs.store import PartStore
from vissum_jax.types import MaskStatus

FOLDER = "responses"

SCHEMA = pa.schema(
    [
        ("image", pa.string()),
        ("class_index", pa.int32()),
        ("class_name", pa.string()),
        ("predicted_index", pa.int32()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("content_sha256", pa.string()),
        ("responses", pa.list_(pa.float32())),
    ]
)
"""Rows of responses; what a photograph does not have is null."""


@dataclass(frozen=True, kw_only=True)
class SelectRequest(RunConfig):
    """Everything that decides the results of a selection.

    Attributes:
        lasso: mu and accuracy.
        holdout: Share of each class's photographs that only the check sees.
        test: Photographs for the check, in place of a share of the others; None for that share.
        draws: How often random filters are drawn for the check.
        seed: Of the draws, and of which photographs are held out.
    """

    lasso: MuLassoConfig = field(default_factory=MuLassoConfig)
    holdout: float = 0.3
    test: str | None = None
    draws: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        if not 0 <= self.holdout < 1:
            raise ValueError(f"`holdout` must be in [0, 1), got {self.holdout}.")
        if self.draws < 1:
            raise ValueError(f"`draws` must be at least 1, got {self.draws}.")
        if self.test is not None:
            object.__setattr__(self, "test", absolute_images(self.test))

    def resolved(self) -> dict[str, Any]:
        """All values that decide the results, as plain nested data."""
        plain = dataclasses.asdict(self)
        for name in ("overrides", "preset", "keep_mispredicted"):  # of masks
            del plain[name]
        return json.loads(json.dumps({"kind": "features", **plain}))


@dataclass(frozen=True)
class SelectRun:
    """An open run of a selection.

    Attributes:
        run: Folder, manifest, network and photographs.
        request: What was asked for.
        test: The photographs of the check, where they are others; None for a share of the run's.
    """

    run: Run
    request: SelectRequest
    test: ImageSource | None

    @property
    def store(self) -> PartStore:
        """Rows of responses, a part a shard."""
        return PartStore(self.run.folder / FOLDER)

    @cached_property
    def columns(self) -> Columns:
        """The filters."""
        return response_columns(self.run.classifier)

    def rows(self) -> list[dict[str, Any]]:
        """All rows without the responses, which need not fit into memory.

        Raises:
            NotReadyError: If some part is not done.
        """
        numbers = range(len(self.run.manifest.shards))
        missing = [number for number in numbers if not self.store.done(number)]
        if missing:
            raise NotReadyError(
                f"{str(self.run.folder)!r}: {len(missing)} of {len(numbers)} parts are not done; give the same `vissum "
                "features select` command again."
            )
        return [row for number in numbers for row in self.store.read(number).drop_columns("responses").to_pylist()]

    def parts(self) -> Iterator[tuple[list[dict[str, Any]], Float[np.ndarray, "n columns"]]]:
        """The rows of photographs that the network could answer for, and their responses, part by part."""
        for number in range(len(self.run.manifest.shards)):
            rows = self.store.read(number)
            rows = rows.filter(np.array([status == MaskStatus.OK for status in rows["status"].to_pylist()], bool))
            values = rows["responses"].combine_chunks().flatten().to_numpy()
            yield rows.drop_columns("responses").to_pylist(), values.reshape(len(rows), len(self.columns))

    def selection(self) -> FeatureSelection:
        """What was selected.

        Raises:
            FileNotFoundError: If nothing was yet.
        """
        return FeatureSelection.load(self.run.folder)


def select_request(options: Mapping[str, Any], *, mu: float, **rest: Any) -> SelectRequest:
    """What the command asks for: photographs with a network, or those of a run.

    Args:
        options: As `RunConfig` takes them; where ``images`` is the folder of a run, that run's values stand in for all
            that are not given.
        mu: Bound on each class's weights.
        rest: Further values of the request.

    Raises:
        ValueError: If no network is named, or a value is out of range.
    """
    options = dict(options)
    if (Path(options["images"]) / MANIFEST_FILE).is_file():
        there = dict(load_manifest(Path(options["images"])).request)
        if options["model"] and options["model"] != there["model"]:
            for name in ("weights", "class_names_file", "precision"):  # of another network
                there[name] = options[name]
        names = ("model", "weights", "class_names_file", "classes", "limit")
        options |= {name: options[name] or there[name] for name in names}
        options |= {"images": there["images"], "classes": tuple(options["classes"]), "precision": there["precision"]}
    if not options["model"]:
        raise ValueError("--model must name the network, unless the photographs are those of a run.")
    return SelectRequest(**options, **rest, lasso=MuLassoConfig(mu=mu))


def start_select(request: SelectRequest, folder: Path | str) -> SelectRun:
    """Start a run in a new folder, or go on with the one that is there; see `run.start_run` for errors."""
    run = start_run(request, folder, check=response_columns)
    test = None
    if request.test is not None:
        test = open_images(request.test, run.classifier.spec, limit=request.limit)
        missing = set(test.classes) - set(run.source.classes)
        if missing:
            name = test.classes[min(missing)]
            raise ValueError(f"{request.test!r} has photographs of {name!r}, for which no features are selected.")
    return SelectRun(run, request, test)


def open_features(folder: Path | str) -> SelectRun:
    """Open a folder that `vissum features select` made.

    Raises:
        FileNotFoundError: There is none, or its photographs or weights are gone.
        ValueError: What it was made from has changed since, or it is a run of another command.
    """
    manifest = load_manifest(folder)
    if manifest.configuration.get("kind") != "features":
        raise ValueError(f"{str(folder)!r} is a run of another command; make features with `vissum features select`.")
    request = dict(manifest.request)
    request |= {"classes": tuple(request["classes"]), "lasso": MuLassoConfig(**request["lasso"])}
    return start_select(SelectRequest(**request), folder)
