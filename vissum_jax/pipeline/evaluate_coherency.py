"""``vissum evaluate coherency``: do the images of a summary share more tags than images of its class? (VS fig. 4)."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from vissum_jax.analysis.bootstrap import BootstrapConfig
from vissum_jax.analysis.coherency import (
    LEAST_CLASSES,
    CoherencyConfig,
    class_coherency,
    compare_classes,
    jaccard_distances,
    tag_vectors,
)
from vissum_jax.analysis.drop import MISSING, markdown
from vissum_jax.analysis.wordnet import fused
from vissum_jax.data import ImageSource
from vissum_jax.pipeline.finished import FinishedClass, FinishedRun
from vissum_jax.pipeline.originals import part_square, read_originals
from vissum_jax.pipeline.progress import Progress
from vissum_jax.pipeline.taggers import DEFAULT_TAGGERS, LabelTagger, Tagger
from vissum_jax.report.coherency_plot import CoherencyBar, coherency_picture
from vissum_jax.report.evaluation import FOLDER
from vissum_jax.runs.store import write_atomically
from vissum_jax.study.nouns import normalise_all
from vissum_jax.types import HAS_MASK, Summary

WHOLE, CROPS = "coherency", "coherency_crops"
"""Names of the files: of whole photographs, and of parts."""


@dataclass(frozen=True, kw_only=True)
class EvaluateCoherencyConfig:
    """How coherency is measured.

    Attributes:
        measure: Constants of the measure.
        bootstrap: Of the interval over classes.
        batch_size: Photographs held in memory at once.
        part_margin: Side of the square shown of a part, by the longer side of its box.
        common_tags: Most used tags of a summary that are listed.
    """

    measure: CoherencyConfig = field(default_factory=CoherencyConfig)
    bootstrap: BootstrapConfig = field(default_factory=BootstrapConfig)
    batch_size: int = 32
    part_margin: float = 1.15
    common_tags: int = 3

    def __post_init__(self) -> None:
        """Check ranges."""
        if self.batch_size < 1:
            raise ValueError(f"`batch_size` must be positive, got {self.batch_size}.")
        if not self.part_margin >= 1:
            raise ValueError(f"`part_margin` must be at least 1, got {self.part_margin}.")
        if self.common_tags < 0:
            raise ValueError(f"`common_tags` must not be negative, got {self.common_tags}.")


def default_tagger(run: FinishedRun) -> str:
    """The network that tags a run's photographs, if none is named: never the one that the run explains."""
    return next(name for name in DEFAULT_TAGGERS if name != run.manifest.model["name"])


def check_tagger(tagger: Tagger, run: FinishedRun) -> None:
    """Check that a tagger is not the network that the run explains.

    Raises:
        ValueError: If it is: the network would be judged by its own opinion.
    """
    if not isinstance(tagger, LabelTagger):
        return
    spec, model = tagger.classifier.spec, run.manifest.model
    if spec.weights_sha256 and (spec.name, spec.weights_sha256) == (model["name"], model["weights_sha256"]):
        raise ValueError(
            f"`tagger` {spec.name!r} is the network that {str(run.folder)!r} explains; name another with --tagger."
        )


def evaluate_coherency(
    run: FinishedRun,
    tagger: Tagger,
    progress: Progress,
    *,
    crops: bool = False,
    config: EvaluateCoherencyConfig | None = None,
) -> dict[str, Any]:
    """Tag a run's photographs, compare summaries with random sets, and write values, table and plot.

    Args:
        run: A finished run.
        tagger: Gives the nouns.
        progress: Counts photographs.
        crops: Tag the parts of the summaries instead of whole photographs.
        config: How.

    Returns:
        Plain values, as ``coherency.json`` (``coherency_crops.json``) holds them.

    Raises:
        ChangedError: If a photograph is no longer the one that its mask was found on.
        NotReadyError: If the data set or the tar files that hold the photographs cannot be opened.
        ValueError: If the tagger is the network explained.
    """
    check_tagger(tagger, run)
    config = config or EvaluateCoherencyConfig()
    classes, source = list(run.classes()), run.photographs()
    progress.start("tags", sum(len(_pool(found, crops)[0]) for found in classes))
    measured = [_class(source, found, tagger, progress, crops, config) for found in classes]
    progress.finish()
    values = {
        "run": str(run.folder),
        "model": run.manifest.model["name"],
        "preset": run.manifest.request.get("preset"),
        "fingerprint": run.manifest.fingerprint,
        "tagger": tagger.name,
        "crops": crops,
        "config": asdict(config),
        "classes": measured,
        **_over_classes(measured, config.bootstrap),
    }
    _write(values, run.folder / FOLDER)
    return values


Place = tuple[int, tuple[int, int, int, int] | None]
"""What may be tagged: row of a photograph within its class, and a box, or None for all of it."""


def _pool(found: FinishedClass, crops: bool) -> tuple[list[Place], str]:
    """What is tagged of a class and random sets are drawn from, or nothing and why.

    Whole photographs: those with a mask, which are the ones that summaries can have. Parts: the members of all
    clusters, kept or not.
    """
    kept = found.summaries.kept
    if not kept:
        return [], found.summaries.reason or "it has no summaries"
    if all(len(summary.kept_members) < 2 for summary in kept):
        return [], "none of its summaries has two images"
    if not crops:
        statuses = found.rows["status"].to_pylist()
        return [(row, None) for row, status in enumerate(statuses) if status in HAS_MASK], ""
    clusters = found.summaries.summaries
    parts = dict.fromkeys((member.image, member.box) for summary in clusters for member in summary.members)
    if len(kept) == 1 and len(parts) == len(kept[0].kept_members):
        return [], "its one summary holds all its parts: there is nothing else to draw from"
    return list(parts), ""


def _class(
    source: ImageSource,
    found: FinishedClass,
    tagger: Tagger,
    progress: Progress,
    crops: bool,
    config: EvaluateCoherencyConfig,
) -> dict[str, Any]:
    """One class: its measures, or why it has none."""
    kept = found.summaries.kept
    values: dict[str, Any] = {
        "class_index": found.class_index,
        "class_name": found.class_name,
        "summaries": len(kept),
        "images_per_summary": [len(summary.kept_members) for summary in kept],
    }
    pool, reason = _pool(found, crops)
    if not pool:
        return {**values, **_unmeasured(reason)}
    tags = _tags(source, found, pool, tagger, progress, config)
    untagged = sum(not each for each in tags)
    values |= {"pool": len(pool), "untagged": untagged}
    if untagged == len(pool):
        what = "parts" if crops else "photographs"
        return {**values, **_unmeasured(f"{tagger.name} gave no noun for any of its {len(pool)} {what}")}
    members = _members(kept, pool, crops)
    scores = class_coherency(jaccard_distances(tag_vectors(tags)), members, config.measure, stream=found.class_index)
    return {
        **values,
        "mu_s": scores.mu_s,
        "mu_r": scores.mu_r,
        "mu_r_deviation": scores.mu_r_deviation,
        "below": scores.below,
        "distances": [None if math.isnan(value) else value for value in scores.distances],
        "common": [_common([tags[row] for row in rows], config.common_tags) for rows in members],
        "reason": "",
    }


def _unmeasured(reason: str) -> dict[str, Any]:
    names = ("mu_s", "mu_r", "mu_r_deviation", "below")
    return {**dict.fromkeys(names), "distances": [], "common": [], "reason": reason}


def _members(kept: Sequence[Summary], pool: Sequence[Place], crops: bool) -> list[Int[np.ndarray, " k"]]:
    """Rows of the pool that each summary has."""
    place = {entry: row for row, entry in enumerate(pool)}
    return [
        np.array([place[member.image, member.box if crops else None] for member in summary.kept_members], int)
        for summary in kept
    ]


def _tags(
    source: ImageSource,
    found: FinishedClass,
    pool: Sequence[Place],
    tagger: Tagger,
    progress: Progress,
    config: EvaluateCoherencyConfig,
) -> list[frozenset[str]]:
    """The nouns of each entry of the pool, in their common form, synonyms fused."""
    rows = found.rows.select(
        ["image", "content_sha256", "height", "width", *(f"crop_{side}" for side in "xywh")]
    ).to_pylist()
    tags: list[frozenset[str]] = []
    for start in range(0, len(pool), config.batch_size):
        part = pool[start : start + config.batch_size]
        photographs = read_originals(source, [rows[image] for image, _ in part])
        shown: list[UInt8[np.ndarray, "h w 3"]] = [
            photograph if box is None else part_square(photograph, rows[image], box, config.part_margin)
            for photograph, (image, box) in zip(photographs, part, strict=True)
        ]
        tags += [frozenset(map(fused, normalise_all(nouns))) for nouns in tagger.tag(shown)]
        progress.advance(len(part))
    return tags


def _common(tags: Iterable[frozenset[str]], count: int) -> dict[str, int]:
    """The nouns that most members have, the first by alphabet of several."""
    counts = Counter(noun for each in tags for noun in each)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:count])


def _over_classes(classes: Sequence[Mapping[str, Any]], config: BootstrapConfig) -> dict[str, Any]:
    """Means and the paired test over the classes that were measured."""
    mu_s, mu_r = (
        np.array([each[name] for each in classes if each["mu_s"] is not None], float) for name in ("mu_s", "mu_r")
    )
    values: dict[str, Any] = {
        "measured": len(mu_s),
        "lower": int(np.count_nonzero(mu_s < mu_r)),
        "mu_s": float(mu_s.mean()) if len(mu_s) else None,
        "mu_r": float(mu_r.mean()) if len(mu_r) else None,
    }
    if len(mu_s) < LEAST_CLASSES:
        reason = f"it takes at least {LEAST_CLASSES} classes, and {len(mu_s)} could be measured"
        return {**values, "test": None, "test_reason": reason}
    return {**values, "test": asdict(compare_classes(mu_s, mu_r, config)), "test_reason": ""}


def coherency_markdown(values: Mapping[str, Any]) -> str:
    """The table for people, and what it says."""

    def number(value: float | None) -> str:
        return MISSING if value is None else f"{value:.3f}"

    lines = [
        [
            f"{each['class_name']} ({each['summaries']})",
            number(each["mu_s"]),
            number(each["mu_r"]),
            MISSING if each["below"] is None else f"{each['below']:.0%}",
            each["reason"] or "; ".join(", ".join(common) for common in each["common"] if common),
        ]
        for each in values["classes"]
    ]
    what = "parts" if values["crops"] else "photographs"
    notes = [
        f"Mean Jaccard distance of the tags that {values['tagger']} gives {what}: muS within summaries, muR within "
        f"random sets of equal size of the class, mean of {values['config']['measure']['draws']} draws. "
        "Draws below: share of the draws that are at least as coherent."
    ]
    if values["measured"]:
        share = values["lower"] / values["measured"]
        notes.append(
            f"muS {number(values['mu_s'])}, muR {number(values['mu_r'])}; muS < muR for {values['lower']} of "
            f"{values['measured']} classes ({share:.0%})."
        )
    if values["test"] is None:
        notes.append(f"No test over classes: {values['test_reason']}.")
    else:
        test, level = values["test"], values["config"]["bootstrap"]["confidence"]
        difference = test["difference"]
        notes.append(
            f"muS - muR: {difference['mean']:+.3f} ({level:.0%} interval over classes {difference['low']:+.3f} to "
            f"{difference['high']:+.3f}); Wilcoxon's signed-rank test p = {test['wilcoxon']:.2g}, sign test p = "
            f"{test['sign']:.2g}."
        )
    table = markdown(["class (summaries)", "muS", "muR", "draws below", "most used tags of each summary"], lines)
    return table + "\n" + "\n".join(notes) + "\n"


def _write(values: Mapping[str, Any], folder: Path) -> None:
    name = CROPS if values["crops"] else WHOLE
    bars = [
        CoherencyBar(each["class_name"], each["summaries"], each["mu_s"], each["mu_r"], each["mu_r_deviation"])
        for each in values["classes"]
        if each["mu_s"] is not None
    ]
    write_atomically(folder / f"{name}.md", coherency_markdown(values).encode("utf-8", "backslashreplace"))
    write_atomically(folder / f"{name}.png", coherency_picture(bars))
    write_atomically(folder / f"{name}.json", json.dumps(values, indent=1, allow_nan=False).encode())
