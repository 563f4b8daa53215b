"""Worked examples of networks of one's own: a plain function, a Linen module, an NNX module.

Each `make_..` takes nothing and returns a `Classifier`; `vissum run --model user_networks:make_linen` uses it. The
three are one and the same network, which knows the colours of the tests' photographs (see `toys`).
"""

import jax
import jax.numpy as jnp
import toys
from flax import linen, nnx

import vissum_jax as vs

SPEC = vs.ClassifierSpec(
    name="colours",
    input_height=toys.SIDE,
    input_width=toys.SIDE,
    resize_short_side=toys.SIDE,
    class_names=toys.CLASSES,
    feature_endpoint="features",
)
GAIN, THRESHOLD, NOTHING = 300.0, 0.4, 6.0


def excess(images: jax.Array, threshold: jax.Array) -> jax.Array:
    """How much each colour stands out from the other two, on average."""
    others = jnp.stack([images[..., jnp.array(pair)].max(-1) for pair in ((1, 2), (0, 2), (0, 1))], axis=-1)
    return (jax.nn.softplus((images - others - threshold) * 40.0) / 40.0).mean(axis=(1, 2))


# A plain function: parameters are whatever tree suits it.


def make_plain() -> vs.Classifier:
    params = {
        "threshold": jnp.float32(THRESHOLD),
        "head": GAIN * jnp.eye(3, 4),
        "bias": jnp.array([0.0, 0, 0, NOTHING]),
    }

    def apply(params, images):
        features = excess(images, params["threshold"])
        return vs.Outputs(features @ params["head"] + params["bias"], {"features": features})

    return vs.Classifier(params=params, apply=apply, spec=SPEC)


# A Linen module: its variables are the parameters, and `apply` is nearly its own.


class LinenColours(linen.Module):
    @linen.compact
    def __call__(self, images):
        features = excess(images, self.param("threshold", lambda key: jnp.float32(THRESHOLD)))
        head = linen.Dense(4, kernel_init=lambda *_: GAIN * jnp.eye(3, 4), bias_init=lambda *_: jnp.eye(4)[3] * NOTHING)
        return head(features), features


def make_linen() -> vs.Classifier:
    module = LinenColours()
    variables = module.init(jax.random.key(0), jnp.zeros((1, toys.SIDE, toys.SIDE, 3)))

    def apply(variables, images):
        logits, features = module.apply(variables, images)
        return vs.Outputs(logits, {"features": features})

    return vs.Classifier(params=variables, apply=apply, spec=SPEC)


# An NNX module: split once into its graph, which is closed over, and its parameters.


class NnxColours(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs):
        self.threshold = nnx.Param(jnp.float32(THRESHOLD))
        self.head = nnx.Linear(3, 4, rngs=rngs)
        self.head.kernel[...] = GAIN * jnp.eye(3, 4)
        self.head.bias[...] = jnp.eye(4)[3] * NOTHING

    def __call__(self, images):
        features = excess(images, self.threshold[...])
        return self.head(features), features


def make_nnx() -> vs.Classifier:
    graph, params = nnx.split(NnxColours(rngs=nnx.Rngs(0)))

    def apply(params, images):
        logits, features = nnx.merge(graph, params)(images)
        return vs.Outputs(logits, {"features": features})

    return vs.Classifier(params=params, apply=apply, spec=SPEC)
