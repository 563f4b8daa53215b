"""Heat maps by name, whatever makes them: explanations by relevant features, deconvnets, and the methods of masks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from vissum_jax.attribution.rise import RiseConfig
from vissum_jax.interpretation.explanation import ExplanationConfig, explain
from vissum_jax.interpretation.selection import FeatureSelection
from vissum_jax.masks.methods import METHODS, importance, method_named
from vissum_jax.pipeline.twins import guided_twin
from vissum_jax.types import Classifier

VE, VE_WITHOUT_FIX, ACTIVATIONS = "ve", "ve_without_fix", "activations"
DECONVNET, DECONVNET_FIXED = "deconvnet", "deconvnet_fixed"
DEFAULT_METHODS = (
    VE,
    VE_WITHOUT_FIX,
    ACTIVATIONS,
    DECONVNET,
    DECONVNET_FIXED,
    "gradient",
    "grad_cam",
    "guided_grad_cam",
    "grad_cam_pp",
    "rise",
    "compact",
)
NEED_FEATURES = (VE, VE_WITHOUT_FIX, ACTIVATIONS)
FIXES = {VE: VE_WITHOUT_FIX, DECONVNET_FIXED: DECONVNET}
"""Methods with the stride fix, and the same without it."""

_NEED_DESTRIDED = (VE, DECONVNET_FIXED)


@dataclass(frozen=True, kw_only=True)
class HeatmapMaker:
    """What heat maps are made with.

    Attributes:
        classifier: The network explained.
        guided: The same with guided activations; None where no method needs it.
        destrided: The guided one with the stride fix; None where no method needs it.
        selection: Relevant features; None where no method needs them.
        rise: Constants of RISE.
        seed: Of methods that draw lots.
    """

    classifier: Classifier
    guided: Classifier | None
    destrided: Classifier | None
    selection: FeatureSelection | None
    rise: RiseConfig
    seed: int

    def maps(
        self,
        method: str,
        images: UInt8[np.ndarray, "n h w 3"],
        class_index: Int[np.ndarray, " n"],
        *,
        batch_size: int,
        progress: Callable[[int], object],
    ) -> Float[np.ndarray, "n h w"]:
        """Heat maps of a class for each image, by one of the methods that were asked for."""
        if method in NEED_FEATURES:
            return self._explained(method, images, class_index, batch_size, progress)
        fixed = method == DECONVNET_FIXED
        found = importance(
            self.classifier,
            images,
            class_index,
            method=DECONVNET if fixed else method,
            batch_size=batch_size,
            seed=self.seed,
            guided=self.destrided if fixed else self.guided,
            config=self.rise if method == "rise" else None,
            progress=progress,
        )
        return found.maps

    def decisive(self, method: str) -> dict[str, Any]:
        """All that a method's maps follow from, beside network and photographs."""
        if method in NEED_FEATURES and self.selection is not None:
            data = b"".join(self.selection.encode().values())
            return {"method": method, "selection": hashlib.sha256(data).hexdigest(), "top": ExplanationConfig().top}
        config = None if method == DECONVNET_FIXED else METHODS[method].config
        return {"method": method, "config": repr(self.rise if method == "rise" else config), "seed": self.seed}

    def _explained(
        self,
        method: str,
        images: UInt8[np.ndarray, "n h w 3"],
        class_index: Int[np.ndarray, " n"],
        batch_size: int,
        progress: Callable[[int], object],
    ) -> Float[np.ndarray, "n h w"]:
        network = self.destrided if method == VE else self.guided
        found = explain(
            self.classifier,
            network or self.classifier,  # activations need no other network
            self.selection,  # pyright: ignore[reportArgumentType] - `heatmap_maker` saw to it
            images,
            class_index,
            config=ExplanationConfig(visual="activation" if method == ACTIVATIONS else "deconvnet"),
            batch_size=batch_size,
            progress=progress,
        )
        return np.stack([explanation.combined for explanation in found])


def heatmap_maker(
    classifier: Classifier,
    methods: Sequence[str],
    *,
    selection: FeatureSelection | None,
    rise: RiseConfig,
    seed: int,
) -> HeatmapMaker:
    """Have all that some methods need.

    Args:
        classifier: The network explained.
        methods: Names: of `DEFAULT_METHODS` or `vissum_jax.masks.methods.METHODS`.
        selection: Relevant features, for methods that need them.
        rise: Constants of RISE.
        seed: Of methods that draw lots.

    Raises:
        ValueError: A method is unknown, needs features that are not there or are another network's, or needs a network
            with other activations and this one cannot be built so.
    """
    needs_guided = False
    for name in methods:
        if name in NEED_FEATURES:
            needs_guided |= name == VE_WITHOUT_FIX
            if selection is None:
                raise ValueError(
                    f"method {name!r} needs the relevant features: give --features FOLDER, which `vissum features "
                    "select` makes."
                )
        elif name != DECONVNET_FIXED:
            needs_guided |= method_named(name).needs_guided
    if selection is not None and selection.model != classifier.spec.name:
        raise ValueError(f"--features were selected for {selection.model!r}, not for {classifier.spec.name!r}.")

    return HeatmapMaker(
        classifier=classifier,
        guided=guided_twin(classifier, destrided=False) if needs_guided else None,
        destrided=guided_twin(classifier, destrided=True) if set(methods) & set(_NEED_DESTRIDED) else None,
        selection=selection,
        rise=rise,
        seed=seed,
    )
