"""Extremal perturbations: the smooth mask of a given area that changes a class score most.

Fong, Patrick, Vedaldi, Understanding Deep Networks via Extremal Perturbations and Smooth Masks, ICCV 2019 (EP). Here
a mask is 1 on the region sought: the region is blurred (deletion) or everything else is (preservation).

Open readings: the profile of the kernel and the temperature of the smooth maximum are ours. So is the start, the mask
under which the network sees the image as it is (from a fully blurred image, whose gradient says little, deletion
ended at smaller drops on the photographs tried). Pixels of equal value, of which there are many at first,
share what the area term wants of their ranks; in the order of their positions one border would be favoured.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from vissum_jax.attribution.gradient import own_logit
from vissum_jax.ops.blur import gaussian_matrix
from vissum_jax.types import Classifier


@dataclass(frozen=True, kw_only=True)
class ExtremalConfig:
    """Constants of the search, the published ones but for `variant`.

    Attributes:
        variant: ``deletion``: the score falls when the region is blurred; ``preservation`` (the published default): it
            stays high when everything else is.
        iterations: Gradient steps.
        learning_rate: Of stochastic gradient descent.
        momentum: Share of the velocity that is kept.
        step: Side in pixels of the cells whose values are optimised.
        sigma: Width in pixels of the kernel that paints a cell.
        temperature: T of the smooth maximum.
        levels: Widths of the blur pyramid, evenly spaced from 0 to `sigma_max`.
        sigma_max: Largest width of the blur in pixels.
        area_weight: lambda of the area term at the first step.
        area_growth: Factor of lambda from step to step.
        flip: Whether each step mirrors the network's input at random.
        seed: Seed of the flips.
    """

    variant: Literal["deletion", "preservation"] = "deletion"
    iterations: int = 800
    learning_rate: float = 0.01
    momentum: float = 0.9
    step: int = 7
    sigma: float = 21.0
    temperature: float = 0.05
    levels: int = 8
    sigma_max: float = 20.0
    area_weight: float = 300.0
    area_growth: float = 1.0035
    flip: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        """Check ranges."""
        if self.variant not in ("deletion", "preservation"):
            raise ValueError(f"`variant` must be 'deletion' or 'preservation', got {self.variant!r}.")
        for name in ("iterations", "learning_rate", "step", "sigma", "temperature", "sigma_max", "area_weight"):
            if not getattr(self, name) > 0:
                raise ValueError(f"`{name}` must be positive, got {getattr(self, name)}.")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"`momentum` must be in [0, 1), got {self.momentum}.")
        if self.levels < 2:
            raise ValueError(f"`levels` must be at least 2, got {self.levels}.")
        if not self.area_growth >= 1:
            raise ValueError(f"`area_growth` must be at least 1, got {self.area_growth}.")

    @property
    def reach(self) -> int:
        """Cells on each side of its own that a pixel sees: those within `sigma`, and one more."""
        return 1 + math.ceil(self.sigma / self.step)


def cell_count(size: int, config: ExtremalConfig) -> int:
    """Cells along a line of so many pixels."""
    return -(-size // config.step)


def kernel_profile(distance: Float[np.ndarray, "*n"], sigma: float) -> Float[np.ndarray, "*n"]:
    """k(u) = exp(-2 max(0, |u| / sigma - 1/2)^2): 1 up to half of sigma, then falling like a Gaussian."""
    return np.exp(-2.0 * np.maximum(0.0, distance / sigma - 0.5) ** 2)


def smooth_mask(
    cells: Float[Array, "rows columns"], height: int, width: int, config: ExtremalConfig
) -> Float[Array, "h w"]:
    """Smooth max-convolution m(u) = smax over cells v of k(u - c_v) z_v (EP section 3).

    smax f = sum_v f_v exp(f_v / T) / sum_v exp(f_v / T) over the cells v within reach of u; c_v is a cell's centre.
    Unlike a blur it reaches 1 wherever a cell does.

    Args:
        cells: Values z in [0, 1], (ceil(h / step), ceil(w / step)).
        height: Rows of the mask.
        width: Columns of the mask.
        config: step, sigma, temperature.
    """
    rows, columns = cells.shape
    reach, step = config.reach, config.step
    offsets = np.array(list(itertools.product(range(-reach, reach + 1), repeat=2)))
    within = np.arange(step) - (step - 1) / 2  # pixels of a cell from its centre
    dy, dx = (step * along[:, None] - within for along in offsets.T)
    weights = kernel_profile(np.hypot(dy[:, :, None], dx[:, None, :]), config.sigma).astype(np.float32)
    values, exists = jnp.pad(cells, reach), jnp.pad(jnp.ones_like(cells), reach)

    @jax.checkpoint  # recomputed rather than kept: a value for each pixel and cell in reach
    def add(sums: tuple[Array, Array], tap: tuple[Array, Array]) -> tuple[tuple[Array, Array], None]:
        """Add the cell at one offset from every pixel's own; axes (step, step, rows, columns), the long ones last."""
        offset, weight = tap
        start = reach + offset
        near, there = (jax.lax.dynamic_slice(one, start, (rows, columns)) for one in (values, exists))
        painted = weight[..., None, None] * near
        share = there * jnp.exp(painted / config.temperature)
        return (sums[0] + painted * share, sums[1] + share), None

    zero = jnp.zeros((step, step, rows, columns), cells.dtype)
    (numerator, denominator), _ = jax.lax.scan(add, (zero, zero), (offsets, weights))
    return (numerator / denominator).transpose(2, 0, 3, 1).reshape(rows * step, columns * step)[:height, :width]


def area_loss(mask: Float[Array, "h w"], area: Float[Array, ""]) -> Float[Array, ""]:
    """Mean (vecsort(m) - r_a)^2, r_a = 0 for the share 1 - a of the smallest values, then 1 (EP section 3).

    Equal values share what r_a holds at their ranks.
    """
    values = jnp.sort(mask.ravel())
    index = jnp.arange(values.size)
    zeros = values.size - jnp.round(area * values.size).astype(index.dtype)
    step = jnp.concatenate([jnp.ones(1, bool), values[1:] != values[:-1], jnp.ones(1, bool)])
    first = jax.lax.cummax(jnp.where(step[:-1], index, 0))
    end = jax.lax.cummin(jnp.where(step[1:], index + 1, values.size), reverse=True)
    template = (end - jnp.clip(zeros, first, end)) / (end - first)
    return jnp.mean((values - template) ** 2)


def blur_pyramid(image: Float[Array, "h w 3"], config: ExtremalConfig) -> Float[Array, "levels 3 h w"]:
    """The image under blurs of evenly spaced widths, from none to the strongest."""
    sigmas = np.linspace(0.0, config.sigma_max, config.levels).tolist()
    rows, columns = (np.stack([gaussian_matrix(size, sigma) for sigma in sigmas]) for size in image.shape[:2])
    return jnp.einsum("sij,jkc,slk->scil", rows, image, columns, precision="highest")


def perturb(pyramid: Float[Array, "levels 3 h w"], strength: Float[Array, "h w"]) -> Float[Array, "h w 3"]:
    """Linear interpolation in the pyramid: strength 0 is the image, 1 the strongest blur."""
    last = len(pyramid) - 1
    level = jnp.arange(len(pyramid), dtype=pyramid.dtype)[:, None, None]
    weights = jnp.maximum(0.0, 1.0 - jnp.abs(strength * last - level))
    return jnp.einsum("lhw,lchw->hwc", weights, pyramid, precision="highest")


def extremal_perturbation(
    classifier: Classifier,
    images: Float[Array, "b h w 3"],
    class_index: Int[Array, " b"],
    area: Float[Array, " b"],
    config: ExtremalConfig,
) -> Float[Array, "b h w"]:
    """Masks of given areas, by gradient descent with momentum from the clean image (EP section 3).

    min over z in [0, 1] of  +-S_c(Phi(x; m(z))) + lambda_t mean (vecsort(m(z)) - r_a)^2,  lambda_t = lambda_0 growth^t,

    S_c the logit, + for deletion. Images do not interact: the flips are the same for all of them.

    Args:
        classifier: The network explained.
        images: RGB in [0, 1].
        class_index: Class explained of each image.
        area: Share of each image that its region should cover.
        config: The search's constants.

    Returns:
        Masks in [0, 1], 1 = in the region.
    """
    height, width = images.shape[1:3]
    deletion = config.variant == "deletion"
    pyramids = jax.vmap(partial(blur_pyramid, config=config))(images)
    key = jax.random.key(config.seed)

    def masks_of(cells: Array) -> Float[Array, "b h w"]:
        return jax.vmap(lambda one: smooth_mask(one, height, width, config))(cells)

    def objective(cells: Array, number: Int[Array, ""]) -> Float[Array, ""]:
        masks = masks_of(cells)
        perturbed = jax.vmap(perturb)(pyramids, masks if deletion else 1.0 - masks)
        if config.flip:
            mirrored = jax.random.bernoulli(jax.random.fold_in(key, number))
            perturbed = jnp.where(mirrored, perturbed[:, :, ::-1], perturbed)
        score = own_logit(classifier(perturbed).logits, class_index)
        weight = config.area_weight * config.area_growth ** number.astype(jnp.float32)
        penalty = weight * jax.vmap(area_loss)(masks, area)
        return jnp.sum((score if deletion else -score) + penalty)

    def step(number: Int[Array, ""], carry: tuple[Array, Array]) -> tuple[Array, Array]:
        cells, velocity = carry
        velocity = config.momentum * velocity + jax.grad(objective)(cells, number)
        return jnp.clip(cells - config.learning_rate * velocity, 0.0, 1.0), velocity

    shape = (len(images), cell_count(height, config), cell_count(width, config))
    clean = jnp.full(shape, 0.0 if deletion else 1.0, images.dtype)
    return masks_of(jax.lax.fori_loop(0, config.iterations, step, (clean, jnp.zeros_like(clean)))[0])
