"""What the package imports beside JAX and Flax, for machines that lack it.

An accelerator's image often holds JAX, Flax, Optax, NumPy and SciPy and reaches no package index. Of all else the
kernels need two small packages, and only to be imported: `jaxtyping`, whose types stand in annotations that nobody
evaluates, and `lazy_loader`, through which packages give their names away. `stand_in` puts something in their place,
only where they are not installed, and only in the benchmark's process: the package itself goes on naming what it needs.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType


class Unchecked:
    """Any of jaxtyping's types; `Unchecked[Array, "h w"]` and `Unchecked | None` are annotations like any others."""

    def __class_getitem__(cls, shape: object) -> type[Unchecked]:
        """The same for every shape."""
        return cls


def attach(
    package: str, submod_attrs: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """A package's names, each taken from its module when it is first asked for; see `lazy_loader.attach`."""
    homes = {name: module for module, names in submod_attrs.items() for name in names}

    def find(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    return find, lambda: sorted(homes), sorted(homes)


def _annotations() -> ModuleType:
    def find(name: str) -> type[Unchecked]:
        if name.startswith("__"):  # what Python asks of modules is no type
            raise AttributeError(name)
        return Unchecked

    module = ModuleType("jaxtyping", "Annotations that say nothing.")
    vars(module)["__getattr__"] = find
    return module


def _lazy_names() -> ModuleType:
    module = ModuleType("lazy_loader", "Names of packages that are found when they are asked for.")
    vars(module)["attach"] = attach
    return module


STAND_INS: dict[str, Callable[[], ModuleType]] = {"jaxtyping": _annotations, "lazy_loader": _lazy_names}


def stand_in() -> tuple[str, ...]:
    """Put a stand-in where a package is not installed; to be called before anything of `vissum_jax` is imported.

    Returns:
        The packages that were missing.
    """
    missing = tuple(name for name in STAND_INS if name not in sys.modules and importlib.util.find_spec(name) is None)
    for name in missing:
        sys.modules[name] = STAND_INS[name]()
    return missing
