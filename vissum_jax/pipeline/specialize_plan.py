"""Specialisation made ready: which photographs are for what, and that none serves two purposes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from vissum_jax.analysis.bootstrap import BootstrapConfig
from vissum_jax.analysis.specialize import SpecializeConfig
from vissum_jax.data import FolderSource
from vissum_jax.models.specialized import PREFIX
from vissum_jax.pipeline.finished import FinishedRun
from vissum_jax.pipeline.run import Run
from vissum_jax.pipeline.splits import content_hashes, open_source, order_key, require_disjoint
from vissum_jax.report.evaluation import FOLDER

ROLES = ("masks, summaries and SVMs", "further negatives", "the weight", "the test")
"""What photographs are for; each serves one of these."""
LEAST_CLASSES = 2
"""An SVM of one class has nobody to tell it from."""


@dataclass(frozen=True, kw_only=True)
class EvaluateSpecializeConfig:
    """How specialisation is measured.

    Attributes:
        train: Constants of the SVMs and of the weight.
        bootstrap: Of the intervals over photographs.
        holdout: Share of the training photographs of the run's classes that the weight is chosen on, where none are
            named for that; those of other classes all guard it (see `choose_weight`).
        random_draws: How often random sets take the summaries' places in the ablation; 0 leaves it out.
        pictures: Most corrected photographs that are shown, and most spoiled ones.
    """

    train: SpecializeConfig = field(default_factory=SpecializeConfig)
    bootstrap: BootstrapConfig = field(default_factory=BootstrapConfig)
    holdout: float = 0.5
    random_draws: int = 3
    pictures: int = 60

    def __post_init__(self) -> None:
        """Check ranges."""
        if not 0 < self.holdout <= 1:
            raise ValueError(f"`holdout` must be in (0, 1], got {self.holdout}.")
        for name in ("random_draws", "pictures"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` must not be negative, got {getattr(self, name)}.")


@dataclass(frozen=True, kw_only=True)
class SpecializePlan:
    """What is measured, checked: no photograph serves two purposes.

    Attributes:
        run: The run, with its network.
        finished: The same run's results.
        negatives: Photographs that the SVMs see beside the run's own.
        weight: Those that the weight is chosen on.
        test: Those that accuracies are measured on.
        config: How.
    """

    run: Run
    finished: FinishedRun
    negatives: tuple[FolderSource, ...]
    weight: tuple[FolderSource, ...]
    test: tuple[FolderSource, ...]
    config: EvaluateSpecializeConfig

    @property
    def folder(self) -> Path:
        """Where the results are."""
        return self.run.folder / FOLDER


def plan_specialize(
    run: Run,
    finished: FinishedRun,
    *,
    test: Sequence[Path],
    train: Sequence[Path] = (),
    weight: Sequence[Path] = (),
    images: Path | None = None,
    config: EvaluateSpecializeConfig | None = None,
) -> SpecializePlan:
    """Take in the photographs and check that each serves one purpose.

    Args:
        run: A finished run: its photographs train the SVMs.
        finished: The same run's results.
        test: Lists or folders of photographs (see `open_source`) that accuracies are measured on.
        train: Further photographs to train with: the weight is chosen on a share of those of the run's classes and on
            all of other classes, the rest are negatives of all classes but their own.
        weight: Photographs that the weight is chosen on, in place of that share.
        images: The folder that lists are relative to; None for the run's own.
        config: How.

    Raises:
        FileNotFoundError: A list, folder or photograph is not there.
        OverlapError: A photograph serves two purposes, by its content; it is named.
        ValueError: Fewer than two classes have a summary, or there is nothing to choose the weight on.
    """
    config = config or EvaluateSpecializeConfig()
    if run.config.model.startswith(PREFIX):
        raise ValueError(
            f"{str(run.folder)!r} explains a specialised network; specialise a run of {run.config.model!r}."
        )
    with_summaries = [name for index, name in finished.manifest.classes.items() if finished.summaries(index).kept]
    if len(with_summaries) < LEAST_CLASSES:
        found = f"only {with_summaries[0]!r} has any" if with_summaries else "none has any"
        raise ValueError(
            f"{str(run.folder)!r}: {LEAST_CLASSES} classes with summaries are needed, and {found}; make a run of more "
            "classes, or with more photographs of each."
        )
    root = Path(run.manifest.request["images"]) if images is None else images
    spec = run.classifier.spec
    of_train, of_weight, of_test = (
        [open_source(place, root, spec) for place in each] for each in (train, weight, test)
    )
    if not of_test:
        raise ValueError("`test` must name photographs to measure on.")
    names = Counter(entry.image for source in of_test for entry in source.entries)
    if twice := [name for name, count in names.items() if count > 1]:
        raise ValueError(f"`test` names {twice[0]!r} twice; name each photograph once.")
    hashes = {
        source.root / entry.image: content
        for source in (*of_train, *of_weight, *of_test)
        for entry, content in zip(
            source.entries, content_hashes(source.root, [each.image for each in source.entries]).values(), strict=True
        )
    }
    if not of_weight:
        if not of_train:
            raise ValueError("the weight is chosen on photographs used for nothing else; name some with --train.")
        of_weight, of_train = _held_out(of_train, hashes, frozenset(finished.manifest.classes), config)
    rows = run.mask_rows()
    own = zip(rows["image"].to_pylist(), rows["content_sha256"].to_pylist(), strict=True)
    used = [{run.source.where(image): content for image, content in own if content is not None}]
    for sources in (of_train, of_weight, of_test):
        places = [source.root / entry.image for source in sources for entry in source.entries]
        used.append({str(place): hashes[place] for place in places})
    require_disjoint(dict(zip(ROLES, used, strict=True)))
    return SpecializePlan(
        run=run,
        finished=finished,
        negatives=tuple(of_train),
        weight=tuple(of_weight),
        test=tuple(of_test),
        config=config,
    )


def _held_out(
    sources: Sequence[FolderSource],
    hashes: Mapping[Path, str],
    classes: frozenset[int],
    config: EvaluateSpecializeConfig,
) -> tuple[list[FolderSource], list[FolderSource]]:
    """Photographs for the weight and the rest, by a hash of the seed and their content: copies stay together."""
    labelled = [(hashes[each.root / entry.image], entry.class_index) for each in sources for entry in each.entries]
    of_run = {content for content, index in labelled if index in classes}
    own = sorted(of_run, key=partial(order_key, config.train.seed))
    chosen = set(own[: max(1, round(config.holdout * len(own)))])
    chosen |= {content for content, index in labelled if index not in classes} - of_run

    def taken(wanted: bool) -> list[FolderSource]:
        parts = [
            FolderSource(
                root=each.root,
                entries=tuple(entry for entry in each.entries if (hashes[each.root / entry.image] in chosen) == wanted),
            )
            for each in sources
        ]
        return [part for part in parts if part.entries]

    return taken(True), taken(False)
