"""What the network makes of parts of photographs: each is resized to its input and looked at on its own."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from vissum_jax.masks.solve import to_unit
from vissum_jax.ops.resize import crop_and_resize
from vissum_jax.pipeline.contenders import in_batches
from vissum_jax.types import Classifier


@jax.jit
def _features(
    classifier: Classifier,
    images: UInt8[Array, "b h w 3"],
    boxes: Int[Array, "b 4"],
    shown: Bool[Array, "b h w"],
    fill: Float[Array, " b"],
) -> Float[Array, "b d"]:
    height, width = images.shape[1:3]
    seen = jnp.where(shown[..., None], to_unit(images), fill[:, None, None, None])

    def crop(image, box):
        return crop_and_resize(image, box, (height, width), height=height, width=width)

    found = classifier(jax.vmap(crop)(seen, boxes)).endpoints[classifier.spec.feature_endpoint]
    # An endpoint with places (b, h, w, c) is averaged over them.
    return found.mean(axis=tuple(range(1, found.ndim - 1)))


def crop_features(
    classifier: Classifier,
    images: UInt8[np.ndarray, "n h w 3"],
    boxes: Int[np.ndarray, "n 4"],
    shown: Bool[np.ndarray, "n h w"] | None = None,
    *,
    fill: float = 0.0,
    batch_size: int,
) -> Float[np.ndarray, "n d"]:
    """The network's feature vector of each box, which is resized to the network's input.

    Crops rather than places of a feature map: all networks have pooled features, not all have maps, and ACE and CRAFT
    look at crops, too.

    Args:
        classifier: The network; its `feature_endpoint` is read.
        images: RGB, of the network's input size; one for each box.
        boxes: (x, y, width, height) in pixels.
        shown: Pixels of the image that the network sees; all by default.
        fill: Grey level of the others, in [0, 1].
        batch_size: Boxes at once.
    """
    if shown is None:
        shown = np.broadcast_to(np.True_, images.shape[:3])
    return in_batches(
        lambda *batch: _features(classifier, *batch),
        images,
        boxes,
        shown,
        np.full(len(images), fill, np.float32),
        size=batch_size,
    )
