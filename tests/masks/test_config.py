import dataclasses
import re

import pytest

from vissum_jax.masks.config import PRESETS, AdamConfig, CompactConfig, PhaseConfig, PhasedConfig, preset
from vissum_jax.masks.perturbation import BlurBlend, VaryingBlur

PHASE = {"iterations": 1, "area_weight": 0.0, "tv_weight": 0.0, "crisp_weight": 0.0}
POSITIVE = (
    "steps", "grid_sigma", "softness", "edge_softness", "learning_rate", "area_rate", "margin", "warm_start_sigma",
    "first_bisections", "last_bisections", "patience",
)  # fmt: skip

SHARES = ("target_drop", "momentum", "improvement")


def raises(message):
    return pytest.raises(ValueError, match=f"^{re.escape(message)}$")


def test_presets_are_named_and_hashable():
    for name, config in PRESETS.items():
        assert preset(name) is config
        assert config.name == name
        assert hash(config) == hash(dataclasses.replace(config))


def test_the_paper_in_numbers():
    coarse, crisp = preset("paper").phases
    assert (coarse.iterations, coarse.area_weight, coarse.tv_weight, coarse.crisp_weight) == (300, 0.01, 1e-4, 0)
    assert (crisp.iterations, crisp.area_weight, crisp.tv_weight, crisp.crisp_weight) == (150, 0.01, 1, 2)
    assert coarse.tv_exponent == crisp.tv_exponent == 3
    assert coarse.grid is None
    assert preset("paper").perturbation == VaryingBlur()
    assert preset("paper").perturbation.scale.sigma_max == 10
    assert preset("paper").optimiser == AdamConfig(learning_rate=0.1, beta1=0.9, beta2=0.999, epsilon=1e-8)


def test_the_released_code_in_numbers():
    coarse, crisp = preset("authors").phases
    assert (coarse.grid, coarse.smoothing_sigma, coarse.quantise_start) == (28, 5, False)
    assert (crisp.grid, crisp.smoothing_sigma, crisp.quantise_start) == (None, 0, True)
    assert preset("authors").perturbation == BlurBlend(sigma=10.0, radius=5)
    assert preset("authors").disc_radius == 0.5
    assert preset("iebb").phases == (coarse,)


def test_an_unknown_preset_names_the_nearest():
    with raises("unknown preset 'papper': did you mean 'paper'? known presets are compact, paper, authors, iebb."):
        preset("papper")
    with raises("unknown preset 'xyz': known presets are compact, paper, authors, iebb."):
        preset("xyz")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"iterations": 0}, "`iterations` must be positive, got 0."),
        ({"tv_exponent": -1.0}, "`tv_exponent` must be positive, got -1.0."),
        ({"area_weight": -0.1}, "`area_weight` must not be negative, got -0.1."),
        ({"tv_weight": -0.1}, "`tv_weight` must not be negative, got -0.1."),
        ({"crisp_weight": -0.1}, "`crisp_weight` must not be negative, got -0.1."),
        ({"smoothing_sigma": -1.0}, "`smoothing_sigma` must not be negative, got -1.0."),
        ({"grid": 1}, "`grid` must be at least 2 or None, got 1."),
    ],
)
def test_wrong_phases_are_named(wrong, message):
    with raises(message):
        PhaseConfig(**PHASE | wrong)


def test_wrong_optimisers_are_named():
    with raises("`learning_rate` must be positive, got 0."):
        AdamConfig(learning_rate=0)
    with raises("`beta2` must be in (0, 1), got 1.0."):
        AdamConfig(beta2=1.0)


def test_wrong_sequences_of_phases_are_named():
    with raises("`phases` must hold at least one phase."):
        PhasedConfig(name="none", phases=())
    with raises("`grid` must be None after the first phase: masks are handed over in pixels."):
        PhasedConfig(name="late", phases=(PhaseConfig(**PHASE), PhaseConfig(**PHASE, grid=28)))
    with raises("`disc_radius` must be positive, got 0."):
        PhasedConfig(name="point", phases=(PhaseConfig(**PHASE),), disc_radius=0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        *(({name: 0}, f"`{name}` must be positive, got 0.") for name in POSITIVE),
        *(({name: 1.0}, f"`{name}` must be in (0, 1), got 1.0.") for name in SHARES),
        ({"grid": 1}, "`grid` must be at least 2, got 1."),
        ({"initial_area": 1.5}, "`initial_area` must be in (0, 1], got 1.5."),
        ({"anchor": 1.0}, "`anchor` must be in [0, 1), got 1.0."),
        ({"jitter": -1}, "`jitter` must not be negative, got -1."),
        ({"robust_every": -4}, "`robust_every` must not be negative, got -4."),
        ({"path_points": -1}, "`path_points` must not be negative, got -1."),
        ({"robust_every": 1}, "`robust_every` must be 0 or at least 2, got 1: robust steps judge no mask."),
    ],
)
def test_wrong_searches_are_named(wrong, message):
    with raises(message):
        CompactConfig(**wrong)


def test_nan_is_no_setting():
    for name in ("target_drop", "learning_rate"):
        with pytest.raises(ValueError, match=f"^`{name}` must be .*, got nan.$"):
            CompactConfig(**{name: float("nan")})
