"""Max pooling with the kernel that is fastest on the backend at hand.

On XLA's CPU backend maxima over shifted slices, first along the width and then along the height, are several
times faster than a window reduction and its gradient. GPUs and TPUs get the window reduction.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from vissum_jax.ops.conv import Padding, explicit_padding


def max_pool(
    images: Float[Array, "b h w c"], *, window: int, stride: int, padding: Padding = "VALID"
) -> Float[Array, "b out_h out_w c"]:
    """Largest value of each square window; the gradient goes to the first maximum in reading order.

    Args:
        images: Batch, channels last.
        window: Side of the window in pixels.
        stride: Step between windows in pixels.
        padding: Border that never wins a maximum.

    Returns:
        The pooled batch.
    """
    pads = explicit_padding(images.shape[1:3], (window, window), stride, padding)
    if jax.default_backend() == "cpu":
        padded = jnp.pad(images, ((0, 0), *pads, (0, 0)), constant_values=-jnp.inf)
        # Width first: then ties fall to the first row, and within it to the first column.
        return _running_max(_running_max(padded, 2, window, stride), 1, window, stride)
    return lax.reduce_window(
        images,
        -jnp.inf,
        lax.max,
        (1, window, window, 1),
        (1, stride, stride, 1),
        ((0, 0), *pads, (0, 0)),
    )


def ceil_padding(
    size: tuple[int, ...], *, window: int, stride: int, padding: int = 0
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Padding that makes a pooling round its output size up, as Caffe does.

    The last window may hang over the far border, but must start inside the image or the near padding.

    Args:
        size: Height and width of the image in pixels.
        window: Side of the pooling window in pixels.
        stride: Step between windows in pixels.
        padding: Border on every side that the network's definition asks for.

    Returns:
        ((top, bottom), (left, right)).
    """

    def far(length: int) -> int:
        outputs = -(-(length + 2 * padding - window) // stride) + 1
        if (outputs - 1) * stride >= length + padding:
            outputs -= 1
        return max(0, (outputs - 1) * stride + window - length - padding)

    return (padding, far(size[0])), (padding, far(size[1]))


def _running_max(images: Float[Array, "b h w c"], axis: int, window: int, stride: int) -> Array:
    """Maximum of `window` consecutive entries along one axis, every `stride` entries."""
    span = (images.shape[axis] - window) // stride * stride + 1
    slices = [
        lax.slice_in_dim(images, start, start + span, stride=stride, axis=axis) for start in range(window)
    ]
    result = slices[0]
    for later in slices[1:]:
        result = _first_maximum(result, later)
    return result


@jax.custom_jvp
def _first_maximum(first: Array, second: Array) -> Array:
    """Maximum whose gradient goes to the first argument on a tie (`jnp.maximum` splits it)."""
    return lax.max(first, second)


@_first_maximum.defjvp
def _first_maximum_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    first, second = primals
    return lax.max(first, second), jnp.where(first >= second, *tangents)
