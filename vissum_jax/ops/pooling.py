"""Max pooling with the kernel that is fastest on the backend at hand.

On XLA's CPU backend maxima over shifted slices, first along the width and then along the height, are many times
faster than a window reduction and its gradient. GPUs and TPUs get the window reduction.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from vissum_jax.ops.conv import Padding, explicit_padding

_ROWS, _COLUMNS = 1, 2


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
        # Columns first: then ties fall to the first row, and within it to the first column.
        return _running_max(_running_max(padded, _COLUMNS, window, stride), _ROWS, window, stride)
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


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _running_max(images: Array, axis: int, window: int, stride: int) -> Array:
    """Maximum of `window` consecutive entries along one axis, every `stride` entries."""
    return functools.reduce(lax.max, _window_entries(images, axis, window, stride))


def _running_max_forward(images: Array, axis: int, window: int, stride: int) -> tuple[Array, tuple[Array, Array]]:
    pooled = functools.reduce(lax.max, _window_entries(images, axis, window, stride))
    return pooled, (images, pooled)


def _running_max_backward(
    axis: int, window: int, stride: int, kept: tuple[Array, Array], upstream: Array
) -> tuple[Array]:
    """Give every window's gradient to its first maximum.

    Entry number `position` of a window lands at stride * output + position, so the entries whose position leaves
    the same rest make up one phase of the result; the phases are interleaved at the end, which on a CPU is much
    cheaper than adding up strided scatters.
    """
    images, pooled = kept
    length, outputs = images.shape[axis], pooled.shape[axis]
    cells = max(-(-length // stride), outputs + (window - 1) // stride)
    phases: list[Array] = [jnp.zeros((), upstream.dtype)] * stride
    taken = jnp.zeros(pooled.shape, bool)
    for position, entry in enumerate(_window_entries(images, axis, window, stride)):
        first = (entry == pooled) & ~taken
        taken |= first
        shift, phase = divmod(position, stride)
        gradient = jnp.where(first, upstream, 0)
        phases[phase] += _pad_axis(gradient, axis, shift, cells - outputs - shift)
    before, after = images.shape[:axis], images.shape[axis + 1 :]
    phases = [jnp.broadcast_to(phase, (*before, cells, *after)) for phase in phases]
    interleaved = jnp.stack(phases, axis=axis + 1).reshape(*before, cells * stride, *after)
    return (lax.slice_in_dim(interleaved, 0, length, axis=axis),)


_running_max.defvjp(_running_max_forward, _running_max_backward)


def _window_entries(images: Array, axis: int, window: int, stride: int) -> list[Array]:
    """First entry of every window, second entry of every window, and so on."""
    span = (images.shape[axis] - window) // stride * stride + 1
    return [lax.slice_in_dim(images, start, start + span, stride=stride, axis=axis) for start in range(window)]


def _pad_axis(values: Array, axis: int, before: int, after: int) -> Array:
    pads = [(0, 0)] * values.ndim
    pads[axis] = (before, after)
    return jnp.pad(values, pads)
