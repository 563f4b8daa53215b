"""What a run is asked to do: one frozen configuration for all stages, read from TOML and the command line."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from vissum_jax.data import absolute_images
from vissum_jax.masks.config import MaskConfig, preset
from vissum_jax.matching.config import MatchingConfig
from vissum_jax.proposals.config import ProposalConfig
from vissum_jax.summaries.config import SummaryConfig

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


@dataclass(frozen=True, kw_only=True)
class StageConfigs:
    """The resolved configuration of every stage after the masks."""

    proposals: ProposalConfig = field(default_factory=ProposalConfig)
    matching: MatchingConfig = field(default_factory=MatchingConfig)
    summaries: SummaryConfig = field(default_factory=SummaryConfig)


STAGES = ("masks", *(entry.name for entry in dataclasses.fields(StageConfigs)))
"""Tables of a configuration file."""

# What a configuration file may give for a setting: TOML has types, but not these.
_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "images": ("a path", lambda value: isinstance(value, str | os.PathLike)),
    "model": ("text", lambda value: isinstance(value, str)),
    "weights": ("a path", lambda value: value is None or isinstance(value, str | os.PathLike)),
    "class_names_file": ("a path", lambda value: value is None or isinstance(value, str | os.PathLike)),
    "precision": ("text", lambda value: isinstance(value, str)),
    "preset": ("text", lambda value: isinstance(value, str)),
    "classes": (
        "a list of texts",
        lambda value: isinstance(value, list | tuple) and all(isinstance(name, str) for name in value),
    ),
    "limit": ("a whole number", lambda value: value is None or type(value) is int),
    "keep_mispredicted": ("true or false", lambda value: isinstance(value, bool)),
}


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that decides a run's results.

    Attributes:
        images: Folder of class folders, ``tfds:NAME/SPLIT`` or ``webdataset:PATTERN``.
        model: Registry name of the network, or ``package.module:function``.
        weights: Weight file, or None for those that come with a package or are downloaded.
        class_names_file: File with the names of the network's classes, or None for the weight file's own.
        precision: Number type of the network's weights and activations, float32 or bfloat16.
        preset: Mask preset.
        classes: Class folders to take; empty for all.
        limit: Most images of a class, or None.
        keep_mispredicted: Whether images that the network answers wrongly are explained too.
        overrides: Changes to the stages' defaults, e.g. ``{"masks": {"target_drop": 0.999}}``.
    """

    images: str
    model: str
    weights: str | None = None
    class_names_file: str | None = None
    precision: str = "float32"
    preset: str = "compact"
    classes: tuple[str, ...] = ()
    limit: int | None = None
    keep_mispredicted: bool = False
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make paths absolute, so that a run can be continued from anywhere; check by resolving every stage."""
        for name, (kind, fits) in _KINDS.items():
            if not fits(getattr(self, name)):
                raise ValueError(f"`{name}` must be {kind}, got {getattr(self, name)!r}.")
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "images", absolute_images(self.images))
        for name in ("weights", "class_names_file"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, str(Path(getattr(self, name)).expanduser().resolve()))
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"`limit` must be at least 1, got {self.limit}.")
        unknown = set(self.overrides) - set(STAGES)
        if unknown:
            raise ValueError(f"unknown table [{sorted(unknown)[0]}]; known are {', '.join(STAGES)}.")
        _ = self.masks, self.stages

    @property
    def masks(self) -> MaskConfig:
        """The preset with its overrides."""
        return override(preset(self.preset), self.overrides.get("masks", {}), "masks")

    @property
    def stages(self) -> StageConfigs:
        """The later stages' defaults with their overrides."""
        tables = {name: table for name, table in self.overrides.items() if name != "masks"}
        return override(StageConfigs(), tables, "")

    def resolved(self) -> dict[str, Any]:
        """All values that decide the results, as plain nested data."""
        plain = dataclasses.asdict(self)
        del plain["overrides"]
        return json.loads(
            json.dumps({"run": plain, "masks": dataclasses.asdict(self.masks), **dataclasses.asdict(self.stages)})
        )


def fingerprint(resolved: Mapping[str, Any]) -> str:
    """SHA-256 of a configuration's canonical JSON."""
    return hashlib.sha256(json.dumps(resolved, sort_keys=True).encode()).hexdigest()


def override(config: T, changes: Mapping[str, Any], where: str) -> T:
    """A configuration with some values changed, nested tables included.

    Raises:
        ValueError: If a name is not known (the nearest is named) or a value has another type.
    """
    if not isinstance(changes, Mapping):
        raise ValueError(f"`{where}` must be a table, got {changes!r}.")
    known = {entry.name: getattr(config, entry.name) for entry in dataclasses.fields(config)}
    values: dict[str, Any] = {}
    for name, value in changes.items():
        path = f"{where}.{name}" if where else name
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(f"unknown setting `{path}`: {hint}known are {', '.join(known)}.")
        values[name] = _changed(known[name], value, path)
    return dataclasses.replace(config, **values)


def _changed(current: Any, value: Any, path: str) -> Any:
    if dataclasses.is_dataclass(current) and not isinstance(current, type):
        return override(current, value, path)
    if isinstance(current, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if current is not None and type(value) is not type(current):
        raise ValueError(f"`{path}` must be of type {type(current).__name__}, got {value!r}.")
    return value


def read_settings(path: Path | str) -> dict[str, Any]:
    """Read a configuration file: top-level names of `RunConfig` and one table a stage.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not TOML or holds an unknown name.
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"No configuration file {str(path)!r}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{str(path)!r} is not TOML: {error}.") from error
    names = [entry.name for entry in dataclasses.fields(RunConfig) if entry.name != "overrides"]
    for name in values:
        if name not in (*names, *STAGES):
            near = difflib.get_close_matches(name, (*names, *STAGES), n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(
                f"{str(path)!r}: unknown setting `{name}`: {hint}known are {', '.join((*names, *STAGES))}."
            )
        if isinstance(values[name], dict) != (name in STAGES):
            what = f"be a table, got {values[name]!r}" if name in STAGES else "not be a table"
            raise ValueError(f"{str(path)!r}: `{name}` must {what}.")
    return values
