"""A network specialised by its own summaries: its softmax mixed with the answers of linear SVMs (VS 4.4).

A file of one is ``.safetensors``: the arrays of `Machines`, the weight, and in its metadata one JSON object that says
which network and which weights they were made for. It does not hold the network; `load_specialized` loads that beside.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from safetensors import safe_open
from safetensors.numpy import save

from vissum_jax.analysis.machines import Machines
from vissum_jax.types import Classifier, Outputs

PREFIX = "specialized:"
FORMAT, VERSION = "vissum-specialized", 1
_KEY = "vissum"
_SHAPES = {
    "weight": ("k", "d"),
    "bias": ("k",),
    "slope": ("k",),
    "offset": ("k",),
    "class_index": ("k",),
    "summary": ("k",),
    "mixing": (),
}
_WHOLE = ("class_index", "summary")
_MOST_BYTES = 2**30  # a hundred thousand machines on a thousand features twice over
_LENGTH_FLOOR = 1e-12  # of a feature vector; a zero vector stays zero
_FLOOR = math.log(float(np.finfo(np.float32).tiny))  # of a logarithm: what has no probability at all


@dataclass(frozen=True, kw_only=True)
class Specialization:
    """What makes a network a specialised one.

    Attributes:
        machines: The SVMs.
        mixing: Weight of their scores, in [0, 1]; the softmax has the rest.
        model: Name of the network.
        weights_sha256: Hash of its weights, or empty where there is no file.
        endpoint: Where the SVMs read their features.
        classes: Number of the network's classes.
    """

    machines: Machines
    mixing: float
    model: str
    weights_sha256: str
    endpoint: str
    classes: int


def endpoint_features(endpoint: Float[Array, "b *hw d"]) -> Float[Array, "b d"]:
    """Feature vectors of length 1; an endpoint with places is averaged over them."""
    pooled = endpoint.mean(axis=tuple(range(1, endpoint.ndim - 1)))
    return pooled / jnp.maximum(jnp.linalg.norm(pooled, axis=1, keepdims=True), _LENGTH_FLOOR)


def machine_arrays(machines: Machines) -> dict[str, Array]:
    """The machines as `log_scores` takes them, a row for each class that has any.

    ``rows`` (classes with machines, most machines of a class) holds machines; shorter rows repeat their first one,
    which leaves the maximum as it is.
    """
    present = np.unique(machines.class_index)
    own = [np.flatnonzero(machines.class_index == index) for index in present]
    most = max((len(rows) for rows in own), default=0)
    table = np.array([[*rows, *[rows[0]] * (most - len(rows))] for rows in own], np.int32)
    arrays = {"present": present, "rows": table}
    arrays |= {name: getattr(machines, name) for name in ("weight", "bias", "slope", "offset")}
    return {name: jnp.asarray(array) for name, array in arrays.items()}


def log_scores(
    machines: Mapping[str, Array], features: Float[Array, "b d"], *, classes: int
) -> Float[Array, "b classes"]:
    """Logarithm of the classes' scores: the best of a class's machines, all classes' together normalised to 1.

        score_c = max_k p_k / sum_c' max_k' p_k',    p_k = sigmoid(-(slope_k (w_k f + b_k) + offset_k))

    Args:
        machines: Result of `machine_arrays`, of at least one machine.
        features: Of length 1.
        classes: Number of classes.

    Returns:
        At most 0; -inf for a class without machines.
    """
    best = log_answers(machines, features)[:, machines["rows"]].max(axis=2)
    score = best - jax.nn.logsumexp(best, axis=1, keepdims=True)
    return jnp.full((len(features), classes), -jnp.inf).at[:, machines["present"]].set(score)


def log_answers(machines: Mapping[str, Array], features: Float[Array, "b d"]) -> Float[Array, "b k"]:
    """Logarithm of each machine's calibrated answer."""
    decision = features @ machines["weight"].T + machines["bias"]
    return jax.nn.log_sigmoid(-(machines["slope"] * decision + machines["offset"]))


def specialize(base: Classifier, parts: Specialization, *, sha256: str = "") -> Classifier:
    """The specialised network: log((1 - a) softmax + a score) as logits, the network's endpoints as they are.

    Args:
        base: The network.
        parts: Its SVMs and their weight.
        sha256: Hash of the file that they come from.

    Raises:
        ValueError: They were made for another network, or do not fit this one; one line.
    """
    _check_fit(base, parts)
    spec = dataclasses.replace(
        base.spec,
        name=f"{base.spec.name}-specialized",
        known_top1=None,
        weights_sha256=hashlib.sha256(f"{base.spec.weights_sha256}:{sha256}".encode()).hexdigest() if sha256 else "",
    )
    return Classifier(
        params={"base": base.params, "machines": machine_arrays(parts.machines), "mixing": jnp.float32(parts.mixing)},
        apply=_specialized_apply(base.apply, parts.endpoint, parts.classes),
        spec=spec,
    )


@functools.lru_cache(maxsize=8)
def _specialized_apply(
    apply: Callable[[Any, Array], Outputs], endpoint: str, classes: int
) -> Callable[[Any, Array], Outputs]:
    """One function for all specialisations of a network, and with it one compiled program."""

    def specialized(params: Any, images: Float[Array, "b h w 3"]) -> Outputs:
        outputs = apply(params["base"], images)
        scores = log_scores(params["machines"], endpoint_features(outputs.endpoints[endpoint]), classes=classes)
        # Minus infinity on both sides would have no gradient.
        scores, own, others = (
            jnp.maximum(each, _FLOOR) for each in (scores, jnp.log(params["mixing"]), jnp.log1p(-params["mixing"]))
        )
        mixed = jnp.logaddexp(others + jax.nn.log_softmax(outputs.logits, axis=1), own + scores)
        return Outputs(jnp.maximum(mixed, _FLOOR), outputs.endpoints)

    return specialized


def encode_specialization(parts: Specialization) -> bytes:
    """The bytes of a file that `read_specialization` reads."""
    arrays = {name: np.ascontiguousarray(value) for name, value in vars(parts.machines).items()}
    about = {
        "format": FORMAT,
        "version": VERSION,
        "model": parts.model,
        "weights_sha256": parts.weights_sha256,
        "endpoint": parts.endpoint,
        "classes": parts.classes,
    }
    return save({**arrays, "mixing": np.array(parts.mixing, np.float32)}, metadata={_KEY: json.dumps(about)})


def read_specialization(path: Path) -> tuple[Specialization, str]:
    """Read and check a file of a specialised network; nothing in it is run.

    Returns:
        What it holds, and its SHA-256.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, of another kind, or holds arrays that make no classifier; one line.
    """
    if not path.is_file():
        raise FileNotFoundError(f"`model`: there is no file {str(path)!r}.")
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"`model`: {str(path)!r} has more than {_MOST_BYTES} bytes.")
    try:
        with safe_open(path, framework="np") as file:
            about = json.loads((file.metadata() or {})[_KEY])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it cannot be iterated
        parts = _checked(about, arrays)
    except Exception as error:  # damaged files raise almost anything
        message = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"`model`: {str(path)!r} is no specialised network: {message}") from error
    return parts, hashlib.sha256(path.read_bytes()).hexdigest()


def _checked(about: Any, arrays: Mapping[str, np.ndarray]) -> Specialization:
    """What a file says, if it makes sense."""
    if not isinstance(about, dict) or (about.get("format"), about.get("version")) != (FORMAT, VERSION):
        raise ValueError(f"its format is not {FORMAT} {VERSION}")
    if set(arrays) != set(_SHAPES):
        raise ValueError(f"it must hold {', '.join(_SHAPES)}, got {', '.join(sorted(map(repr, arrays)))}")
    for name in ("model", "weights_sha256", "endpoint"):
        if not isinstance(about.get(name), str) or not about[name].isprintable():
            raise ValueError(f"its {name} is no text")
    classes = about.get("classes")
    if type(classes) is not int or classes < 1:
        raise ValueError(f"its number of classes is {classes!r}")
    count, dimensions = arrays["weight"].shape if arrays["weight"].ndim == 2 else (0, 0)
    if not count or not dimensions:
        raise ValueError(f"its weight has shape {arrays['weight'].shape}; machines by features are wanted")
    for name, letters in _SHAPES.items():
        array, shape = arrays[name], tuple({"k": count, "d": dimensions}[letter] for letter in letters)
        kind = np.int32 if name in _WHOLE else np.float32
        if array.shape != shape or array.dtype != kind:
            raise ValueError(f"its {name} must be {np.dtype(kind).name} {shape}, got {array.dtype} {array.shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"its {name} is not finite everywhere")
    if not ((arrays["class_index"] >= 0) & (arrays["class_index"] < classes)).all():
        raise ValueError(f"its class_index leaves the {classes} classes")
    if not 0 <= arrays["mixing"] <= 1:
        raise ValueError(f"its mixing must be in [0, 1], got {arrays['mixing']}")
    return Specialization(
        machines=Machines(**{name: array for name, array in arrays.items() if name != "mixing"}),
        mixing=float(arrays["mixing"]),
        model=about["model"],
        weights_sha256=about["weights_sha256"],
        endpoint=about["endpoint"],
        classes=classes,
    )


def _check_fit(base: Classifier, parts: Specialization) -> None:
    spec = base.spec
    if parts.weights_sha256 and spec.weights_sha256 != parts.weights_sha256:
        raise ValueError(
            f"`model`: the specialisation was made for {parts.model!r} with weights {parts.weights_sha256[:12]}.., got "
            f"{spec.weights_sha256[:12] or 'none'}..; name those with --weights."
        )
    if len(spec.class_names) != parts.classes:
        raise ValueError(
            f"`model`: the specialisation was made for {parts.classes} classes, {spec.name!r} has "
            f"{len(spec.class_names)}."
        )
    images = jax.ShapeDtypeStruct((1, spec.input_height, spec.input_width, 3), jnp.float32)
    endpoints = jax.eval_shape(base.apply, base.params, images).endpoints
    if parts.endpoint not in endpoints:
        raise ValueError(f"`model`: {spec.name!r} has no endpoint {parts.endpoint!r}, which the specialisation reads.")
    width, wanted = endpoints[parts.endpoint].shape[-1], parts.machines.weight.shape[1]
    if width != wanted:
        raise ValueError(
            f"`model`: endpoint {parts.endpoint!r} of {spec.name!r} has {width} features, the specialisation reads "
            f"{wanted}."
        )
