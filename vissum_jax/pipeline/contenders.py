"""What finds masks, behind one call: presets with their own masks, attribution methods with their maps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from vissum_jax.attribution.guided import guided
from vissum_jax.masks.binarise import Bisection, BisectionConfig, at_area, bisected
from vissum_jax.masks.config import MaskConfig
from vissum_jax.masks.extract import batches, extract
from vissum_jax.masks.methods import importance, method_named
from vissum_jax.masks.solve import to_unit
from vissum_jax.models import ARCHITECTURES, load_classifier
from vissum_jax.pipeline.memory import count_regions
from vissum_jax.types import Classifier

_BISECTED = "smoothed_gradient"


@dataclass(frozen=True, kw_only=True)
class Photographs:
    """Photographs whose masks are compared, in the network's geometry.

    Attributes:
        names: Their names.
        images: RGB.
        class_index: Class explained of each.
    """

    names: tuple[str, ...]
    images: UInt8[np.ndarray, "n h w 3"]
    class_index: Int[np.ndarray, " n"]

    def select(self, rows: Int[np.ndarray, " k"]) -> Photographs:
        """Some of them, in the order given."""
        return Photographs(
            names=tuple(self.names[row] for row in rows),
            images=self.images[rows],
            class_index=self.class_index[rows],
        )


class Subject(NamedTuple):
    """The network explained, and the same built with guided activations where some method needs it."""

    classifier: Classifier
    guided: Classifier | None


def guided_twin(model: str, weights: str | Path | None, contenders: Iterable[Contender]) -> Classifier | None:
    """The network with guided activations, or None if none of the contenders needs it.

    Raises:
        ValueError: If one does, and the network is a function of the user's, which cannot be built anew.
    """
    needing = [contender.name for contender in contenders if method_named(contender.method).needs_guided]
    if not needing:
        return None
    if model not in ARCHITECTURES:
        raise ValueError(
            f"method {needing[0]!r} needs the network with guided activations, and only networks known by name "
            f"({', '.join(ARCHITECTURES)}) can be built so; leave it out for {model!r}."
        )
    return load_classifier(model, weights=weights, activation=guided(ARCHITECTURES[model].activation))


@dataclass(frozen=True, kw_only=True)
class Contender:
    """What finds masks, with its constants.

    Attributes:
        name: What results call it.
        method: One of `vissum_jax.masks.methods.METHODS`.
        config: Its constants; None where the method has none.
        bisection: How the method's own binary masks are found from its map; None where it has none.
    """

    name: str
    method: str
    config: Any
    bisection: BisectionConfig | None = None

    @classmethod
    def of(cls, name: str) -> Contender:
        """A method with its own constants; one pass of gradient is worth a bisection of its own.

        Raises:
            ValueError: If there is no such method; the message names the nearest.
        """
        bisection = BisectionConfig() if name == _BISECTED else None
        return cls(name=name, method=name, config=method_named(name).config, bisection=bisection)


class Found(NamedTuple):
    """What a method found.

    Attributes:
        importance: Higher = more important; NaN where the method failed.
        passes: Evaluations of the network that it took.
        soft_drop: Drop of the continuous mask under the method's own perturbation, where there is one.
        soft_area: Its mean perturbation.
        own: The method's own binary masks, where it has any.
        own_passes: Evaluations that these took, the map's included.
    """

    importance: Float[np.ndarray, "n h w"]
    passes: Int[np.ndarray, " n"]
    soft_drop: Float[np.ndarray, " n"] | None = None
    soft_area: Float[np.ndarray, " n"] | None = None
    own: Bool[np.ndarray, "n h w"] | None = None
    own_passes: Int[np.ndarray, " n"] | None = None


def in_batches(function: Callable[..., Any], *arrays: np.ndarray, size: int) -> Any:
    """Call a compiled function on batches of one size and join what it returns; the last batch is filled up."""
    pieces = []
    for filled, rows in batches(np.arange(len(arrays[0])), size):
        answer = jax.device_get(function(*(jnp.asarray(array[filled]) for array in arrays)))
        pieces.append(jax.tree.map(lambda values, rows=rows: values[: len(rows)], answer))
    return jax.tree.map(lambda *values: np.concatenate(values), *pieces)


@jax.jit
def level_sets(maps: Float[Array, "n h w"], area: Float[Array, " n"]) -> Bool[Array, "n h w"]:
    """The most important pixels of each map, at an area each (see `at_area`)."""
    return jax.vmap(at_area)(maps, area)


@partial(jax.jit, static_argnames="config")
def _bisected(
    classifier: Classifier,
    images: UInt8[Array, "b h w 3"],
    class_index: Int[Array, b],
    maps: Float[Array, "b h w"],
    config: BisectionConfig,
) -> Bisection:
    return bisected(classifier, to_unit(images), class_index, maps, config)


def find(
    subject: Subject,
    photographs: Photographs,
    contender: Contender,
    area: Float[np.ndarray, " n"] | None,
    *,
    batch_size: int,
    seed: int,
    progress: Callable[[int], object] | None = None,
) -> Found:
    """Find the masks of a method; `area` is for those that look for masks of a given area."""
    images, class_index = photographs.images, photographs.class_index
    if isinstance(contender.config, MaskConfig):
        masks = extract(
            subject.classifier,
            images,
            class_index,
            contender.config,
            batch_size=batch_size,
            count_regions=count_regions,
            skip_mispredicted=False,
            progress=progress,
        )
        failed = ~masks.has_mask
        return Found(
            # Not 1 - mask, which rounds to 1 well inside the mask: the order there would be lost.
            importance=np.where(failed[:, None, None], np.nan, -masks.soft),
            passes=masks.passes,
            soft_drop=masks.drop_soft,
            soft_area=np.mean(1.0 - masks.soft, axis=(1, 2)),
            own=masks.salient,
            own_passes=masks.passes,
        )
    pixels = images[0, ..., 0].size
    found = importance(
        subject.classifier,
        images,
        class_index,
        method=contender.method,
        batch_size=batch_size,
        seed=seed,
        **({} if area is None else {"area": np.clip(area, 1 / pixels, 1 - 1 / pixels)}),
        guided=subject.guided,
        config=contender.config,
        progress=progress,
    )
    if contender.bisection is None:
        return Found(found.maps, found.passes)
    own = in_batches(
        lambda *batch: _bisected(subject.classifier, *batch, contender.bisection),
        images,
        class_index,
        np.nan_to_num(found.maps),
        size=batch_size,
    )
    return Found(found.maps, found.passes, own=own.salient, own_passes=found.passes + own.passes)
