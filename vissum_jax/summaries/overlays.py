"""Members of a cluster laid over its exemplar, so that they can be compared pixel by pixel."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num, UInt8

from vissum_jax.ops.resize import crop_and_resize
from vissum_jax.summaries.config import SummaryConfig
from vissum_jax.summaries.flow import paint_flow, smooth_flow, warp

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey value (ITU-R BT.601)."""


def to_grey(image: Num[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
    """Grey values in the range of the colours."""
    return image.astype(np.float32) @ np.array(LUMA, dtype=np.float32)


@jax.jit
def _resized_crops(
    greys: Float[Array, "b h w"], boxes: Int[Array, "b 4"], size: Int[Array, " 2"]
) -> Float[Array, "b h w"]:
    """What the boxes show, resized to `size` (rows, columns), in the upper left of canvases."""

    def one(grey, box):
        height, width = grey.shape
        box = box.astype(jnp.float32)
        return crop_and_resize(grey[..., None], box, size, height=height, width=width)[..., 0]

    return jax.vmap(one)(greys, boxes)


def resized_overlays(
    images: UInt8[np.ndarray, "n h w 3"],
    image_ids: Int[np.ndarray, " m"],
    boxes: Int[np.ndarray, "m 4"],
    config: SummaryConfig,
) -> Float[np.ndarray, "m h w"]:
    """Every member's box in grey, resized to the exemplar's, in the upper left of canvases.

    Args:
        images: The class's images.
        image_ids: The image of each member, the exemplar first.
        boxes: The box of each member.
        config: Constants; members go to the device `config.top_members` at a time, for one compiled shape.

    Returns:
        Values in [0, 255]; what lies beyond the exemplar's height and width means nothing.
    """
    step, count = config.top_members, len(boxes)
    size = jnp.asarray(boxes[0][[3, 2]])
    overlays = []
    for start in range(0, count, step):
        # The last batch is filled up with exemplars.
        rows = np.arange(start, start + step)
        rows = np.where(rows < count, rows, 0)
        greys = np.stack([to_grey(images[image]) for image in image_ids[rows]])
        overlays.append(np.asarray(_resized_crops(greys, boxes[rows], size)))
    return np.concatenate(overlays)[:count]


def flow_overlays(
    images: UInt8[np.ndarray, "n h w 3"],
    members: Int[np.ndarray, " m"],
    similarity: Float[np.ndarray, "k k"],
    boxes: Int[np.ndarray, "k 4"],
    image_ids: Int[np.ndarray, " k"],
    config: SummaryConfig,
) -> Float[np.ndarray, "m h w"]:
    """Every member's image in grey, warped to the exemplar's by dense flow and cut out at its box (VS 3.2).

    The flow comes from the matches between all boxes of the two images, each box of the exemplar's image with
    the box most similar to it; the exemplar itself goes to the member. It is solved within the exemplar's box
    alone, the only part that is looked at, so that its cost follows the part and not the image.

    Args:
        images: The class's images.
        members: Rows of the members, the exemplar first.
        similarity: Match scores of all boxes of the class.
        boxes: (x, y, width, height) of all boxes.
        image_ids: The image of each box.
        config: Constants.

    Returns:
        As `resized_overlays`.
    """
    exemplar = members[0]
    x, y, w, h = boxes[exemplar].tolist()
    target = images[image_ids[exemplar]]
    here = np.flatnonzero(image_ids == image_ids[exemplar])
    overlays = np.zeros((len(members), *images.shape[1:3]), dtype=np.float32)
    overlays[0, :h, :w] = to_grey(target[y : y + h, x : x + w])
    for rank, member in enumerate(members[1:], start=1):
        there = np.flatnonzero(image_ids == image_ids[member])
        scores = similarity[np.ix_(here, there)]
        partner = there[scores.argmax(axis=1)]
        partner[here == exemplar] = member
        confidence = similarity[here, partner]
        sure = (confidence > 0) | (here == exemplar)
        flow = paint_flow(boxes[here[sure]], boxes[partner[sure]], confidence[sure], (x, y, w, h))
        flow = smooth_flow(flow, target[y : y + h, x : x + w], config)
        overlays[rank, :h, :w] = warp(to_grey(images[image_ids[member]]), flow, (x, y))
    return overlays
