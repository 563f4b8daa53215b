"""Which pixels a unit of a feature map can see: receptive fields of any network, exactly.

A network is traced to its equations, and `box_propagation` takes through these the box of pixels that every element
depends on; twice, with an image that ends at its borders and with one that goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from vissum_jax.attribution.network_trace import trace_network
from vissum_jax.interpretation.box_propagation import Boxes, Propagation, Unknown, full, nothing, shape_of
from vissum_jax.types import Classifier


@dataclass(frozen=True, kw_only=True)
class ReceptiveFields:
    """The receptive fields of a layer's units, in pixels of the network's input.

    Unit (row, column) of a channel sees the rows ``offset + stride * row`` and the ``size - 1`` after them, as far as
    the image reaches, and columns alike. Channels may differ, as those of inception modules do.

    Attributes:
        offset: First row and column that unit (0, 0) would see if the image had no end; may be negative.
        size: Rows and columns seen.
        stride: Distance between the fields of neighbours; 0 where all units see the same, which is
            the whole image as a rule.
        boxes: What is seen of the image itself, exactly: top, -bottom, left, -right (inclusive).
    """

    offset: Int[np.ndarray, "channels 2"]
    size: Int[np.ndarray, "channels 2"]
    stride: Int[np.ndarray, "channels 2"]
    boxes: Int[np.ndarray, "4 rows columns channels"]

    def box(self, row: int, column: int, channel: int) -> tuple[int, int, int, int]:
        """(x, y, width, height) of what a unit sees of the image."""
        top, bottom, left, right = (self.boxes[:, row, column, channel] * (1, -1, 1, -1)).tolist()
        return left, top, right - left + 1, bottom - top + 1

    def field(self, row: int, column: int, channel: int) -> tuple[int, int, int, int]:
        """(x, y, width, height) of a unit's receptive field, all of it; it may reach beyond the image."""
        y, x = (self.offset[channel] + self.stride[channel] * (row, column)).tolist()
        height, width = self.size[channel].tolist()
        return x, y, width, height


def receptive_fields(classifier: Classifier, layers: Sequence[str]) -> dict[str, ReceptiveFields]:
    """The receptive fields of feature maps (b, h', w', c).

    Args:
        classifier: The network; traced, not computed with.
        layers: Names of endpoints.

    Raises:
        ValueError: If there is no such feature map; if what computes it holds a primitive that is not known here, which
            the message names; or if its units see neither fields on a regular grid nor all the same.
    """
    spec = classifier.spec
    images = jnp.zeros((1, spec.input_height, spec.input_width, 3), jnp.float32)
    trace = trace_network(classifier, images)
    for layer in layers:
        shape = trace.shapes.endpoints.get(layer)
        if shape is None or len(shape.shape) != 4:
            raise ValueError(f"`layers` has {layer!r}, which is no feature map (b, h, w, c) of {spec.name!r}.")
    rows, columns = np.ogrid[: spec.input_height, : spec.input_width]
    pixels = np.stack(np.broadcast_arrays(rows, -rows, columns, -columns))[:, None, :, :, None].astype(np.int32)
    # The images are the last argument; parameters see no pixel.
    arguments = [nothing(len(shape_of(variable))) for variable in trace.jaxpr.invars[:-1]] + [pixels]
    seen, endless = (Propagation(extend=extend).run(trace.jaxpr, arguments) for extend in (False, True))
    found = {}
    for layer in layers:
        position = trace.positions.endpoints[layer]
        boxes, fields = seen[position], endless[position]
        if isinstance(boxes, Unknown):
            raise ValueError(
                f"the receptive fields of {layer!r} of {spec.name!r} are not known: it depends on the image through "
                f"the primitive {boxes.primitive!r}."
            )
        shape = trace.shapes.endpoints[layer].shape
        boxes, fields = (full(array, shape)[:, 0] for array in (boxes, fields))
        found[layer] = _on_a_grid(boxes, fields, f"{layer!r} of {spec.name!r}")
    return found


def _on_a_grid(boxes: Boxes, fields: Boxes, what: str) -> ReceptiveFields:
    """Offset, size and stride of fields."""
    channels = boxes.shape[-1]
    offset, size, stride = np.empty((3, channels, 2), np.int64)
    for axis in range(2):
        # (units along the axis, across it, channels)
        low, high = (np.moveaxis(fields[2 * axis + end], axis, 0) * (1, -1)[end] for end in range(2))
        step = low[1, 0] - low[0, 0] if len(low) > 1 else np.zeros(channels, np.int64)
        grid = low[0, 0] + step * np.arange(len(low))[:, None, None]
        width = high[0, 0] - low[0, 0]
        regular = (low == grid).all((0, 1)) & (high == grid + width).all((0, 1)) & (step > 0)
        first, last = boxes[2 * axis], -boxes[2 * axis + 1]
        alike = (first == first[0, 0]).all((0, 1)) & (last == last[0, 0]).all((0, 1))
        if not (regular | alike).all():
            raise ValueError(f"the units of {what} see neither fields on a regular grid nor all the same.")
        offset[:, axis] = np.where(regular, low[0, 0], first[0, 0])
        size[:, axis] = np.where(regular, width, last[0, 0] - first[0, 0]) + 1
        stride[:, axis] = np.where(regular, step, 0)
    return ReceptiveFields(offset=offset, size=size, stride=stride, boxes=boxes)
