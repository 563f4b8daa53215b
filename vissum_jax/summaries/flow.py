"""Dense flow from matched boxes: which pixel of one image corresponds to which of another."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy import ndimage, sparse
from scipy.sparse.linalg import splu
from skimage.color import rgb2lab

from vissum_jax.summaries.config import SummaryConfig

_LAB_RANGE = 100.0
"""Lightness spans so many units; dividing by it brings colour distances to the order of one."""


def paint_flow(
    boxes: Int[np.ndarray, "k 4"],
    matched: Int[np.ndarray, "k 4"],
    confidence: Float[np.ndarray, " k"],
    window: tuple[int, int, int, int],
) -> Float[np.ndarray, "h w 2"]:
    """Flow of every pixel of a window, by the surest box that covers it (PF, section 5).

    A box takes its pixels to the box it is matched with by shift and scale,

        (u, v) -> (x' + (u - x) w'/w, y' + (v - y) h'/h),

    boxes are asked by falling confidence, and each pixel is taken once.

    Args:
        boxes: (x, y, width, height) in the window's image.
        matched: Their partners in the other image.
        confidence: Of each match.
        window: (x, y, width, height).

    Returns:
        (dx, dy) in pixels; NaN where no box reaches.
    """
    left, top, width, height = window
    # Centres of pixels, for boxes are measured from the corners of pixels.
    u, v = np.arange(left, left + width) + 0.5, np.arange(top, top + height) + 0.5
    flow = np.full((height, width, 2), np.nan)
    for k in np.argsort(-confidence, kind="stable")[::-1]:
        x, y, w, h = boxes[k].tolist()
        other_x, other_y, other_w, other_h = matched[k].tolist()
        rows = slice(max(y - top, 0), max(y + h - top, 0))
        columns = slice(max(x - left, 0), max(x + w - left, 0))
        flow[rows, columns, 0] = (other_x + (u[columns] - x) * other_w / w - u[columns])[None]
        flow[rows, columns, 1] = (other_y + (v[rows] - y) * other_h / h - v[rows])[:, None]
    return flow


def _edges(height: int, width: int) -> Int[np.ndarray, "edges 2"]:
    """Pairs of neighbouring pixels, to the right and below, as flat indices."""
    index = np.arange(height * width).reshape(height, width)
    right = np.stack([index[:, :-1].ravel(), index[:, 1:].ravel()], axis=1)
    below = np.stack([index[:-1].ravel(), index[1:].ravel()], axis=1)
    return np.concatenate([right, below])


def smooth_flow(
    flow: Float[np.ndarray, "h w 2"], image: UInt8[np.ndarray, "h w 3"], config: SummaryConfig
) -> Float[np.ndarray, "h w 2"]:
    """Smooth a flow where neither colours nor the flow itself jump, and fill its gaps.

        minimise over u   sum_p [f_p known] |u_p - f_p|^2 + lambda sum_(p,q) a_pq b_pq |u_p - u_q|^2,
        a_pq = exp(-30 |Lab_p - Lab_q|) + 1e-5,   b_pq = exp(-15 |o_p - o_q|) + 1e-5

    over pairs of 4-neighbours; o is f in the first round and the last round's u in the next ones. Colour
    distances are in units of the lightness range, flow distances in pixels; where f is not known, b is 1.

    Args:
        flow: f in pixels; NaN where not known, but known somewhere.
        image: The colours under it.
        config: Constants.

    Returns:
        u in pixels.
    """
    height, width = flow.shape[:2]
    first, second = _edges(height, width).T
    colours = rgb2lab(image).reshape(-1, 3) / _LAB_RANGE
    observed = flow.reshape(-1, 2)
    known = np.asarray(np.isfinite(observed).all(axis=1))
    data = np.where(known[:, None], observed, 0.0)
    floor = config.flow_weight_floor
    colour = np.exp(-config.flow_colour_decay * np.linalg.norm(colours[first] - colours[second], axis=1)) + floor
    current = observed
    for _ in range(config.flow_rounds):
        jump = np.linalg.norm(current[first] - current[second], axis=1)
        jump = np.where(np.isfinite(jump), jump, 0.0)
        weight = config.flow_smoothness * colour * (np.exp(-config.flow_offset_decay * jump) + floor)
        system = _data_plus_laplacian(known, first, second, weight)
        current = splu(system).solve(data)
    return current.reshape(flow.shape)


def _data_plus_laplacian(
    known: Bool[np.ndarray, " p"],
    first: Int[np.ndarray, " e"],
    second: Int[np.ndarray, " e"],
    weight: Float[np.ndarray, " e"],
) -> sparse.csc_matrix:
    """Matrix of the normal equations: 1 for known pixels plus the weighted graph Laplacian."""
    count = len(known)
    degree = np.bincount(first, weight, count) + np.bincount(second, weight, count)
    off_diagonal = sparse.coo_matrix((weight, (first, second)), shape=(count, count))
    return sparse.csc_matrix(sparse.diags(known + degree) - off_diagonal - off_diagonal.T)


def warp(
    grey: Float[np.ndarray, "height width"], flow: Float[np.ndarray, "h w 2"], corner: tuple[int, int]
) -> Float[np.ndarray, "h w"]:
    """What the flow points at: a window at `corner` (x, y), filled from another image by cubic splines.

    Args:
        grey: The other image, in [0, 255]; its edge pixels continue beyond its borders.
        flow: (dx, dy) from each pixel of the window to the other image.
        corner: Upper left pixel of the window.

    Returns:
        Grey values in [0, 255].
    """
    height, width = flow.shape[:2]
    rows = np.arange(height)[:, None] + corner[1] + flow[..., 1]
    columns = np.arange(width)[None] + corner[0] + flow[..., 0]
    return np.clip(ndimage.map_coordinates(grey, [rows, columns], order=3, mode="nearest"), 0.0, 255.0)
