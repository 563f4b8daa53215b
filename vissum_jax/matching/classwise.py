"""All pairs of a class's images: the similarity of their salient boxes."""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from vissum_jax.matching.config import MatchingConfig
from vissum_jax.matching.description import FeatureMaps, View, describe_class, host_array
from vissum_jax.matching.lom import lom
from vissum_jax.matching.nam import Described, nam
from vissum_jax.matching.phm import phm
from vissum_jax.types import ProposalBatch

# Shapes are rounded up, so that few programs are compiled, and images are held on the device by blocks, so
# that memory does not grow with the class.
_BOX_STEP = 64
_LEAST_ROWS = 16
_BLOCK = 16
_PAIRS_PER_CALL = 32
_PAIRS_AT_ONCE_ON_ACCELERATOR = 16


@dataclass(frozen=True, kw_only=True)
class Matches:
    """How much alike the salient boxes of a class's images are; rows are ordered by image.

    Attributes:
        similarity: Symmetric, not negative.
        boxes: (x, y, width, height) in pixels.
        image_ids: The image of each box.
        best_mean: Mean of each box's best scores in the other images; 0 if there is none.
    """

    similarity: Float[np.ndarray, "m m"]
    boxes: Int[np.ndarray, "m 4"]
    image_ids: Int[np.ndarray, " m"]
    best_mean: Float[np.ndarray, " m"]

    def __len__(self) -> int:
        return len(self.boxes)

    def select(self, keep: Bool[np.ndarray, " m"]) -> Matches:
        """The matches among some of the boxes."""
        return Matches(
            similarity=np.ascontiguousarray(self.similarity[np.ix_(keep, keep)]),
            boxes=self.boxes[keep],
            image_ids=self.image_ids[keep],
            best_mean=self.best_mean[keep],
        )


def score(
    first: Described,
    second: Described,
    config: MatchingConfig,
    *,
    image_size: tuple[int, int],
    rows: int | None = None,
) -> Float[Array, "rows q"]:
    """Match scores of two images' boxes by the method that `config.score` names."""
    if config.score == "lom":
        return lom(first, second, config, rows=rows)
    if config.score == "phm":
        return phm(first, second, config, image_size=image_size, rows=rows)
    return nam(first, second, config)[:rows]


@functools.partial(jax.jit, static_argnames=("config", "image_size", "rows"))
def _score_pairs(
    first: Described,
    second: Described,
    mirrored: Described | None,
    pairs: Int[Array, "t 2"],
    *,
    config: MatchingConfig,
    image_size: tuple[int, int],
    rows: int,
) -> Float[Array, "t rows rows"]:
    """Scores of pairs of images from two blocks, restricted to the first `rows` boxes of each."""

    def one_pair(pair):
        left = jax.tree.map(lambda leaf: leaf[pair[0]], first)
        right = jax.tree.map(lambda leaf: leaf[pair[1]], second)
        out = score(left, right, config, image_size=image_size, rows=rows)[:, :rows]
        if mirrored is not None:
            right = jax.tree.map(lambda leaf: leaf[pair[1]], mirrored)
            out = jnp.maximum(out, score(left, right, config, image_size=image_size, rows=rows)[:, :rows])
        return out

    # One pair is enough for a processor, whose cache should hold it; an accelerator wants many.
    at_once = 1 if jax.default_backend() == "cpu" else _PAIRS_AT_ONCE_ON_ACCELERATOR
    return jax.lax.map(one_pair, pairs, batch_size=at_once)


def _canonical_order(images: UInt8[np.ndarray, "n h w 3"], proposals: ProposalBatch) -> Int[np.ndarray, " k"]:
    """Images that have salient boxes, in an order that depends on their content alone.

    Matching is directed: the boxes of one image vote on where they lie in the other. VS takes the image that
    comes first; ordered by content instead, the result does not depend on how the class was listed.
    """

    def digest(row):
        content = hashlib.sha256(images[row].tobytes())
        content.update(proposals.boxes[row][proposals.valid[row]].tobytes())
        return content.digest()

    return np.array(sorted(np.flatnonzero(proposals.salient.any(axis=1)), key=digest), dtype=int)


def _salient_first(
    proposals: ProposalBatch, order: Int[np.ndarray, " k"], width: int
) -> tuple[Int[np.ndarray, "k p 4"], Bool[np.ndarray, "k p"]]:
    """Boxes of the images in `order`, salient ones in front, the other valid ones next, padding last."""
    rank = np.where(proposals.salient, 0, np.where(proposals.valid, 1, 2))[order]
    position = np.argsort(rank, axis=1, kind="stable")[:, :width]
    boxes = np.take_along_axis(proposals.boxes[order], position[..., None], axis=1)
    valid = np.take_along_axis(proposals.valid[order], position, axis=1)
    short = width - boxes.shape[1]
    return np.pad(boxes, ((0, 0), (0, max(short, 0)), (0, 0))), np.pad(valid, ((0, 0), (0, max(short, 0))))


def _tiles(count: int) -> Iterator[tuple[slice, slice, Int[np.ndarray, "t 2"]]]:
    """Blocks of images and, within them, the pairs i <= j of a class, a fixed number at a time at most."""
    blocks = [slice(start, min(start + _BLOCK, count)) for start in range(0, count, _BLOCK)]
    for left, right in itertools.combinations_with_replacement(blocks, 2):
        pairs = np.array(
            [
                (i - left.start, j - right.start)
                for i in range(left.start, left.stop)
                for j in range(max(i, right.start), right.stop)
            ]
        )
        for start in range(0, len(pairs), _PAIRS_PER_CALL):
            yield left, right, pairs[start : start + _PAIRS_PER_CALL]


def _padded(block: np.ndarray, length: int) -> np.ndarray:
    """The block with empty rows at its end, so that every block has one shape."""
    return np.pad(block, [(0, length - len(block))] + [(0, 0)] * (block.ndim - 1))


def best_mean_scores(
    similarity: Float[np.ndarray, "m m"], image_ids: Int[np.ndarray, " m"], best: int
) -> Float[np.ndarray, " m"]:
    """Mean of each row's `best` largest entries in columns of other images."""
    out = np.zeros(len(similarity), dtype=np.float32)
    for image in np.unique(image_ids):
        rows = image_ids == image
        others = similarity[np.ix_(rows, ~rows)]
        count = min(best, others.shape[1])
        if count:
            out[rows] = np.partition(others, -count, axis=1)[:, -count:].mean(axis=1)
    return out


def match_class(
    images: UInt8[np.ndarray, "n h w 3"],
    proposals: ProposalBatch,
    config: MatchingConfig,
    *,
    feature_maps: FeatureMaps | None = None,
    progress: Callable[[int], object] | None = None,
) -> Matches:
    """Match scores among all salient boxes of a class (VS 3.2).

    Every pair of images is scored once, in canonical direction, with the boxes of both images voting, salient
    or not; the block of the opposite direction is the transpose, and an image's block with itself is averaged
    with its own. Descriptors are computed once per image, pairs run in tiles of one shape, and only the
    blocks among salient boxes come back. What is large goes to a temporary file (`config.host_bytes`).

    Args:
        images: RGB.
        proposals: Their proposals.
        config: Constants.
        feature_maps: The network, if `config.descriptor` asks for one.
        progress: Called with numbers of pairs done, n (n + 1) / 2 in all.

    Returns:
        Rows by image and then by proposal; without rows if no box is salient.

    Raises:
        ValueError: If there is not one row of proposals per image, or the network is missing.
    """
    if len(images) != len(proposals.boxes):
        raise ValueError(
            f"`proposals` must have one row per image, got {len(proposals.boxes)} for {len(images)} images."
        )
    report = progress if progress is not None else lambda _: None
    order = _canonical_order(images, proposals)
    count = len(order)
    report(len(images) * (len(images) + 1) // 2 - count * (count + 1) // 2)
    if not count:
        return Matches(
            similarity=np.zeros((0, 0), dtype=np.float32),
            boxes=np.zeros((0, 4), dtype=proposals.boxes.dtype),
            image_ids=np.zeros(0, dtype=np.int64),
            best_mean=np.zeros(0, dtype=np.float32),
        )

    salient = proposals.salient.sum(axis=1)
    most_valid, most_salient = int(proposals.valid.sum(axis=1).max()), int(salient.max())
    width = _BOX_STEP * math.ceil(most_valid / _BOX_STEP)
    rows = min(width, max(_LEAST_ROWS, 2 ** math.ceil(math.log2(most_salient))))
    boxes, valid = _salient_first(proposals, order, width)
    image_size = (images.shape[1], images.shape[2])

    views = describe_class(images[order], boxes, valid, config, feature_maps)

    def on_device(view: View, block: slice) -> Described:
        return Described(
            boxes=jnp.asarray(_padded(view.boxes[block], _BLOCK)),
            valid=jnp.asarray(_padded(valid[block], _BLOCK)),
            descriptors=jnp.asarray(_padded(view.descriptors[block], _BLOCK)),
        )

    starts = np.concatenate([[0], np.cumsum(salient)])
    similarity = host_array((int(starts[-1]),) * 2, config)

    def store(left: slice, right: slice, pairs, scores) -> None:
        for (i, j), block in zip(pairs, np.asarray(scores), strict=False):
            a, b = order[left.start + i], order[right.start + j]
            block = block[: salient[a], : salient[b]]
            if a == b:
                block = (block + block.T) / 2
            similarity[starts[a] : starts[a + 1], starts[b] : starts[b + 1]] = block
            similarity[starts[b] : starts[b + 1], starts[a] : starts[a + 1]] = block.T
        report(len(pairs))

    held: dict = {}
    running = None
    for left, right, pairs in _tiles(count):
        if held.get("blocks") != (left, right):
            held = {
                "blocks": (left, right),
                "first": on_device(views[0], left),
                "second": on_device(views[0], right),
                "mirrored": on_device(views[1], right) if config.flip else None,
            }
        scores = _score_pairs(
            held["first"],
            held["second"],
            held["mirrored"],
            jnp.asarray(_padded(pairs, _PAIRS_PER_CALL)),
            config=config,
            image_size=image_size,
            rows=rows,
        )
        # Store one tile while the device works on the next.
        if running is not None:
            store(*running)
        running = (left, right, pairs, scores)
    if running is not None:
        store(*running)

    image_ids = np.repeat(np.arange(len(images)), salient)
    return Matches(
        similarity=similarity,
        boxes=proposals.boxes[proposals.salient],
        image_ids=image_ids,
        best_mean=best_mean_scores(similarity, image_ids, config.best_matches),
    )
