"""Programs whose steps are counted: the bare network's descent, and presets cut to some of their steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from vissum_jax.masks import compact, phased
from vissum_jax.masks.config import CompactConfig, PhasedConfig
from vissum_jax.masks.score import log_probability
from vissum_jax.types import Classifier

Descent = Callable[[Classifier, jax.Array, jax.Array], jax.Array]

RATE = 1e-6  # small: where the bare network's descent goes does not matter
JUDGEMENTS = 4
"""Of every mask at its end: the clean image, the soft mask, the binary mask, another perturbation."""


def shortened(config: PhasedConfig, iterations: int) -> PhasedConfig:
    """The preset with so many iterations in all, shared among its phases as they are."""
    whole = phased.evaluations(config)
    phases = tuple(
        dataclasses.replace(phase, iterations=max(1, round(iterations * phase.iterations / whole)))
        for phase in config.phases
    )
    return dataclasses.replace(config, phases=phases)


def endless(config: CompactConfig, steps: int) -> CompactConfig:
    """The search with so many steps for every image: none stops early, whatever the network answers."""
    return dataclasses.replace(config, steps=steps, patience=10 * steps)


def forward_passes(config: CompactConfig) -> int:
    """Evaluations without gradient that a search and its judgement spend on an image."""
    return compact.judgements(config) + JUDGEMENTS


def search_passes(config: CompactConfig) -> int:
    """All evaluations of an image whose search does not stop early."""
    return compact.evaluations(config) + JUDGEMENTS


def with_gradient(passes: float, config: CompactConfig) -> float:
    """An image's evaluations as if all had their gradient: half an evaluation is one without."""
    return passes - forward_passes(config) / 2


def bare_descent(steps: int) -> Descent:
    """Value and gradient of the network alone, so many times, in one loop: the floor under every preset."""

    def descend(classifier: Classifier, images: jax.Array, class_index: jax.Array) -> jax.Array:
        def body(_: int, images: jax.Array) -> jax.Array:
            gradient = jax.grad(lambda x: jnp.sum(log_probability(classifier, x, class_index)))(images)
            return images - RATE * gradient

        return jax.lax.fori_loop(0, steps, body, images)

    return descend
