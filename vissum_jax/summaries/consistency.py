"""How alike the members of a cluster look, laid over each other."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num, UInt8

from vissum_jax.ops.resize import crop_and_resize
from vissum_jax.ops.ssim import SsimConfig, ssim_matrix
from vissum_jax.summaries.config import SummaryConfig

SSIM = SsimConfig()
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey value (ITU-R BT.601)."""


def to_grey(image: Num[Array, "*n 3"]) -> Float[Array, "*n"]:
    """Grey values in the range of the colours."""
    return jnp.einsum("...c,c->...", image.astype(jnp.float32), jnp.array(LUMA), precision="highest")


@jax.jit
def _resized_crops(
    images: UInt8[Array, "b h w 3"], boxes: Int[Array, "b 4"], size: Int[Array, " 2"]
) -> Float[Array, "b h w"]:
    """Grey crops of the boxes, resized to `size` (rows, columns), in the upper left of canvases."""

    def one(image, box):
        height, width = image.shape[:2]
        grey = to_grey(image)[..., None]
        return crop_and_resize(grey, box.astype(jnp.float32), size, height=height, width=width)[..., 0]

    return jax.vmap(one)(images, boxes)


_compare = jax.jit(functools.partial(ssim_matrix, config=SSIM))


def member_similarities(
    images: UInt8[np.ndarray, "n h w 3"],
    image_ids: Int[np.ndarray, " m"],
    boxes: Int[np.ndarray, "m 4"],
    config: SummaryConfig,
) -> Float[np.ndarray, "m k"]:
    """Structural similarity of each member with the first `config.top_members` ones.

    Every member's crop is resized to the exemplar's box. Members go to the device a fixed number at a time
    and onto canvases of one shape, so that clusters of all sizes share one program.

    Args:
        images: The class's images.
        image_ids: The image of each member, the exemplar first.
        boxes: The box of each member.
        config: Constants.

    Returns:
        Grey SSIM, NaN for a member with itself and where the exemplar's box is smaller than the window.
    """
    step, count = config.top_members, len(boxes)
    size = jnp.asarray(boxes[0][[3, 2]])

    def crops(start: int) -> Float[Array, "step h w"]:
        # The last batch is filled up with exemplars.
        rows = np.arange(start, start + step)
        rows = np.where(rows < count, rows, 0)
        return _resized_crops(images[image_ids[rows]], boxes[rows], size)

    top = crops(0)
    blocks = [np.asarray(_compare(crops(start) if start else top, top, size)) for start in range(0, count, step)]
    out = np.concatenate(blocks)[:count, : min(step, count)].astype(np.float64)
    np.fill_diagonal(out, np.nan)
    return out
