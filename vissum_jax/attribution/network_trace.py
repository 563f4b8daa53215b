"""Any network as a list of equations, to be evaluated with some of its endpoints changed on the way.

A `Classifier` only reports its endpoints. To differentiate with respect to one, or to switch some of its channels off,
the rest of the network must be known as a function of it. The network is traced to a jaxpr, which is evaluated
equation by equation; right after the equation that computes an endpoint, its value is exchanged. Every other equation
is bound as it stands, so that custom derivative rules remain in force.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var
from jax.extend.core.primitives import jit_p
from jaxtyping import Array, Float

from vissum_jax.types import Classifier, Outputs, PyTree

Change = Callable[[Array], Array]
"""Takes an endpoint's value and gives the one that the network goes on with, of the same shape."""


class Site(NamedTuple):
    """Where a network computes a variable.

    Attributes:
        path: Position of an equation of the network, of one within that equation if it is a compiled function, and
            so on; the last one computes the variable. Paths compare in the order of computation.
        variable: The variable as the innermost function knows it.
    """

    path: tuple[int, ...]
    variable: Var

    @property
    def within(self) -> Site:
        """The same seen from inside the compiled function."""
        return Site(self.path[1:], self.variable)


class NetworkTrace(NamedTuple):
    """A traced network.

    Attributes:
        name: Of the network, for messages.
        jaxpr: Its equations.
        constants: What they refer to beside parameters and images.
        positions: `Outputs` with the position of each value among the equations' results.
        shapes: `Outputs` with the shape of each value.
    """

    name: str
    jaxpr: Jaxpr
    constants: Sequence[Any]
    positions: PyTree
    shapes: PyTree

    def site(self, endpoint: str) -> Site | None:
        """Where an endpoint is computed; None if the logits do not depend on it from there on."""
        site = _site(self.jaxpr, self.jaxpr.outvars[self.positions.endpoints[endpoint]])
        if site is None or self.jaxpr.outvars[self.positions.logits] not in _dependents(self.jaxpr, site):
            return None
        return site

    def shape(self, endpoint: str) -> jax.ShapeDtypeStruct:
        """Shape and number type of an endpoint that the logits depend on.

        Raises:
            ValueError: If there is no such endpoint, or the logits do not depend on it.
        """
        self._required_site(endpoint)
        return self.shapes.endpoints[endpoint]

    def spatial_endpoints(self) -> tuple[str, ...]:
        """Names of the feature maps (b, h', w', c), h' w' > 1, that the logits depend on, in order of computation.

        The endpoints' own order does not tell: a compiled `apply` returns them sorted by name.
        """
        endpoints = self.shapes.endpoints
        maps = [name for name, shape in endpoints.items() if len(shape.shape) == 4 and min(shape.shape[1:3]) > 1]
        sites = {name: site for name in maps if (site := self.site(name)) is not None}
        return tuple(sorted(sites, key=lambda name: sites[name].path))

    def evaluate(
        self, params: PyTree, images: Float[Array, "b h w 3"], changes: Mapping[str, Change] | None = None
    ) -> Outputs:
        """What the network answers when it goes on with changed endpoints.

        Args:
            params: Parameters, in the structure that was traced.
            images: As many as were traced.
            changes: By name of the endpoint.

        Returns:
            The outputs; the changed endpoints as they are after the change.

        Raises:
            ValueError: If there is no such endpoint, or the logits do not depend on it.
        """
        sites = [(self._required_site(endpoint), change) for endpoint, change in (changes or {}).items()]
        arguments = jax.tree.leaves((params, images))
        values = _evaluate(self.jaxpr, self.constants, arguments, sites)
        return jax.tree.map(lambda position: values[position], self.positions)

    def _required_site(self, endpoint: str) -> Site:
        if endpoint not in self.shapes.endpoints:
            raise ValueError(
                f"`endpoint` {endpoint!r} is none of {self.name!r}: it has {', '.join(self.shapes.endpoints)}."
            )
        site = self.site(endpoint)
        if site is None:
            raise ValueError(
                f"`endpoint` {endpoint!r} of {self.name!r} is a dead end: the logits do not depend on the "
                "reported value. Report the very array that the network goes on with."
            )
        return site


def trace_network(classifier: Classifier, images: Float[Array, "b h w 3"]) -> NetworkTrace:
    """A network's equations for as many images; nothing is computed."""
    closed, shapes = jax.make_jaxpr(classifier.apply, return_shape=True)(classifier.params, images)
    structure = jax.tree.structure(shapes)
    positions = jax.tree.unflatten(structure, range(structure.num_leaves))
    return NetworkTrace(classifier.spec.name, closed.jaxpr, closed.consts, positions, shapes)


def _site(jaxpr: Jaxpr, variable: Any) -> Site | None:
    """Where a variable is computed, inside compiled functions too; None for inputs and constants."""
    for number, equation in enumerate(jaxpr.eqns):
        if variable not in equation.outvars:
            continue
        if equation.primitive is not jit_p:
            return Site((number,), variable)
        inner = equation.params["jaxpr"].jaxpr
        result = inner.outvars[equation.outvars.index(variable)]
        if result in inner.invars:  # handed through unchanged
            return _site(jaxpr, equation.invars[inner.invars.index(result)])
        found = _site(inner, result)
        return found and Site((number, *found.path), found.variable)
    return None


def _dependents(jaxpr: Jaxpr, site: Site) -> set[Var]:
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
    jaxpr: Jaxpr, constants: Sequence[Any], arguments: Sequence[Any], changes: Sequence[tuple[Site, Change]]
) -> list[Any]:
    """Evaluate a jaxpr with the variables at some sites changed."""
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*constants, *arguments], strict=True))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else values[atom]

    for number, equation in enumerate(jaxpr.eqns):
        inputs = [read(atom) for atom in equation.invars]
        here = [(site, change) for site, change in changes if site.path[0] == number]
        deeper = [(site.within, change) for site, change in here if len(site.path) > 1]
        if deeper:
            inner = equation.params["jaxpr"]
            results = _evaluate(inner.jaxpr, inner.consts, inputs, deeper)
        else:
            results = _bind(equation, inputs)
        values.update(zip(equation.outvars, results, strict=True))
        for site, change in here:
            if len(site.path) == 1:
                values[site.variable] = change(values[site.variable])
    return [read(atom) for atom in jaxpr.outvars]


def _bind(equation: JaxprEqn, inputs: Sequence[Any]) -> Sequence[Any]:
    """Evaluate one equation."""
    primitive = equation.primitive
    params = primitive.get_bind_params(equation.params)
    functions, params = params if isinstance(params, tuple) else ((), params)  # older JAX: apart
    results = primitive.bind(*functions, *inputs, **params)
    return results if primitive.multiple_results else [results]
