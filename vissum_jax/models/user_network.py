"""Networks of the user's own: ``package.module:function``, called and checked before anything relies on them."""

import importlib
import inspect
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from vissum_jax.types import Classifier, Outputs

_TRIAL_BATCH = 2


def load_user_network(name: str) -> Classifier:
    """Call the user's function and check what it returns.

    Args:
        name: ``package.module:function``; the function takes nothing and returns a `Classifier`.

    Returns:
        The classifier.

    Raises:
        ValueError: If there is no such function, it raises, or what it returns is not a classifier that works;
            one line that names what is wrong.
    """
    classifier = _call(name, _find(name))
    if not isinstance(classifier, Classifier):
        raise ValueError(f"`model` {name!r} must return a vissum_jax.Classifier, got {type(classifier).__name__}.")
    check_outputs(classifier, name)
    return classifier


def check_outputs(classifier: Classifier, name: str) -> None:
    """Check the shapes of a network's answer by tracing it, without computing anything.

    Raises:
        ValueError: If the network fails on a batch of its input size, or answers something else than logits, one
            per class, and endpoints.
    """
    spec = classifier.spec
    shape = (_TRIAL_BATCH, spec.input_height, spec.input_width, 3)
    try:
        images = jax.ShapeDtypeStruct(shape, jnp.float32)
        outputs = jax.eval_shape(lambda params, x: classifier.apply(params, x), classifier.params, images)
    except Exception as error:
        raise ValueError(f"`model` {name!r} fails on images of shape {shape}: {_one_line(error)}.") from error
    if not isinstance(outputs, Outputs):
        raise ValueError(
            f"`model` {name!r}: `apply` must return vissum_jax.Outputs(logits, endpoints), got "
            f"{type(outputs).__name__}."
        )
    logits, expected = outputs.logits, (_TRIAL_BATCH, len(spec.class_names))
    found = getattr(logits, "shape", type(logits).__name__)
    if found != expected:
        raise ValueError(
            f"`model` {name!r}: for images of shape {shape} and {expected[1]} `class_names` the logits must have shape "
            f"{expected}, got {found}."
        )
    if not jnp.issubdtype(logits.dtype, jnp.floating):
        raise ValueError(f"`model` {name!r}: the logits must be of floating point, got {logits.dtype}.")
    endpoints = outputs.endpoints
    if not isinstance(endpoints, Mapping) or spec.feature_endpoint not in endpoints:
        known = ", ".join(endpoints) if isinstance(endpoints, Mapping) else type(endpoints).__name__
        raise ValueError(
            f"`model` {name!r}: `feature_endpoint` {spec.feature_endpoint!r} must be one of its endpoints, got "
            f"{known or 'none'}."
        )


def _find(name: str) -> Callable[..., object]:
    module_name, _, function_name = name.partition(":")
    if not module_name or module_name.startswith(".") or not function_name:
        raise ValueError(f"`model` {name!r} must be package.module:function.")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"`model` {name!r}: no module {error.name!r} on the Python path; add its folder to PYTHONPATH."
        ) from error
    except Exception as error:
        raise ValueError(f"`model` {name!r}: importing {module_name!r} fails: {_one_line(error)}.") from error
    factory = getattr(module, function_name, None)
    if not callable(factory):
        raise ValueError(f"`model` {name!r}: module {module_name!r} has no function {function_name!r}.")
    return factory


def _call(name: str, factory: Callable[..., object]) -> object:
    try:
        inspect.signature(factory).bind()
    except TypeError as error:
        raise ValueError(f"`model` {name!r} must take no arguments: {_one_line(error)}.") from error
    except ValueError:
        pass  # a function without a signature, such as one compiled; calling it will tell
    try:
        return factory()
    except Exception as error:
        raise ValueError(f"`model` {name!r} raises {_one_line(error)}.") from error


def _one_line(error: Exception) -> str:
    """The kind and the first line of an error that is not ours; the whole of it is its cause."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first}".rstrip(": .")
