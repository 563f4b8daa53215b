"""How alike the members of a cluster look, laid over each other."""

from __future__ import annotations

import jax
import numpy as np
from jaxtyping import Float

from vissum_jax.ops.ssim import ssim_matrix
from vissum_jax.summaries.config import SummaryConfig

_compare = jax.jit(ssim_matrix, static_argnames="config")


def member_similarities(
    overlays: Float[np.ndarray, "m h w"], size: tuple[int, int], config: SummaryConfig
) -> Float[np.ndarray, "m k"]:
    """Structural similarity of each member with the first `config.top_members` ones.

    Members go to the device a fixed number at a time and on canvases of one shape, so that clusters of all
    sizes share one program.

    Args:
        overlays: The members in grey, laid over the exemplar, the exemplar first.
        size: (rows, columns) of the exemplar's box.
        config: Constants.

    Returns:
        SSIM; NaN for a member with itself and where the exemplar's box is smaller than the window.
    """
    step, count = config.top_members, len(overlays)
    batches = -(-count // step)
    padded = np.pad(overlays, ((0, batches * step - count), (0, 0), (0, 0)))
    size_array = np.array(size)
    blocks = [
        np.asarray(_compare(padded[k * step : (k + 1) * step], padded[:step], size_array, config=config.ssim))
        for k in range(batches)
    ]
    out = np.concatenate(blocks)[:count, : min(step, count)].astype(np.float64)
    np.fill_diagonal(out, np.nan)
    return out
