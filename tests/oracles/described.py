"""Random images as the matchers see them, with and without padding."""

import jax.numpy as jnp
import numpy as np

from vissum_jax.matching import Described

SIDE = 96


def random_boxes(rng, count, side=SIDE):
    """Boxes of 8 to 60 pixels anywhere within the image."""
    sides = rng.integers(8, 60, (count, 2))
    return np.concatenate([rng.integers(0, side - sides + 1), sides], axis=1)


def random_image(seed, count=24, dimensions=12):
    """Boxes and descriptors that favour neither sign."""
    rng = np.random.default_rng(seed)
    return random_boxes(rng, count), rng.normal(size=(count, dimensions)).astype(np.float32)


def described(image, padding=0):
    """The image as a pytree; padding holds garbage, which must not matter."""
    boxes, descriptors = image
    garbage = np.random.default_rng(99)
    return Described(
        boxes=jnp.asarray(np.concatenate([boxes, garbage.integers(0, 90, (padding, 4))]).astype(np.int32)),
        valid=jnp.arange(len(boxes) + padding) < len(boxes),
        descriptors=jnp.asarray(
            np.concatenate([descriptors, 10 * garbage.normal(size=(padding, descriptors.shape[1]))]),
            dtype=jnp.float32,
        ),
    )
