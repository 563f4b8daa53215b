"""The presets: frozen configurations, named after what the papers name.

Two families. `PhasedConfig` minimises the papers' penalised objective by Adam in one or two phases;
`CompactConfig` searches the smallest binary mask that reaches a target drop.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field

from vissum_jax.masks.perturbation import BlurBlend, MeanColour, Noise, VaryingBlur

BINARISE_BELOW = 0.5
"""A pixel is salient where its mask value is below this (VS 3.1)."""


def _check_positive(config: object, *names: str) -> None:
    for name in names:
        if not getattr(config, name) > 0:
            raise ValueError(f"`{name}` must be positive, got {getattr(config, name)}.")


def _check_share(config: object, *names: str) -> None:
    for name in names:
        if not 0 < getattr(config, name) < 1:
            raise ValueError(f"`{name}` must be in (0, 1), got {getattr(config, name)}.")


@dataclass(frozen=True, kw_only=True)
class AdamConfig:
    """Adam (Kingma and Ba 2015), as both papers use it."""

    learning_rate: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        """Check ranges."""
        _check_positive(self, "learning_rate", "epsilon")
        _check_share(self, "beta1", "beta2")


@dataclass(frozen=True, kw_only=True)
class PhaseConfig:
    """One phase of the penalised objective (VS 3.1).

    min over m of  f_c(Phi(x; m)) + area_weight mean|1 - m| + tv_weight TV_beta(m) + crisp_weight mean|m (1 - m)|

    Attributes:
        iterations: Adam steps.
        area_weight: lambda_1.
        tv_weight: lambda_2.
        crisp_weight: lambda_3, VS's term that drives masks to 0 and 1.
        tv_exponent: beta of the total variation.
        grid: Side of the mask grid that is optimised, upsampled bilinearly with aligned corners; None for
            one mask value a pixel.
        smoothing_sigma: Width in pixels of a Gaussian applied to the upsampled mask in the forward pass
            only (its gradient is passed straight through); 0 for none.
        quantise_start: Whether the phase starts from the previous phase's mask after a round trip through
            an 8-bit image, s = 1 - (m - min m) / max m, as VS's released code hands over.
    """

    iterations: int
    area_weight: float
    tv_weight: float
    crisp_weight: float
    tv_exponent: float = 3.0
    grid: int | None = None
    smoothing_sigma: float = 0.0
    quantise_start: bool = False

    def __post_init__(self) -> None:
        """Check ranges."""
        _check_positive(self, "iterations", "tv_exponent")
        for name in ("area_weight", "tv_weight", "crisp_weight", "smoothing_sigma"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` must not be negative, got {getattr(self, name)}.")
        if self.grid is not None and self.grid < 2:
            raise ValueError(f"`grid` must be at least 2 or None, got {self.grid}.")


@dataclass(frozen=True, kw_only=True)
class PhasedConfig:
    """The penalised objective, minimised phase by phase.

    The initial mask is 0 inside a centred disc and 1 outside. (All ones would be a stationary point of the
    varying blur, whose derivative with respect to sigma vanishes at sigma = 0.)

    Attributes:
        name: Preset name.
        phases: In order; each starts from the previous one's mask with a fresh optimiser.
        perturbation: Phi, fixed over the phases.
        optimiser: Adam's constants; masks are clipped to [0, 1] after every step.
        disc_radius: Radius of the initial disc as a share of the side.
    """

    name: str
    phases: tuple[PhaseConfig, ...]
    perturbation: VaryingBlur | BlurBlend | MeanColour = field(default_factory=VaryingBlur)
    optimiser: AdamConfig = field(default_factory=AdamConfig)
    disc_radius: float = 0.5

    def __post_init__(self) -> None:
        """Check ranges."""
        if not self.phases:
            raise ValueError("`phases` must hold at least one phase.")
        if any(phase.grid is not None for phase in self.phases[1:]):
            raise ValueError("`grid` must be None after the first phase: masks are handed over in pixels.")
        _check_positive(self, "disc_radius")


@dataclass(frozen=True, kw_only=True)
class CompactConfig:
    """Smallest binary mask whose drop reaches a target: constrained where the papers penalise.

        min area(B)   subject to   log f_c(Phi(x; B)) <= log f_c(x) + log(1 - target_drop),  B binary

    What is optimised is a *ranking* of the pixels; the mask is its upper level set of a given area. The
    ranking follows the gradient of log f_c at that mask, the area follows the constraint: it shrinks while
    the target is met and grows while it is missed. "All kept" and "all covered" cannot be reached, so no image
    gets stuck there; see `vissum_jax.masks.compact`.

    Attributes:
        name: Preset name.
        target_drop: (p0 - p1) / p0 that the binary mask must reach.
        steps: Most gradient steps an image gets.
        grid: Side of the grid of ranking values.
        grid_sigma: Width of the Gaussian that interpolates the grid, in grid cells.
        softness: Width of the sigmoid through which the gradient sees the level set, in standard deviations
            of the ranking.
        edge_softness: The same for the continuous mask that is returned; its value 1/2 is the binary mask's edge.
        learning_rate: Length of a step, in standard deviations of the ranking.
        momentum: Share of the previous direction that is kept.
        anchor: Share of the way back to the warm start's ranking that a step goes.
        area_rate: Largest relative change of the area in one step.
        margin: Distance from the target, in nats, at which the area changes at its full rate.
        initial_area: Upper bound on the area that the search starts from, where the warm start meets the target
            at all.
        path_points: Points on the way from the blurred image to the clean one whose gradients start the ranking, beside
            the clean image's; 0 for that alone.
        warm_start_sigma: Width in pixels of the smoothing of these gradients.
        jitter: Largest shift in pixels of the image in a robust step.
        robust_every: One step in this many is a robust one, in turn under a shift of the image and under each
            perturbation of `robust`; 0 for none.
        robust: Perturbations that the masks shall survive beside the blur. Those of
            `vissum_jax.masks.perturbation.TRANSFERS` that are not among them judge what transfers.
        first_bisections: Halvings of the area at the start, along the warm start's ranking.
        last_bisections: Halvings of the gap below the smallest area at the end, along each of the best and the last
            ranking.
        patience: An image stops after this many steps without a smaller mask.
        improvement: Relative decrease of the area that counts as smaller.
        perturbation: Phi at a binary mask: the full kernel, so that it equals the varying blur there.
        seed: Seed of the shifts.
    """

    name: str = "compact"
    target_drop: float = 0.99
    steps: int = 120
    grid: int = 28
    grid_sigma: float = 1.0
    softness: float = 1.0
    edge_softness: float = 0.1
    learning_rate: float = 0.3
    momentum: float = 0.9
    anchor: float = 0.1
    area_rate: float = 0.1
    margin: float = 2.0
    initial_area: float = 0.5
    path_points: int = 5
    warm_start_sigma: float = 8.0
    jitter: int = 6
    robust_every: int = 4
    robust: tuple[MeanColour | BlurBlend | Noise, ...] = (MeanColour(),)
    first_bisections: int = 4
    last_bisections: int = 3
    patience: int = 40
    improvement: float = 0.01
    perturbation: BlurBlend = field(default_factory=BlurBlend)
    seed: int = 0

    def __post_init__(self) -> None:
        """Check ranges."""
        _check_share(self, "target_drop", "momentum", "improvement")
        _check_positive(
            self,
            "steps",
            "grid_sigma",
            "softness",
            "edge_softness",
            "learning_rate",
            "area_rate",
            "margin",
            "warm_start_sigma",
            "first_bisections",
            "last_bisections",
            "patience",
        )
        if self.grid < 2:
            raise ValueError(f"`grid` must be at least 2, got {self.grid}.")
        if not 0 < self.initial_area <= 1:
            raise ValueError(f"`initial_area` must be in (0, 1], got {self.initial_area}.")
        if not 0 <= self.anchor < 1:
            raise ValueError(f"`anchor` must be in [0, 1), got {self.anchor}.")
        for name in ("jitter", "robust_every", "path_points"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` must not be negative, got {getattr(self, name)}.")
        if self.robust_every == 1:
            raise ValueError("`robust_every` must be 0 or at least 2, got 1: robust steps judge no mask.")


MaskConfig = PhasedConfig | CompactConfig

_AUTHORS_BLEND = BlurBlend(sigma=10.0, radius=5)
_COARSE = PhaseConfig(iterations=300, area_weight=0.01, tv_weight=1e-4, crisp_weight=0.0, grid=28, smoothing_sigma=5.0)
_CRISP_WEIGHTS = {"iterations": 150, "area_weight": 0.01, "tv_weight": 1.0, "crisp_weight": 2.0}

PRESETS: dict[str, MaskConfig] = {
    "compact": CompactConfig(),
    "paper": PhasedConfig(
        name="paper",
        phases=(
            PhaseConfig(iterations=300, area_weight=0.01, tv_weight=1e-4, crisp_weight=0.0),
            PhaseConfig(**_CRISP_WEIGHTS),
        ),
    ),
    "authors": PhasedConfig(
        name="authors",
        phases=(_COARSE, PhaseConfig(**_CRISP_WEIGHTS, quantise_start=True)),
        perturbation=_AUTHORS_BLEND,
    ),
    "iebb": PhasedConfig(name="iebb", phases=(_COARSE,), perturbation=_AUTHORS_BLEND),
}


def preset(name: str) -> MaskConfig:
    """Look a preset up by name.

    Raises:
        ValueError: If there is no such preset; the message names the nearest.
    """
    if name in PRESETS:
        return PRESETS[name]
    near = difflib.get_close_matches(name, PRESETS, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(f"unknown preset {name!r}: {hint}known presets are {', '.join(PRESETS)}.")
