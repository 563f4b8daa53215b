"""Gradient of a class score with respect to an inner activation of any network.

A `Classifier` only reports its endpoints; to differentiate with respect to one, the rest of the network must be
known as a function of it. The network is traced to a jaxpr, which is evaluated equation by equation with an offset
added right after the equation that computes the endpoint: the gradient with respect to the offset, at 0, is the one
wanted. Every other equation is bound as it stands, so that custom derivative rules remain in force.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var
from jax.extend.core.primitives import jit_p
from jaxtyping import Array, Float, Int

from vissum_jax.attribution.gradient import own_logit
from vissum_jax.types import Classifier, PyTree


class EndpointGradient(NamedTuple):
    """A class score and its dependence on one endpoint.

    Attributes:
        score: S_c, the class's logit.
        activations: The endpoint's value A.
        gradient: dS_c / dA.
    """

    score: Float[Array, " b"]
    activations: Float[Array, "b ..."]
    gradient: Float[Array, "b ..."]


class _Site(NamedTuple):
    """Where a network computes a variable.

    Attributes:
        path: Position of an equation of the network, of one within that equation if it is a compiled function, and
            so on; the last one computes the variable. Paths compare in the order of computation.
        variable: The variable as the innermost function knows it.
    """

    path: tuple[int, ...]
    variable: Var

    @property
    def within(self) -> _Site:
        """The same seen from inside the compiled function."""
        return _Site(self.path[1:], self.variable)


class _Trace(NamedTuple):
    """A traced network: its equations, constants, and its outputs with positions in place of values."""

    jaxpr: Jaxpr
    constants: Sequence[Any]
    outputs: PyTree

    def variable(self, position: int) -> Any:
        return self.jaxpr.outvars[position]

    def feeding_site(self, endpoint: str) -> _Site | None:
        """Where an endpoint is computed; None if the logits do not depend on it from there on."""
        site = _site(self.jaxpr, self.variable(self.outputs.endpoints[endpoint]))
        if site is None or self.variable(self.outputs.logits) not in _dependents(self.jaxpr, site):
            return None
        return site


def endpoint_gradient(
    classifier: Classifier, images: Float[Array, "b h w 3"], class_index: Int[Array, " b"], endpoint: str
) -> EndpointGradient:
    """Value of an endpoint A and gradient dS_c / dA of the class's logit.

    Args:
        classifier: The network; its `apply` may be compiled.
        images: RGB in [0, 1].
        class_index: Class of each image.
        endpoint: Name of the endpoint.

    Raises:
        ValueError: If there is no such endpoint, or the logits do not depend on it.
    """
    trace, shapes = _trace(classifier, images)
    if endpoint not in shapes.endpoints:
        raise ValueError(
            f"`endpoint` {endpoint!r} is none of {classifier.spec.name!r}: it has {', '.join(shapes.endpoints)}."
        )
    site = trace.feeding_site(endpoint)
    if site is None:
        raise ValueError(
            f"`endpoint` {endpoint!r} of {classifier.spec.name!r} is a dead end: the logits do not depend on the "
            "reported value. Report the very array that the network goes on with."
        )
    arguments = jax.tree.leaves((classifier.params, images))

    def total(offset: Array) -> tuple[Array, tuple[Array, Array]]:
        values = _evaluate(trace.jaxpr, trace.constants, arguments, site, offset)
        score = own_logit(values[trace.outputs.logits], class_index)
        return jnp.sum(score), (score, values[trace.outputs.endpoints[endpoint]])

    shape = shapes.endpoints[endpoint]
    gradient, (score, activations) = jax.grad(total, has_aux=True)(jnp.zeros(shape.shape, shape.dtype))
    return EndpointGradient(score, activations, gradient)


def spatial_endpoints(classifier: Classifier, images: Float[Array, "b h w 3"]) -> tuple[str, ...]:
    """Names of the feature maps (b, h', w', c), h' w' > 1, that the logits depend on, in the order of computation.

    The endpoints' own order does not tell: a compiled `apply` returns them sorted by name.
    """
    trace, shapes = _trace(classifier, images)
    maps = [name for name, shape in shapes.endpoints.items() if len(shape.shape) == 4 and min(shape.shape[1:3]) > 1]
    sites = {name: site for name in maps if (site := trace.feeding_site(name)) is not None}
    return tuple(sorted(sites, key=lambda name: sites[name].path))


def _trace(classifier: Classifier, images: Array) -> tuple[_Trace, PyTree]:
    """The network's equations, and the shapes of its outputs."""
    closed, shapes = jax.make_jaxpr(classifier.apply, return_shape=True)(classifier.params, images)
    structure = jax.tree.structure(shapes)
    positions = jax.tree.unflatten(structure, range(structure.num_leaves))
    return _Trace(closed.jaxpr, closed.consts, positions), shapes


def _site(jaxpr: Jaxpr, variable: Any) -> _Site | None:
    """Where a variable is computed, inside compiled functions too; None for inputs and constants."""
    for number, equation in enumerate(jaxpr.eqns):
        if variable not in equation.outvars:
            continue
        if equation.primitive is not jit_p:
            return _Site((number,), variable)
        inner = equation.params["jaxpr"].jaxpr
        result = inner.outvars[equation.outvars.index(variable)]
        if result in inner.invars:  # handed through unchanged
            return _site(jaxpr, equation.invars[inner.invars.index(result)])
        found = _site(inner, result)
        return found and _Site((number, *found.path), found.variable)
    return None


def _dependents(jaxpr: Jaxpr, site: _Site) -> set[Var]:
    """Variables whose values change with the one at a site."""
    found: set[Var] = set()
    for number, equation in enumerate(jaxpr.eqns):
        if (number,) == site.path:
            found.add(site.variable)
        elif number == site.path[0]:
            inner = equation.params["jaxpr"].jaxpr
            changed = _dependents(inner, site.within)
            pairs = zip(equation.outvars, inner.outvars, strict=True)
            found.update(outer for outer, result in pairs if isinstance(result, Var) and result in changed)
        elif any(value in found for value in equation.invars if isinstance(value, Var)):
            found.update(equation.outvars)
    return found


def _evaluate(
    jaxpr: Jaxpr, constants: Sequence[Any], arguments: Sequence[Any], site: _Site, offset: Array
) -> list[Any]:
    """Evaluate a jaxpr with an offset added to the variable at a site."""
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*constants, *arguments], strict=True))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else values[atom]

    for number, equation in enumerate(jaxpr.eqns):
        inputs = [read(atom) for atom in equation.invars]
        if len(site.path) > 1 and number == site.path[0]:
            inner = equation.params["jaxpr"]
            results = _evaluate(inner.jaxpr, inner.consts, inputs, site.within, offset)
        else:
            results = _bind(equation, inputs)
        values.update(zip(equation.outvars, results, strict=True))
        if (number,) == site.path:
            values[site.variable] += offset
    return [read(atom) for atom in jaxpr.outvars]


def _bind(equation: JaxprEqn, inputs: Sequence[Any]) -> Sequence[Any]:
    """Evaluate one equation."""
    primitive = equation.primitive
    params = primitive.get_bind_params(equation.params)
    functions, params = params if isinstance(params, tuple) else ((), params)  # older JAX: apart
    results = primitive.bind(*functions, *inputs, **params)
    return results if primitive.multiple_results else [results]
