"""Photographs with their masks applied, as pictures."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, UInt8

from vissum_jax.masks.perturbation import BlurBlend, perturb
from vissum_jax.masks.solve import JUDGE, to_unit
from vissum_jax.pipeline.contenders import in_batches
from vissum_jax.pipeline.memory import default_batch_size
from vissum_jax.types import MaskBatch

# A binary mask knows two widths only: at these the judge's blur is a blend with one blurred picture, and its whole
# scale space need not be made.
_BLUR = BlurBlend(sigma=JUDGE.scale.sigma_max)


def perturbed_pictures(images: UInt8[np.ndarray, "n h w 3"], masks: MaskBatch) -> UInt8[np.ndarray, "n h w 3"]:
    """What the network saw when `p_binary` was measured; photographs without a mask as they are."""
    rows = np.flatnonzero(masks.has_mask)
    pictures = images.copy()
    if len(rows):
        pictures[rows] = in_batches(_blurred, images[rows], masks.salient[rows], size=default_batch_size())
    return pictures


@jax.jit
def _blurred(images: UInt8[Array, "b h w 3"], salient: Bool[Array, "b h w"]) -> UInt8[Array, "b h w 3"]:
    shown = perturb(_BLUR, to_unit(images), 1.0 - salient)
    return jnp.rint(255.0 * jnp.clip(shown, 0.0, 1.0)).astype(jnp.uint8)
