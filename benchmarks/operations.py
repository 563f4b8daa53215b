"""The floor under a program: the arithmetic it must do, the bytes it must move, and what the device makes of both.

Counted are convolutions and matrix products, two operations a multiplication, and for each of them its operands read
once and its result written once: everything else is taken to be fused into them. A program can hardly run faster than
the larger of operations / (matrix-product peak) and bytes / (copy bandwidth), both measured on the device itself.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr

from vissum_jax.types import Classifier


class Work(NamedTuple):
    """What a program must do at least.

    Attributes:
        operations: Of convolutions and matrix products, a multiplication and an addition being two.
        bytes: Read and written by these.
    """

    operations: float
    bytes: float

    def __mul__(self, factor: float) -> Work:  # type: ignore[override]
        """As often."""
        return Work(self.operations * factor, self.bytes * factor)


class Peak(NamedTuple):
    """What a device was measured to do.

    Attributes:
        operations: Operations a second in a large matrix product.
        bytes: Bytes a second in a large copy, those read and those written.
    """

    operations: float
    bytes: float


class Roofline(NamedTuple):
    """How near a measurement is to what the device can do.

    Attributes:
        share_of_peak: Of the matrix-product peak.
        share_of_bandwidth: Of the copy bandwidth.
        floor_seconds: The least that the work could take.
    """

    share_of_peak: float
    share_of_bandwidth: float
    floor_seconds: float


def roofline(work: Work, seconds: float, peak: Peak) -> Roofline:
    """Where a measurement stands under the roof that arithmetic and memory make."""
    arithmetic, memory = work.operations / peak.operations, work.bytes / peak.bytes
    return Roofline(arithmetic / seconds, memory / seconds, max(arithmetic, memory))


def work_of(function: Callable[..., object], *arguments: Any) -> Work:
    """What a function of arrays must do.

    Raises:
        ValueError: If it loops until some condition: nobody knows how often.
    """
    return _in_jaxpr(jax.make_jaxpr(function)(*arguments).jaxpr)


def network_work(classifier: Classifier, batch: int) -> Work:
    """What value and gradient with respect to a batch of images must do.

    The gradient of every convolution and matrix product with respect to its input takes as much again, and moves as
    much. Counted is the network in its plain form, as accelerators run it: what stands in for slow kernels on
    processors does more arithmetic, or hides it from the count.
    """
    size = (batch, classifier.spec.input_height, classifier.spec.input_width, 3)
    plain = inspect.unwrap(classifier.apply)

    def fresh(params: Any, images: jax.Array) -> object:
        return plain(params, images)  # JAX keeps traces by function: that of `plain` would be run afterwards

    with mock.patch.object(jax, "default_backend", return_value="gpu"):
        forward = work_of(fresh, classifier.params, jax.ShapeDtypeStruct(size, jnp.float32))
    return forward * 2


def _in_jaxpr(jaxpr: Jaxpr) -> Work:
    operations = moved = 0.0
    for equation in jaxpr.eqns:
        work = _in_equation(equation)
        operations, moved = operations + work.operations, moved + work.bytes
    return Work(operations, moved)


def _in_equation(equation: Any) -> Work:
    name, settings = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = settings["dimension_numbers"]
        left = equation.invars[0].aval.shape
        return _product(equation, math.prod(left[axis] for axis in contracted))
    if name == "conv_general_dilated":
        kernel = equation.invars[1].aval.shape
        return _product(equation, math.prod(kernel) // kernel[settings["dimension_numbers"].rhs_spec[0]])
    if name == "while" and any(_in_jaxpr(settings[part].jaxpr).operations for part in ("cond_jaxpr", "body_jaxpr")):
        raise ValueError("a loop of unknown length holds products: its work cannot be counted.")
    if name == "cond":
        return max((_in_jaxpr(branch.jaxpr) for branch in settings["branches"]), key=lambda work: work.operations)
    inner = Work(0.0, 0.0)
    for value in settings.values():
        if isinstance(value, ClosedJaxpr | Jaxpr):
            found = _in_jaxpr(value.jaxpr if isinstance(value, ClosedJaxpr) else value)
            inner = Work(inner.operations + found.operations, inner.bytes + found.bytes)
    return inner * settings["length"] if name == "scan" else inner


def _product(equation: Any, depth: int) -> Work:
    arrays = [variable.aval for variable in (*equation.invars, *equation.outvars)]
    out = equation.outvars[0].aval
    return Work(2.0 * math.prod(out.shape) * depth, float(sum(math.prod(a.shape) * a.dtype.itemsize for a in arrays)))
