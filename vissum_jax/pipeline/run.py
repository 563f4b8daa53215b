"""A run: a folder whose manifest freezes what is computed, and what that manifest names, loaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import pyarrow as pa

from vissum_jax._version import __version__
from vissum_jax.data import ImageEntry, ImageSource, open_images
from vissum_jax.models import load_classifier, read_class_names
from vissum_jax.pipeline.feature_maps import matching_endpoint
from vissum_jax.pipeline.memory import device_name
from vissum_jax.pipeline.settings import RunConfig, fingerprint
from vissum_jax.runs.log import Log
from vissum_jax.runs.manifest import FILE as MANIFEST_FILE
from vissum_jax.runs.manifest import Manifest, differences, load_manifest
from vissum_jax.runs.place import open_log, open_place
from vissum_jax.runs.rows import class_summaries, rows_of_class
from vissum_jax.runs.store import PartStore, Storage, local_path
from vissum_jax.types import Classifier, ClassSummaries

SHARD_SIZE, SHARD_SIZE_ON_ACCELERATOR = 64, 1024
"""Images of a mask part, unless asked for otherwise: what is computed again, at most, after a crash. An accelerator
gets through more in a second, and its slots run empty at the end of every part."""

_COMMANDS = {"masks": "masks", "summaries": "summarize"}  # that finish a stage

_PACKAGES = (
    "jax",
    "jaxlib",
    "flax",
    "numpy",
    "scikit-learn",
    "scikit-image",
    "opencv-contrib-python-headless",
)


class NotReadyError(ValueError):
    """A stage was asked for before the one it reads from is done."""


@dataclass(frozen=True)
class Run:
    """An open run: its folder, its manifest, and what they name, loaded.

    Attributes:
        storage: The RUN folder, or its like in an object store.
        manifest: What is computed.
        config: What was asked for.
        classifier: The network explained.
        source: The photographs.
        workplace: A folder for what is written a file at a time, where `storage` is none; None: there is none.
    """

    storage: Storage
    manifest: Manifest
    config: RunConfig
    classifier: Classifier
    source: ImageSource
    workplace: Path | None = None

    @property
    def folder(self) -> Path:
        """The RUN folder.

        Raises:
            ValueError: It is in an object store.
        """
        return local_path(self.storage) if self.workplace is None else self.workplace

    @property
    def masks(self) -> PartStore:
        """Mask rows, a part a shard."""
        return PartStore(self.storage.within("masks"))

    @property
    def summaries(self) -> PartStore:
        """Summary rows, a part a class."""
        return PartStore(self.storage.within("summaries"))

    @property
    def log(self) -> Log:
        """The event log."""
        return open_log(self.storage)

    def require_masks(self) -> None:
        """Check that every mask part is done.

        Raises:
            NotReadyError: If one is not.
        """
        require_done(self.storage, self.manifest, "masks")

    def mask_rows(self) -> pa.Table:
        """All mask rows; every part must be done."""
        self.require_masks()
        return self.masks.read_all(range(len(self.manifest.shards)))

    def class_rows(self, class_index: int) -> pa.Table:
        """The mask rows of a class, read from the parts that hold any."""
        return rows_of_class(self.masks.read_all(self.manifest.parts_of(class_index)), class_index)

    def class_result(self, class_index: int) -> ClassSummaries:
        """The summaries of a class; its members count the class's photographs."""
        return class_summaries(self.summaries.read(class_index), self.manifest.images_of(class_index))


def require_done(storage: Storage, manifest: Manifest, *stages: str) -> None:
    """Check that every part of some stages of a run is done.

    Args:
        storage: The RUN folder, or its like.
        manifest: What is computed.
        stages: "masks", "summaries".

    Raises:
        NotReadyError: If one is not.
    """
    numbers = {"masks": range(len(manifest.shards)), "summaries": sorted(manifest.classes)}
    for stage in stages:
        store = PartStore(storage.within(stage))
        missing = sum(not store.done(number) for number in numbers[stage])
        if missing:
            raise NotReadyError(
                f"{str(storage)!r}: {missing} of {len(numbers[stage])} parts of its {stage} are not done; finish them "
                f"with `vissum {_COMMANDS[stage]} {storage}`."
            )


def _resolved(config: RunConfig, classifier: Classifier) -> dict[str, Any]:
    """All values that decide the results, those that the network decides among them.

    Raises:
        ValueError: If boxes shall be compared by a feature map that the network does not report.
    """
    resolved = config.resolved()
    if "matching" in resolved:  # which saliency and localisation have no use for
        endpoint = matching_endpoint(classifier, config.stages.matching)
        if resolved["matching"]["descriptor"] == "auto":
            resolved["matching"]["descriptor"] = "both" if endpoint else "hog"
        resolved["matching"]["endpoint"] = endpoint or ""
    return resolved


def _manifest(config: RunConfig, classifier: Classifier, source: ImageSource, shard_size: int) -> Manifest:
    resolved = _resolved(config, classifier)
    entries = tuple((entry.image, entry.class_index, entry.class_name) for entry in source.entries)
    spec = classifier.spec
    return Manifest(
        configuration=resolved,
        fingerprint=fingerprint({**resolved, "weights_sha256": spec.weights_sha256}),
        request=dataclasses.asdict(config),
        model={
            "name": spec.name,
            "weights_sha256": spec.weights_sha256,
            "input_height": spec.input_height,
            "input_width": spec.input_width,
            "classes": len(spec.class_names),
        },
        versions={"vissum-jax": __version__, **{name: metadata.version(name) for name in _PACKAGES}},
        device=device_name(),
        entries=entries,
        shards=tuple((start, min(start + shard_size, len(entries))) for start in range(0, len(entries), shard_size)),
    )


def default_shard_size() -> int:
    """Images of a mask part on what JAX computes on."""
    return SHARD_SIZE if jax.default_backend() == "cpu" else SHARD_SIZE_ON_ACCELERATOR


def start_run(
    config: RunConfig,
    folder: Path | str,
    *,
    check: Callable[[Classifier], object] = lambda classifier: None,
    shard_size: int | None = None,
) -> Run:
    """Start a run in a new folder, or go on with the one that is there.

    Args:
        config: What is asked for.
        folder: The RUN folder, ``s3://bucket/run`` or ``gs://bucket/run``.
        check: Looks at the network before anything is written, and raises ValueError if it does not fit.
        shard_size: Images of a mask part; None for the one of the run that is there, or `default_shard_size()`.

    Raises:
        FileNotFoundError: The photographs, the weights or the network are not there.
        ValueError: Something in the configuration is wrong, or the folder holds another run (what differs is
            listed) or something else.
    """
    storage = open_place(folder)
    if shard_size is not None and shard_size < 1:
        raise ValueError(f"`shard_size` must be at least 1, got {shard_size}.")
    if not _may_hold_a_run(storage):
        raise ValueError(f"{str(storage)!r} exists and is not a RUN folder; name another one with --out.")
    class_names = None if config.class_names_file is None else read_class_names(config.class_names_file)
    classifier = load_classifier(
        config.model, weights=config.weights, class_names=class_names, precision=config.precision
    )
    check(classifier)
    source = open_images(
        config.images,
        classifier.spec,
        classes=config.classes,
        limit=config.limit,
        known=_known(storage, config, classifier),
    )
    manifest = _manifest(config, classifier, source, shard_size or default_shard_size())
    if storage.version(MANIFEST_FILE) is None:
        manifest.save(storage)
    there = load_manifest(storage)  # another process may have started the run at the same moment
    changed = differences(there, manifest)
    if shard_size is not None and not changed and there.shards != manifest.shards:
        changed = [f"shard_size: {there.shards[0][1]} -> {shard_size}"]
    if changed:
        raise ValueError(
            f"{str(storage)!r} holds a run with another configuration; name another folder with --out, or "
            f"go back to its settings: {'; '.join(changed)}."
        )
    return Run(storage, there, config, classifier, source)


def _known(storage: Storage, config: RunConfig, classifier: Classifier) -> tuple[ImageEntry, ...] | None:
    """The photographs that the run in a folder lists, if it asks for the same ones; None otherwise."""
    if storage.version(MANIFEST_FILE) is None:
        return None
    there = load_manifest(storage)
    asked = {"images": config.images, "classes": list(config.classes), "limit": config.limit}
    if any(there.request.get(name) != value for name, value in asked.items()):
        return None
    names = classifier.spec.class_names
    if any(index >= len(names) or names[index] != name for index, name in there.classes.items()):
        return None
    return tuple(ImageEntry(image=image, class_index=index, class_name=name) for image, index, name in there.entries)


def _may_hold_a_run(storage: Storage) -> bool:
    """Whether a folder is a run, or empty but for what a kill left of a manifest that was being written."""
    try:
        names = storage.names()
    except NotADirectoryError:
        return False
    return MANIFEST_FILE in names or all(
        name.startswith(f".{MANIFEST_FILE}.") and name.endswith(".partial") for name in names
    )


def open_run(folder: Path | str) -> Run:
    """Open a run that was started before, as its manifest describes it.

    Raises:
        FileNotFoundError: There is no run, or its photographs or weights are gone.
        ValueError: What it was made from has changed since.
    """
    request = dict(load_manifest(folder).request)
    request["classes"] = tuple(request["classes"])
    return start_run(RunConfig(**request), folder)
