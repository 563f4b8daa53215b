"""``vissum evaluate heatmaps``: do heat maps show the part that truly makes the class (VE section 4.3)?

photographs --network's answers--> those answered rightly --each method--> overlap with the truth --> table, page
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vissum_jax.analysis.bootstrap import BootstrapConfig
from vissum_jax.analysis.heatmaps import HeatmapConfig
from vissum_jax.analysis.heatmaps_comparison import compare_heatmaps, heatmaps_markdown
from vissum_jax.attribution.rise import RiseConfig
from vissum_jax.data.truth_masks import TruthMasks
from vissum_jax.interpretation.receptive_field import receptive_fields
from vissum_jax.interpretation.responses import response_columns
from vissum_jax.interpretation.selection import FeatureSelection
from vissum_jax.pipeline.heatmap_methods import DEFAULT_METHODS, FIXES, NEED_FEATURES, HeatmapMaker, heatmap_maker
from vissum_jax.pipeline.heatmap_photographs import read_pictures, true_photographs
from vissum_jax.pipeline.heatmap_scores import finish_scores, map_of, scores_of
from vissum_jax.pipeline.memory import default_batch_size
from vissum_jax.pipeline.progress import Progress
from vissum_jax.pipeline.run import Run, start_run
from vissum_jax.pipeline.settings import RunConfig
from vissum_jax.report.heatmaps_page import Example, write_heatmaps_page
from vissum_jax.report.overlap_plot import overlap_picture
from vissum_jax.runs.store import write_atomically
from vissum_jax.types import Classifier

KIND = "heatmaps"
VALUES, TABLE, PLOT, PAGE = "heatmaps.json", "heatmaps.md", "heatmaps.png", "report"
EXAMPLES = 2
"""Photographs of each class that the page shows."""


@dataclass(frozen=True, kw_only=True)
class HeatmapsRequest(RunConfig):
    """Everything that decides which photographs are explained, and how maps are scored.

    Attributes:
        scoring: Of the measures.
    """

    scoring: HeatmapConfig = field(default_factory=HeatmapConfig)

    def resolved(self) -> dict[str, Any]:
        """All values that decide the results, as plain nested data."""
        plain = dataclasses.asdict(self)
        for name in ("overrides", "preset"):  # of masks
            del plain[name]
        return json.loads(json.dumps({"kind": KIND, **plain}))


@dataclass(frozen=True, kw_only=True)
class HeatmapsPlan:
    """What is compared, checked and ready to be computed.

    Attributes:
        run: Folder, network and photographs.
        request: What was asked for.
        truth: Masks of what makes the class.
        methods: Names; the first is what the others are compared with.
        maker: What the maps are made with.
        stride: Period of the grid in pixels; None where nothing leaves one.
        batch_size: Images at once.
        bootstrap: Of the differences.
    """

    run: Run
    request: HeatmapsRequest
    truth: TruthMasks
    methods: tuple[str, ...]
    maker: HeatmapMaker
    stride: int | None
    batch_size: int
    bootstrap: BootstrapConfig


def plan_heatmaps(
    request: HeatmapsRequest,
    out: Path | str,
    truth: TruthMasks,
    *,
    methods: Sequence[str] | None = None,
    selection: FeatureSelection | None = None,
    stride: int | None = None,
    rise_masks: int | None = None,
    seed: int = 0,
    batch_size: int | None = None,
) -> HeatmapsPlan:
    """Start the comparison in a new folder, or go on with the one that is there.

    Args:
        request: Photographs, network and measures.
        out: The folder.
        truth: Masks of what makes the class.
        methods: Names; None for `DEFAULT_METHODS`, as far as there are features for them.
        selection: Relevant features, which VE needs.
        stride: Period of the grid that is measured; None finds the network's, 0 measures none.
        rise_masks: Of RISE; None for the paper's number.
        seed: Of methods that draw lots, and of the bootstrap.
        batch_size: Images at once; None for what suits the device.

    Raises:
        FileNotFoundError: If photographs or weights are not there.
        ValueError: If something that is asked for does not fit; or the folder holds another run or something else.
    """
    if methods is None:
        methods = [name for name in DEFAULT_METHODS if selection is not None or name not in NEED_FEATURES]
    methods = tuple(dict.fromkeys(methods))
    rise = RiseConfig() if rise_masks is None else RiseConfig(masks=rise_masks)
    made: list[tuple[HeatmapMaker, int | None]] = []

    def check(classifier: Classifier) -> None:
        maker = heatmap_maker(classifier, methods, selection=selection, rise=rise, seed=seed)
        made.append((maker, first_stride(classifier) if stride is None else _checked_stride(stride)))

    run = start_run(request, out, check=check)
    if not any(truth.of(entry.image) is not None for entry in run.source.entries):
        raise ValueError(
            f"--truth: none of the {len(run.source.entries)} photographs, as {run.source.entries[0].image!r}, has a "
            f"mask of its name in {str(truth.folder)!r}."
        )
    maker, found = made[0]
    return HeatmapsPlan(
        run=run,
        request=request,
        truth=truth,
        methods=methods,
        maker=maker,
        stride=found,
        batch_size=default_batch_size() if batch_size is None else batch_size,
        bootstrap=BootstrapConfig(seed=seed),
    )


def first_stride(classifier: Classifier) -> int | None:
    """Distance in pixels between neighbours of the first feature map: the grid that its convolution's stride leaves.

    None where neighbours are one pixel apart.

    Raises:
        ValueError: If it cannot be told of this network.
    """
    try:
        layer = response_columns(classifier).layers[0]
        stride = int(receptive_fields(classifier, [layer])[layer].stride.max())
    except ValueError as error:
        raise ValueError(
            f"the network's stride cannot be told ({error}); give it with --stride N, 0 for none."
        ) from error
    return stride if stride > 1 else None


def _checked_stride(stride: int) -> int | None:
    if stride < 0 or stride == 1:
        raise ValueError(f"`stride` must be 0, for none, or at least 2, got {stride}.")
    return stride or None


def evaluate_heatmaps(plan: HeatmapsPlan, progress: Progress) -> dict[str, Any]:
    """Compute what is not done yet; write values, table, plot and page.

    Returns:
        Plain values, as ``heatmaps.json`` holds them, and where the page is.

    Raises:
        ValueError: If no photograph is left to compare on.
    """
    run, scoring = plan.run, plan.request.scoring
    photographs = true_photographs(
        run,
        plan.truth,
        progress,
        keep_mispredicted=plan.request.keep_mispredicted,
        batch_size=plan.batch_size,
    )
    shown = photographs.first_of_each_class(EXAMPLES)
    tables = {
        method: finish_scores(
            run,
            plan.maker,
            method,
            photographs,
            scoring,
            progress,
            stride=plan.stride,
            shown={row["image"] for row in shown},
            batch_size=plan.batch_size,
        )
        for method in plan.methods
    }
    scores = {method: scores_of(table, scoring) for method, table in tables.items()}
    values = {
        "run": str(run.folder),
        "model": run.classifier.spec.name,
        "fingerprint": run.manifest.fingerprint,
        "truth": str(plan.truth.folder),
        "images": len(photographs.rows),
        "left_out": photographs.left_out,
        "accuracy": photographs.accuracy,
        "truth_area": float(np.mean([mask.mean() for mask in photographs.truths.values()])),
        "stride": plan.stride,
        "scoring": dataclasses.asdict(scoring),
        "bootstrap": dataclasses.asdict(plan.bootstrap),
        "made_with": {method: plan.maker.decisive(method) for method in plan.methods},
        **compare_heatmaps(scores, [row["class_name"] for row in photographs.rows], FIXES, plan.bootstrap),
    }
    picture = overlap_picture({found["title"]: found["curve"] for found in values["methods"].values()})
    write_atomically(run.folder / TABLE, heatmaps_markdown(values).encode("utf-8", "backslashreplace"))
    write_atomically(run.folder / PLOT, picture)
    write_atomically(run.folder / VALUES, json.dumps(values, indent=1, allow_nan=False).encode())
    examples = [
        Example(
            title=row["image"],
            class_name=row["class_name"],
            photograph=image,
            truth=photographs.truths[row["image"]],
            maps={method: map_of(table, row["image"]) for method, table in tables.items()},
        )
        for row, image in zip(shown, read_pictures(run, shown), strict=True)
    ]
    facts = {"configuration": run.manifest.configuration, "versions": run.manifest.versions}
    page = write_heatmaps_page(run.folder / PAGE, values, examples, picture, **facts)
    return {**values, "report": str(page)}
