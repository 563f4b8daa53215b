"""Object proposals by selective search, for one image and for a class."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from vissum_jax.proposals.config import ProposalConfig
from vissum_jax.types import ProposalBatch


def _search(image: UInt8[np.ndarray, "h w 3"], mode: str) -> Int[np.ndarray, "k 4"]:
    """All boxes of OpenCV's selective search, in an order that is random from run to run."""
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(np.ascontiguousarray(image[..., ::-1]))
    if mode == "quality":
        search.switchToSelectiveSearchQuality()
    else:
        search.switchToSelectiveSearchFast()
    return np.asarray(search.process(), dtype=np.int32).reshape(-1, 4)


def _inside_margin(boxes: Int[np.ndarray, "k 4"], *, height: int, width: int, share: float) -> Bool[np.ndarray, k]:
    """Boxes that keep off the image's margin on all sides, or on none."""
    x, y, w, h = boxes.T
    margin_x, margin_y = share * width, share * height
    enters = np.stack([x < margin_x, y < margin_y, x + w > width - margin_x, y + h > height - margin_y])
    return np.logical_or(~enters.any(axis=0), enters.all(axis=0))


def propose(image: UInt8[np.ndarray, "h w 3"], config: ProposalConfig) -> Int[np.ndarray, "k 4"]:
    """Boxes (x, y, width, height) in pixels that may hold an object or a part of one.

    Selective search (Uijlings et al., IJCV 2013), boxes too thin or in the margin dropped, duplicates
    dropped. The search returns its boxes in random order; here they are sorted and then shuffled with
    `config.seed`, so that the same image gives the same boxes, and the first `config.max_proposals` of them
    are no particular kind of box.

    Args:
        image: RGB.
        config: Constants.

    Returns:
        At most `config.max_proposals` different boxes; perhaps none.
    """
    height, width = image.shape[:2]
    if min(height, width) < config.min_side:
        return np.zeros((0, 4), dtype=np.int32)
    boxes = _search(image, config.mode)
    large = np.minimum(boxes[:, 2], boxes[:, 3]) >= config.min_side
    inside = _inside_margin(boxes, height=height, width=width, share=config.margin_share)
    boxes = np.unique(boxes[large & inside], axis=0)
    order = np.random.default_rng(config.seed).permutation(len(boxes))
    return boxes[order[: config.max_proposals]]


def salient_share(boxes: Int[np.ndarray, "k 4"], salient: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, k]:
    """Share of each box's pixels that are salient, in [0, 1]; boxes lie within the mask."""
    total = np.pad(np.cumsum(np.cumsum(salient, axis=0, dtype=np.int64), axis=1), ((1, 0), (1, 0)))
    x, y, w, h = boxes.T
    inside = total[y + h, x + w] - total[y, x + w] - total[y + h, x] + total[y, x]
    return inside / (w * h)


def grown(salient: Bool[np.ndarray, "h w"], pixels: int) -> Bool[np.ndarray, "h w"]:
    """A mask grown by a disc of this radius."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return cv2.dilate(salient.astype(np.uint8), disc).astype(bool)


def propose_batch(
    images: UInt8[np.ndarray, "n h w 3"],
    salient_masks: Bool[np.ndarray, "n h w"],
    config: ProposalConfig,
    *,
    workers: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> ProposalBatch:
    """Proposals of a class's images and which of them their masks fill (VS 3.2).

    Threads, because OpenCV releases the interpreter lock for the whole search: no images are copied to other
    processes.

    Args:
        images: RGB.
        salient_masks: True where pixels are perturbed.
        config: Constants.
        workers: Threads; as many as there are processors by default.
        progress: Called with 1 after every image.

    Returns:
        Boxes padded to `config.max_proposals` an image.

    Raises:
        ValueError: If images and masks do not belong together.
    """
    if images.shape[:3] != salient_masks.shape:
        raise ValueError(
            f"`salient_masks` must be one mask of the images' size per image, got {salient_masks.shape} "
            f"for images {images.shape}."
        )
    count = len(images)
    boxes = np.zeros((count, config.max_proposals, 4), dtype=np.int32)
    valid = np.zeros((count, config.max_proposals), dtype=bool)
    salient = np.zeros((count, config.max_proposals), dtype=bool)
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        for row, found in enumerate(pool.map(lambda image: propose(image, config), images)):
            boxes[row, : len(found)] = found
            valid[row, : len(found)] = True
            mask = grown(salient_masks[row], config.mask_growth)
            salient[row, : len(found)] = salient_share(found, mask) > config.salient_fill
            if progress is not None:
                progress(1)
    return ProposalBatch(boxes=boxes, valid=valid, salient=salient)
