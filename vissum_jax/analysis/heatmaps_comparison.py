"""Heat maps of several methods on the same images: means, differences from the first method, a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from vissum_jax.analysis.bootstrap import BootstrapConfig, paired_difference
from vissum_jax.analysis.drop import MISSING, markdown
from vissum_jax.analysis.heatmaps import area_under

PERCENT = 100.0
"""Areas are told as VE tells them."""

TITLES = {
    "ve": "VE",
    "ve_without_fix": "VE without stride fix",
    "activations": "upsampled activations",
    "deconvnet": "deconvnet + guided ReLU",
    "deconvnet_fixed": "deconvnet + guided ReLU, stride fix",
    "gradient": "gradient",
    "grad_cam": "Grad-CAM",
    "guided_grad_cam": "guided Grad-CAM",
    "grad_cam_pp": "Grad-CAM++",
    "rise": "RISE",
    "compact": "compact masks",
}
MEASURES = ("auc", "pointing", "grid_energy")
"""Area under IoU in percent, hit rate of the pointing game, energy at the stride's frequencies."""

HEADINGS = ("method", "images", "AUC of IoU (%)", "95 % interval of {first} minus it", "pointing game", "grid energy")


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeatmapScores:
    """A method's measures, a row an image; NaN where an image has none.

    Attributes:
        curves: IoU at each threshold.
        pointing: Hits of the pointing game.
        grid_energy: See `vissum_jax.interpretation.artefacts`; NaN for networks without stride.
    """

    curves: Float[np.ndarray, "n thresholds"]
    pointing: Float[np.ndarray, " n"]
    grid_energy: Float[np.ndarray, " n"]

    def values(self, measure: str) -> Float[np.ndarray, " n"]:
        """One of `MEASURES`, image by image."""
        if measure == "auc":
            return PERCENT * np.array([area_under(curve) for curve in self.curves])
        return self.pointing if measure == "pointing" else self.grid_energy


def compare_heatmaps(
    scores: Mapping[str, HeatmapScores],
    classes: Sequence[str],
    fixes: Mapping[str, str],
    config: BootstrapConfig,
) -> dict[str, Any]:
    """Means over the images, and the first method's advantage over each of the others, image by image.

    Args:
        scores: Of each method, the one that the others are compared with first.
        classes: Class of each image.
        fixes: Methods with the stride fix, and the same without it.
        config: Constants of the bootstrap.

    Returns:
        Plain values: `methods` (mean measures and mean curve of each), `differences` (first minus each other one),
        `by_class` (mean AUC), `stride_fix` (grid energy of both, and their ratio).
    """
    first = next(iter(scores))
    own = {name: {measure: found.values(measure) for measure in MEASURES} for name, found in scores.items()}
    names = np.array(classes)
    methods = {
        name: {
            "title": title_of(name),
            "images": int(np.isfinite(values["auc"]).sum()),
            **{measure: _mean(values[measure]) for measure in MEASURES},
            "curve": [round(float(value), 6) for value in _mean_curve(scores[name].curves)],
        }
        for name, values in own.items()
    }
    differences = {
        name: {measure: _difference(own[first][measure], values[measure], config) for measure in ("auc", "pointing")}
        for name, values in own.items()
        if name != first
    }
    by_class = {
        str(one): {name: _mean(values["auc"][names == one]) for name, values in own.items()}
        for one in sorted(set(classes))
    }
    stride_fix = {}
    for fixed, plain in fixes.items():
        if fixed in own and plain in own:
            with_fix, without = _mean(own[fixed]["grid_energy"]), _mean(own[plain]["grid_energy"])
            ratio = with_fix / without if with_fix is not None and without else None
            stride_fix[fixed] = {"without": without, "with": with_fix, "ratio": ratio}
    return {"methods": methods, "differences": differences, "by_class": by_class, "stride_fix": stride_fix}


def title_of(method: str) -> str:
    """What tables call a method."""
    return TITLES.get(method, method)


def heatmap_lines(values: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headings and cells of the table."""
    first = next(iter(values["methods"]))
    headings = [heading.format(first=title_of(first)) for heading in HEADINGS]
    lines = []
    for name, found in values["methods"].items():
        less = values["differences"].get(name, {}).get("auc")
        interval = MISSING if less is None or less["mean"] is None else f"{less['low']:+.1f} to {less['high']:+.1f}"
        lines.append(
            [
                title_of(name),
                str(found["images"]),
                _text(found["auc"], ".1f"),
                interval,
                _text(found["pointing"], ".3f"),
                _text(found["grid_energy"], ".4f"),
            ]
        )
    return headings, lines


def heatmaps_markdown(values: Mapping[str, Any]) -> str:
    """The table for people, and what the stride fix does."""
    out = markdown(*heatmap_lines(values))
    for fixed, found in values["stride_fix"].items():
        if found["ratio"] is not None:
            out += (
                f"\nGrid energy of {title_of(fixed)}: {found['without']:.4f} without the stride fix, "
                f"{found['with']:.4f} with it ({found['ratio']:.2f} of it).\n"
            )
    left_out = ", ".join(f"{count} {why}" for why, count in values["left_out"].items() if count)
    return out + f"\n{values['images']} photographs; left out: {left_out or 'none'}.\n"


def _mean(values: Float[np.ndarray, " n"]) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else None


def _mean_curve(curves: Float[np.ndarray, "n thresholds"]) -> Float[np.ndarray, " thresholds"]:
    known = curves[np.isfinite(curves).all(axis=1)]
    return known.mean(axis=0) if len(known) else np.zeros(curves.shape[1])


def _difference(
    first: Float[np.ndarray, " n"], second: Float[np.ndarray, " n"], config: BootstrapConfig
) -> dict[str, Any]:
    found = paired_difference(first, second, config)
    known = found.images > 0
    return {
        "mean": found.mean if known else None,
        "low": found.low if known else None,
        "high": found.high if known else None,
        "images": found.images,
    }


def _text(value: float | None, spec: str) -> str:
    return MISSING if value is None else format(value, spec)
