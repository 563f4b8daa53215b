"""Images flow through slots: one whose mask is found makes room for the next, so that a slow one never holds a batch.

    images --begin--> [ready] --> [slots, a round of steps at a time] --> [searched] --conclude--> solutions

Each bracket is a pool of as many rows as a batch, on the devices, divided among them. Shapes never change, so each
arrow is compiled once. The host decides between rounds which row goes where and sends indices, nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from vissum_jax.masks import compact
from vissum_jax.masks.config import CompactConfig
from vissum_jax.masks.devices import Devices
from vissum_jax.masks.solve import Solution, judge, to_unit
from vissum_jax.types import Classifier

_EMPTY = -1


class Searched(NamedTuple):
    """An image and how far its search is; one row an image."""

    images: UInt8[Array, "b h w 3"]
    class_index: Int[Array, b]
    state: compact.Search


class _Programs(NamedTuple):
    """What is compiled, once for some devices and a configuration."""

    begin: Callable[..., Searched]
    advance: Callable[..., tuple[Searched, Bool[Array, b]]]
    conclude: Callable[..., Solution]
    move: Callable[..., Searched]


@lru_cache(maxsize=8)
def _programs(devices: Devices, config: CompactConfig) -> _Programs:
    def begin(classifier: Classifier, images: Array, class_index: Array) -> Searched:
        return Searched(images, class_index, compact.begin(classifier, to_unit(images), class_index, config))

    def advance(classifier: Classifier, rows: Searched, occupied: Array) -> tuple[Searched, Bool[Array, b]]:
        x = to_unit(rows.images)
        state = compact.advance(classifier, x, rows.class_index, occupied, rows.state, config)
        return rows._replace(state=state), compact.active(state, config)

    def conclude(classifier: Classifier, rows: Searched) -> Solution:
        x = to_unit(rows.images)
        soft, passes = compact.conclude(classifier, x, rows.class_index, rows.state, config)
        return judge(classifier, x, rows.class_index, soft, passes, config)

    def move(_: None, target: Searched, source: Searched, index: Int[Array, b]) -> Searched:
        """Rows `index` of the source, those of the target where it is empty."""

        def rows(there: Float[Array, "b ..."], new: Float[Array, "b ..."]) -> Float[Array, "b ..."]:
            taken = (index != _EMPTY).reshape(-1, *[1] * (new.ndim - 1))
            return jnp.where(taken, new[jnp.maximum(index, 0)], there)

        return jax.tree.map(rows, target, source)

    return _Programs(*map(devices.program, (begin, advance, conclude, move)))


@dataclass
class _Pool:
    """Rows on the devices, and which image each is; `_EMPTY` where it is none."""

    data: Searched
    image: Int[np.ndarray, " b"]

    @property
    def occupied(self) -> Bool[np.ndarray, " b"]:
        return self.image != _EMPTY


def _take(
    target: _Pool, source: _Pool, wanted: Bool[np.ndarray, " b"], devices: Devices, move: Callable[..., Searched]
) -> None:
    """Move wanted rows of one pool to empty ones of another, on each device as many as fit."""
    index = np.full(target.image.shape, _EMPTY, np.int32)
    own = len(index) // len(devices)
    for start in range(0, len(index), own):
        here = slice(start, start + own)
        free = start + np.flatnonzero(~target.occupied[here])
        found = start + np.flatnonzero((wanted & source.occupied)[here])
        count = min(len(free), len(found))
        free, found = free[:count], found[:count]
        index[free] = found - start
        target.image[free], source.image[found] = source.image[found], _EMPTY
    if (index != _EMPTY).any():
        target.data = move(None, target.data, source.data, devices.divide(index))


def solve_in_slots(
    classifier: Classifier,
    images: UInt8[np.ndarray, "n h w 3"],
    class_index: Int[np.ndarray, " n"],
    config: CompactConfig,
    devices: Devices,
    *,
    batch_size: int,
) -> Iterator[tuple[Int[np.ndarray, " k"], Solution]]:
    """Find and judge the masks of any number of images.

    Args:
        classifier: The network explained, copied to the devices.
        images: RGB, 8 bit, of the network's input size.
        class_index: Class explained of each image.
        config: The search's constants.
        devices: What computes.
        batch_size: Images searched at once on each device.

    Yields:
        Images that are done, and their solutions on the host, in the order in which they come.
    """
    if not len(images):
        return
    size = batch_size * len(devices)
    programs = _programs(devices, config)
    take = partial(_take, devices=devices, move=programs.move)
    waiting = deque(range(len(images)))

    def load(places: Int[np.ndarray, " k"]) -> _Pool:
        """The next images, begun, at these rows as far as there are any; others hold the first image in vain."""
        image = np.full(size, _EMPTY)
        for place in places[: len(waiting)]:
            image[place] = waiting.popleft()
        shown = np.maximum(image, 0)
        rows = devices.divide((images[shown], class_index[shown].astype(np.int32)))
        return _Pool(programs.begin(classifier, *rows), image)

    def finish(searched: _Pool) -> tuple[Int[np.ndarray, " k"], Solution]:
        solution = jax.device_get(programs.conclude(classifier, searched.data))
        done, image = searched.occupied, searched.image
        searched.image = np.full(size, _EMPTY)
        return image[done], Solution(*(values[done] for values in solution))

    ready = load(np.arange(size))
    slots, searched = (_Pool(ready.data, np.full(size, _EMPTY)) for _ in range(2))
    every = np.ones(size, bool)
    while True:
        take(slots, ready, every)
        if waiting and not slots.occupied.all():
            take(ready, load(np.flatnonzero(~ready.occupied)), every)
            take(slots, ready, every)
        if not slots.occupied.any():
            break
        slots.data, active = programs.advance(classifier, slots.data, devices.divide(slots.occupied))
        stopped = ~jax.device_get(active)
        take(searched, slots, stopped)
        if (stopped & slots.occupied).any():
            yield finish(searched)
            take(searched, slots, stopped)
    if searched.occupied.any():
        yield finish(searched)
