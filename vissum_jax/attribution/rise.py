"""RISE: how probable a class is while a pixel is visible, averaged over random masks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vissum_jax.ops.resize import sampling_matrix
from vissum_jax.types import Classifier


@dataclass(frozen=True, kw_only=True)
class RiseConfig:
    """Random masks (Petsiuk, Das, Saenko 2018, section 3.2).

    Attributes:
        masks: Number of masks N (the paper: 4000 for VGG16, 8000 for ResNet50).
        grid: Cells s on each side of the small binary mask.
        keep: Probability p of a cell to be kept.
        colour: RGB in [0, 1] that hidden pixels fade to. The paper multiplies inputs from which ImageNet's mean has
            been subtracted, so they fade to that mean; here networks normalise in their own ways, and the mean is
            named.
    """

    masks: int = 4000
    grid: int = 7
    keep: float = 0.5
    colour: tuple[float, float, float] = (0.485, 0.456, 0.406)

    def __post_init__(self) -> None:
        """Check ranges."""
        for name in ("masks", "grid"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}.")
        if not 0 < self.keep < 1:
            raise ValueError(f"`keep` must be in (0, 1), got {self.keep}.")
        if len(self.colour) != 3 or not all(0 <= value <= 1 for value in self.colour):
            raise ValueError(f"`colour` must be three values in [0, 1], got {self.colour}.")


def random_mask(key: Array, height: int, width: int, config: RiseConfig) -> Float[Array, "h w"]:
    """A binary s x s grid, upsampled bilinearly to (s + 1) cells on each side and cropped at a random place.

    A cell has ceil(h / s) x ceil(w / s) pixels, and the crop starts 0 to one cell from the upper left.
    """
    bits, down, right = jax.random.split(key, 3)
    grid = jax.random.bernoulli(bits, config.keep, (config.grid, config.grid)).astype(jnp.float32)
    rows = _shifted_upsampling(down, height, config.grid)
    columns = _shifted_upsampling(right, width, config.grid)
    return jnp.einsum("ig,gk,jk->ij", rows, grid, columns, precision="highest")


def _shifted_upsampling(key: Array, size: int, grid: int) -> Float[Array, "size grid"]:
    """Linear interpolation from `grid` cells to a line that is one cell longer than the image, and a random crop."""
    cell = math.ceil(size / grid)
    length = (grid + 1) * cell
    line = sampling_matrix(jnp.zeros(()), jnp.asarray(float(grid)), length, rows=length, source=grid)
    return jax.lax.dynamic_slice_in_dim(line, jax.random.randint(key, (), 0, cell + 1), size)


def rise(
    classifier: Classifier,
    images: Float[Array, "b h w 3"],
    class_index: Int[Array, " b"],
    config: RiseConfig,
    *,
    key: Array,
) -> Float[Array, "b h w"]:
    """Saliency S(u) = 1/(N p) sum_i f_c(M_i I + (1 - M_i) colour) M_i(u).

    Estimates E[f_c | M(u) = 1]. Uses the network's answers alone, no gradients. One mask at a time for the whole
    batch, so that memory does not grow with N.

    Source: Petsiuk, Das, Saenko, RISE, BMVC 2018, section 3.

    Args:
        classifier: The network explained.
        images: RGB in [0, 1].
        class_index: Class explained of each image.
        config: The masks.
        key: Random key of the masks, which are the same for all images: maps do not depend on what else is in the
            batch.

    Returns:
        Maps in [0, 1 / p], higher = more salient; what counts is differences within a map.
    """
    batch, height, width, _ = images.shape
    colour = jnp.asarray(config.colour, images.dtype)

    def add(number: Int[Array, ""], total: Array) -> Array:
        mask = random_mask(jax.random.fold_in(key, number), height, width, config)
        logits = classifier(colour + mask[..., None] * (images - colour)).logits.astype(jnp.float32)
        probability = jax.nn.softmax(logits)[jnp.arange(batch), class_index]
        return total + probability[:, None, None] * mask

    total = jax.lax.fori_loop(0, config.masks, add, jnp.zeros((batch, height, width), jnp.float32))
    return total / (config.masks * config.keep)
