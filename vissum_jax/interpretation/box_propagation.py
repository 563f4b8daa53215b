"""Through any network's equations: for every element of every array the box of pixels that it depends on.

Constants depend on no pixel, an elementwise result on those of its operands, a convolution's or pooling's on those of
its window, a sum's on those of all its terms. A box is four numbers (top, -bottom, left, -right), so that the smallest
box around several is their minimum. Arrays hold one entry for an axis along which nothing varies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from jax.extend.core import Jaxpr, JaxprEqn, Literal
from jaxtyping import Int

Boxes = Int[np.ndarray, "4 ..."]

_NOTHING = 2**30  # the bounds of a box without pixels: more than any image has

# fmt: off
_ELEMENTWISE = frozenset((
    "abs", "add", "and", "atan2", "cbrt", "ceil", "clamp", "convert_element_type", "copy", "copy_p", "cos", "div", "eq",
    "erf", "erf_inv", "erfc", "exp", "exp2", "expm1", "floor", "ge", "gt", "integer_pow", "is_finite", "le", "log",
    "log1p", "logistic", "lt", "max", "min", "mul", "ne", "neg", "not", "or", "pow", "reduce_precision", "rem", "round",
    "rsqrt", "select_n", "sign", "sin", "sqrt", "square", "stop_gradient", "sub", "tan", "tanh", "xor",
))
_REDUCTIONS = frozenset((
    "argmax", "argmin", "reduce_and", "reduce_max", "reduce_min", "reduce_or", "reduce_prod", "reduce_sum",
))
_WINDOWS = frozenset(("reduce_window_max", "reduce_window_min", "reduce_window_sum"))
_CALLING = frozenset((
    "checkpoint", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr", "jit",
    "pjit", "remat2",
))
# fmt: on
_CALLED = ("jaxpr", "call_jaxpr", "fun_jaxpr")  # where such equations keep their function


class Unknown(NamedTuple):
    """In place of boxes: a value that depends on the image in a way that is not known here."""

    primitive: str


class _Window(NamedTuple):
    """How a window slides along an axis."""

    size: int
    stride: int
    padding: tuple[int, int]
    base_dilation: int
    dilation: int


def shape_of(atom: Any) -> tuple[int, ...]:
    """Shape of a variable or literal of a jaxpr."""
    return atom.aval.shape


def nothing(rank: int) -> Boxes:
    """Boxes of a constant."""
    return np.full((4, *(1,) * rank), _NOTHING, np.int32)


def full(boxes: Boxes, shape: Sequence[int]) -> Boxes:
    """One box for every element."""
    return np.broadcast_to(boxes, (4, *shape))


def _lean(boxes: Boxes) -> Boxes:
    """One entry for each axis along which nothing varies."""
    for axis in range(1, boxes.ndim):
        first = boxes.take([0], axis)
        if (boxes == first).all():
            boxes = first
    return boxes


def _spread(boxes: Boxes, axis: int, count: int) -> Boxes:
    """One entry for every place along an axis."""
    return np.repeat(boxes, count, axis) if boxes.shape[axis] == 1 and count != 1 else boxes


def _union(parts: Sequence[Boxes]) -> Boxes:
    """Boxes around those of several arrays of one shape; scalars go with any."""
    rank = max(part.ndim for part in parts)
    return reduce(np.minimum, (part if part.ndim == rank else part.reshape(4, *(1,) * (rank - 1)) for part in parts))


@dataclass(frozen=True)
class Propagation:
    """Takes boxes through equations.

    Attributes:
        extend: What padding sees: nothing (False: the boxes are what is seen of the image); or what units beyond the
            border would see, if the image had no end (True: the boxes are whole fields, which lie on a grid).
    """

    extend: bool

    def run(self, jaxpr: Jaxpr, arguments: Sequence[Boxes | Unknown]) -> list[Any]:
        """The boxes of a function's results."""
        values = dict(zip(jaxpr.invars, arguments, strict=True))
        values |= {variable: nothing(len(shape_of(variable))) for variable in jaxpr.constvars}

        def read(atom: Any) -> Any:
            return nothing(len(shape_of(atom))) if isinstance(atom, Literal) else values[atom]

        for equation in jaxpr.eqns:
            values.update(
                zip(equation.outvars, self._equation(equation, list(map(read, equation.invars))), strict=True)
            )
        return [read(atom) for atom in jaxpr.outvars]

    def _equation(self, equation: JaxprEqn, inputs: list[Any]) -> list[Any]:
        name, params = equation.primitive.name, equation.params
        ranks = [len(shape_of(variable)) for variable in equation.outvars]
        if not any(isinstance(value, Unknown) or (value < _NOTHING).any() for value in inputs):
            return [nothing(rank) for rank in ranks]
        if name in _CALLING:
            called = next(params[key] for key in _CALLED if key in params)
            return self.run(getattr(called, "jaxpr", called), inputs)
        unknown = next((value for value in inputs if isinstance(value, Unknown)), None)
        if unknown is not None:
            return [unknown] * len(ranks)
        shapes = [shape_of(atom) for atom in equation.invars]
        if name in _ELEMENTWISE:
            return [_lean(_union(inputs))]
        if name in _REDUCTIONS:
            return [_lean(np.minimum.reduce(inputs[0], tuple(axis + 1 for axis in params["axes"])))]
        if name in _WINDOWS:
            sizes = params["window_dimensions"]
            windows = zip(
                *(sizes, params["window_strides"], params["padding"]),
                *(params["base_dilation"], params["window_dilation"]),
                strict=True,
            )
            return [_lean(self._slide(inputs[0], shapes[0], list(map(_Window._make, windows))))]
        if name == "split":
            return [_lean(part) for part in _split(inputs[0], shapes[0], params)]
        if name == "unstack":
            return [_lean(part) for part in _unstack(inputs[0], shapes[0], params)]
        if name == "pad":
            return [_lean(self._padded(inputs, shapes[0], params["padding_config"]))]
        if name == "conv_general_dilated" and params["batch_group_count"] == 1 and (inputs[1] == _NOTHING).all():
            return [_lean(self._convolution(inputs[0], shapes[0], shapes[1], params))]
        rule = _RULES.get(name)
        return [Unknown(name)] * len(ranks) if rule is None else [_lean(rule(inputs, shapes, params))]

    def _slide(self, boxes: Boxes, shape: Sequence[int], windows: Sequence[_Window]) -> Boxes:
        """Boxes of windows that slide over an array."""
        for axis, (count, window) in enumerate(zip(shape, windows, strict=True), start=1):
            if window == _Window(1, 1, (0, 0), 1, 1):
                continue
            boxes = self._pad_axis(boxes, axis, count, *window.padding, window.base_dilation - 1)
            reach = (window.size - 1) * window.dilation
            places = (boxes.shape[axis] - reach - 1) // window.stride + 1
            taps = (
                _cut(boxes, axis, slice(tap, tap + (places - 1) * window.stride + 1, window.stride))
                for tap in range(0, reach + 1, window.dilation)
            )
            boxes = reduce(np.minimum, taps)
        return boxes

    def _padded(self, inputs: Sequence[Boxes], shape: Sequence[int], padding: Sequence[tuple[int, int, int]]) -> Boxes:
        boxes, value = inputs
        for axis, (count, pads) in enumerate(zip(shape, padding, strict=True), start=1):
            if pads != (0, 0, 0):
                boxes = self._pad_axis(boxes, axis, count, *pads)
        # What is padded with may see pixels, too; then all is taken to see them.
        return boxes if (value == _NOTHING).all() else _union([boxes, value])

    def _pad_axis(self, boxes: Boxes, axis: int, count: int, before: int, after: int, between: int) -> Boxes:
        boxes = _spread(boxes, axis, count)
        if between:
            apart = np.full((*boxes.shape[:axis], (count - 1) * (between + 1) + 1, *boxes.shape[axis + 1 :]), _NOTHING)
            apart[(slice(None),) * axis + (slice(None, None, between + 1),)] = boxes
            boxes = apart
        first, last = (
            self._beyond(boxes, axis, max(pads, 0), start) for pads, start in ((before, True), (after, False))
        )
        kept = slice(max(-before, 0), boxes.shape[axis] - max(-after, 0))
        return np.concatenate([first, _cut(boxes, axis, kept), last], axis)

    def _beyond(self, boxes: Boxes, axis: int, count: int, start: bool) -> Boxes:
        """What `count` units before the first, or after the last, would see."""
        length = boxes.shape[axis]
        edge, inner = (0, 1) if start else (length - 1, length - 2)
        border = boxes.take([edge], axis)
        if not self.extend or length < 2:
            return np.repeat(np.full_like(border, _NOTHING), count, axis)
        neighbour = boxes.take([inner], axis)
        step = border - neighbour
        steps = np.arange(1, count + 1).reshape(-1, *(1,) * (boxes.ndim - axis - 1))
        nothing = (border == _NOTHING) | (neighbour == _NOTHING)
        # An axis along which boxes do not move, such as channels, has no places beyond its ends.
        if not (step * ~nothing).any():
            nothing = np.ones_like(nothing)
        distance = steps[::-1] if start else steps
        return np.where(nothing, _NOTHING, border + np.where(nothing, 0, step) * distance)

    def _convolution(
        self, boxes: Boxes, shape: Sequence[int], kernel: Sequence[int], params: Mapping[str, Any]
    ) -> Boxes:
        lhs, rhs, out = params["dimension_numbers"]
        boxes = boxes.transpose(0, *(axis + 1 for axis in lhs))  # batch, channels, places
        windows = [_Window(1, 1, (0, 0), 1, 1)] * 2 + [
            _Window(kernel[axis], *rest)
            for axis, *rest in zip(
                *(rhs[2:], params["window_strides"], params["padding"]),
                *(params["lhs_dilation"], params["rhs_dilation"]),
                strict=True,
            )
        ]
        boxes = self._slide(boxes, [shape[axis] for axis in lhs], windows)
        groups, outputs = params["feature_group_count"], kernel[rhs[0]]
        if groups == 1:
            boxes = boxes.min(2, keepdims=True)
        elif boxes.shape[2] > 1:
            grouped = boxes.reshape(*boxes.shape[:2], groups, -1, *boxes.shape[3:]).min(3)
            boxes = np.repeat(grouped, outputs // groups, 2)
        return boxes.transpose(0, *(axis + 1 for axis in np.argsort(out)))


def _cut(boxes: Boxes, axis: int, part: slice) -> Boxes:
    return boxes[(slice(None),) * axis + (part,)]


def _split(boxes: Boxes, shape: Sequence[int], params: Mapping[str, Any]) -> list[Boxes]:
    axis = params["axis"] + 1
    whole = _spread(boxes, axis, shape[axis - 1])
    return np.split(whole, np.cumsum(params["sizes"])[:-1], axis)


def _unstack(boxes: Boxes, shape: Sequence[int], params: Mapping[str, Any]) -> list[Boxes]:
    axis = params["axis"] + 1
    return list(np.moveaxis(_spread(boxes, axis, shape[axis - 1]), axis, 0))


def _stack(inputs: Sequence[Boxes], shapes: Sequence[Sequence[int]], params: Mapping[str, Any]) -> Boxes:
    axis = params["axis"]
    parts = [np.expand_dims(value, axis + 1) for value in inputs]
    return _concatenate(parts, [(*shape[:axis], 1, *shape[axis:]) for shape in shapes], {"dimension": axis})


def _broadcast(inputs: Sequence[Boxes], shapes: Sequence[Sequence[int]], params: Mapping[str, Any]) -> Boxes:
    sizes = [1] * len(params["shape"])
    for axis, target in enumerate(params["broadcast_dimensions"], start=1):
        sizes[target] = inputs[0].shape[axis]
    return inputs[0].reshape(4, *sizes)


def _slice(inputs: Sequence[Boxes], shapes: Sequence[Sequence[int]], params: Mapping[str, Any]) -> Boxes:
    boxes = inputs[0]
    strides = params["strides"] or (1,) * len(shapes[0])
    for axis, (start, limit, stride) in enumerate(
        zip(params["start_indices"], params["limit_indices"], strides, strict=True), start=1
    ):
        if boxes.shape[axis] > 1:
            boxes = _cut(boxes, axis, slice(start, limit, stride))
    return boxes


def _concatenate(inputs: Sequence[Boxes], shapes: Sequence[Sequence[int]], params: Mapping[str, Any]) -> Boxes:
    axis = params["dimension"]
    sizes = np.broadcast_shapes(*((*value.shape[1 : axis + 1], 1, *value.shape[axis + 2 :]) for value in inputs))
    parts = [
        np.broadcast_to(value, (4, *sizes[:axis], shape[axis], *sizes[axis + 1 :]))
        for value, shape in zip(inputs, shapes, strict=True)
    ]
    return np.concatenate(parts, axis + 1)


def _product(inputs: Sequence[Boxes], shapes: Sequence[Sequence[int]], params: Mapping[str, Any]) -> Boxes:
    """A matrix product sees what either factor sees along the axes summed over."""
    contracted, batched = params["dimension_numbers"]
    free = [
        [axis for axis in range(len(shape)) if axis not in (*contracted[side], *batched[side])]
        for side, shape in enumerate(shapes)
    ]
    left, right = (
        np.minimum.reduce(
            value.transpose(0, *(axis + 1 for axis in (*batched[side], *free[side], *contracted[side]))),
            tuple(range(1 + len(batched[side]) + len(free[side]), value.ndim)),
        )
        for side, value in enumerate(inputs)
    )
    left = left.reshape(*left.shape, *(1,) * len(free[1]))
    common = 1 + len(batched[0])
    right = right.reshape(*right.shape[:common], *(1,) * len(free[0]), *right.shape[common:])
    return np.minimum(left, right)


_RULES: Mapping[str, Callable[[Sequence[Boxes], Sequence[Sequence[int]], Mapping[str, Any]], Boxes]] = {
    "broadcast_in_dim": _broadcast,
    "concatenate": _concatenate,
    "dot_general": _product,
    "reshape": lambda inputs, shapes, params: full(inputs[0], shapes[0]).reshape(4, *params["new_sizes"]),
    "rev": lambda inputs, shapes, params: np.flip(inputs[0], tuple(axis + 1 for axis in params["dimensions"])),
    "slice": _slice,
    "stack": _stack,
    "squeeze": lambda inputs, shapes, params: inputs[0].squeeze(tuple(axis + 1 for axis in params["dimensions"])),
    "transpose": lambda inputs, shapes, params: inputs[0].transpose(0, *(axis + 1 for axis in params["permutation"])),
}
