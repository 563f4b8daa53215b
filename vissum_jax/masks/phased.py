"""The papers' penalised objective, minimised by Adam in phases (VS 3.1; FV equation 3).

Open readings, where neither text nor released code settles a detail or the two differ: penalties act on the values
optimised, on the grid where there is one; all reductions are means; the text names no initial mask, so `paper` starts
from the released code's disc; the mask handed over in 8 bits is rounded down; a last phase with smoothing ends in the
smoothed mask, which is the one the network saw.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from vissum_jax.masks.config import PhaseConfig, PhasedConfig
from vissum_jax.masks.score import log_probability
from vissum_jax.ops.blur import gaussian_blur
from vissum_jax.ops.interpolate import bilinear_matrix
from vissum_jax.ops.variation import total_variation
from vissum_jax.types import Classifier


def initial_mask(height: int, width: int, radius: float) -> Float[np.ndarray, "height width"]:
    """0 inside a centred disc of `radius` (share of the side), 1 outside."""
    y = (np.arange(height) + 0.5) / height - 0.5
    x = (np.arange(width) + 0.5) / width - 0.5
    return (np.hypot(y[:, None], x[None, :]) >= radius).astype(np.float32)


def upsample(grid: Float[Array, "g g"], height: int, width: int) -> Float[Array, "h w"]:
    """Carry a mask grid to pixels bilinearly with aligned corners."""
    rows, columns = bilinear_matrix(height, grid.shape[0]), bilinear_matrix(width, grid.shape[1])
    return jnp.einsum("ig,gk,jk->ij", rows, grid, columns, precision="highest")


def mask_of(values: Float[Array, ...], phase: PhaseConfig, height: int, width: int) -> Float[Array, "h w"]:
    """The mask that a phase's optimised values stand for."""
    mask = values if phase.grid is None else upsample(values, height, width)
    if phase.smoothing_sigma:
        smoothed = gaussian_blur(mask, phase.smoothing_sigma)
        mask = mask + jax.lax.stop_gradient(smoothed - mask)  # straight through, as the released code
    return mask


def magnitude(values: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """|v| whose gradient at 0, where clipped masks lie, is 0 as in the released code's framework; JAX's is 1."""
    return jax.lax.stop_gradient(jnp.sign(values)) * values


def penalty(values: Float[Array, ...], phase: PhaseConfig) -> Float[Array, ""]:
    """lambda_1 mean|1 - m| + lambda_2 TV_beta(m) + lambda_3 mean|m (1 - m)|, on the values optimised."""
    return (
        phase.area_weight * jnp.mean(magnitude(1.0 - values))
        + phase.tv_weight * total_variation(values, phase.tv_exponent)
        + phase.crisp_weight * jnp.mean(magnitude(values * (1.0 - values)))
    )


def hand_over(mask: Float[Array, "h w"], phase: PhaseConfig) -> Float[Array, "h w"]:
    """The mask a phase starts from: the previous one, after 8-bit quantisation if the phase asks for it."""
    if not phase.quantise_start:
        return mask
    saliency = 1.0 - (mask - jnp.min(mask)) / jnp.maximum(jnp.max(mask), jnp.finfo(mask.dtype).tiny)
    # Clipped because compilers divide by way of the reciprocal: bounds missed by a rounding are not bounds.
    return jnp.clip((255.0 - jnp.floor(saliency * 255.0)) / 255.0, 0.0, 1.0)


def minimise(
    classifier: Classifier,
    images: Float[Array, "b h w 3"],
    class_index: Int[Array, b],
    config: PhasedConfig,
) -> Float[Array, "b h w"]:
    """Masks after all phases.

    Images do not interact: the objective is a sum over the batch of terms that each depend on one mask.

    Args:
        classifier: The network explained.
        images: RGB in [0, 1].
        class_index: Class explained of each image.
        config: Phases, perturbation, optimiser.

    Returns:
        Continuous masks in [0, 1].
    """
    batch, height, width, _ = images.shape
    prepared = jax.vmap(config.perturbation.prepare)(images)
    adam = config.optimiser
    optimiser = optax.adam(adam.learning_rate, b1=adam.beta1, b2=adam.beta2, eps=adam.epsilon)

    def objective(values: Array, phase: PhaseConfig) -> Float[Array, ""]:
        masks = jax.vmap(partial(mask_of, phase=phase, height=height, width=width))(values)
        perturbed = jax.vmap(config.perturbation.apply)(images, prepared, masks)
        probability = jnp.exp(log_probability(classifier, perturbed, class_index))
        return jnp.sum(probability + jax.vmap(partial(penalty, phase=phase))(values))

    def run(start: Array, phase: PhaseConfig) -> Array:
        def step(_: int, carry: tuple[Array, optax.OptState]) -> tuple[Array, optax.OptState]:
            values, state = carry
            updates, state = optimiser.update(jax.grad(objective)(values, phase), state)
            return jax.tree.map(lambda v, u: jnp.clip(v + u, 0.0, 1.0), values, updates), state

        return jax.lax.fori_loop(0, phase.iterations, step, (start, optimiser.init(start)))[0]

    mask = jnp.broadcast_to(initial_mask(height, width, config.disc_radius), (batch, height, width))
    for number, phase in enumerate(config.phases):
        if phase.grid is not None:  # the first phase: see PhasedConfig
            start = jnp.broadcast_to(
                initial_mask(phase.grid, phase.grid, config.disc_radius), (batch, phase.grid, phase.grid)
            )
        else:
            start = jax.vmap(partial(hand_over, phase=phase))(mask) if number else mask
        values = run(start, phase)
        # The released code hands over and stores the upsampled values without the forward-only smoothing.
        mask = values if phase.grid is None else jax.vmap(lambda v: upsample(v, height, width))(values)
    smoothing = config.phases[-1].smoothing_sigma
    return jax.vmap(partial(gaussian_blur, sigma=smoothing))(mask) if smoothing else mask


def evaluations(config: PhasedConfig) -> int:
    """Network evaluations that `minimise` spends on an image."""
    return sum(phase.iterations for phase in config.phases)
