"""Saliency of classes in photographs seen through several views (DI section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt8

from vissum_jax.attribution.gradient import SmoothGradConfig, magnitude, smooth_grad
from vissum_jax.deep_inside.views import LAYOUTS
from vissum_jax.types import Classifier


@dataclass(frozen=True, kw_only=True)
class SaliencyConfig:
    """How saliency is computed.

    Attributes:
        views: What the network sees of a photograph, one of `views.LAYOUTS`; maps are averaged over them.
        smooth_samples: Noisy copies of SmoothGrad; 0 for the plain gradient.
        smooth_noise: Their noise, as a share of the image's range.
        seed: Of the noise.
    """

    views: str = "centre"
    smooth_samples: int = 0
    smooth_noise: float = 0.15
    seed: int = 0

    def __post_init__(self) -> None:
        """Check ranges."""
        if self.views not in LAYOUTS:
            raise ValueError(f"`views` must be one of {', '.join(LAYOUTS)}, got {self.views!r}.")
        if self.smooth_samples < 0:
            raise ValueError(f"`smooth_samples` must not be negative, got {self.smooth_samples}.")
        if not self.smooth_noise > 0:
            raise ValueError(f"`smooth_noise` must be positive, got {self.smooth_noise}.")


class Explained(NamedTuple):
    """What a network says of photographs, and where it looks.

    Attributes:
        probability: Softmax probabilities, averaged over the views.
        classes: The classes explained.
        saliency: A map of every class and view, >= 0, in the network's input geometry.
    """

    probability: Float[Array, "b classes"]
    classes: Int[Array, "b k"]
    saliency: Float[Array, "b k v h w"]


@partial(jax.jit, static_argnames=("top", "with_label", "config"))
def explain(
    classifier: Classifier,
    views: UInt8[Array, "b v h w 3"],
    label: Int[Array, " b"],
    *,
    top: int,
    with_label: bool,
    config: SaliencyConfig,
) -> Explained:
    """Saliency M(u) = max over channels of |dS_c / dI(u)| of several classes in each photograph.

    The network runs forwards once for all classes: only the way back is taken for each of them.

    Source: Simonyan, Vedaldi, Zisserman, Deep Inside Convolutional Networks, 2013, section 3.1.

    Args:
        classifier: The network explained.
        views: RGB, 8 bit.
        label: A class of each photograph.
        top: So many of the network's own answers are explained, most probable first.
        with_label: Whether `label` is explained, too, after them.
        config: SmoothGrad or not.
    """
    photographs, count = views.shape[:2]
    images = views.reshape(-1, *views.shape[2:]).astype(jnp.float32) / 255.0

    def scores(x: Array) -> Array:
        return classifier(x).logits.astype(jnp.float32)

    logits, pull_back = jax.vjp(scores, images)
    probability = jax.nn.softmax(logits).reshape(photographs, count, -1).mean(axis=1)
    _, answers = jax.lax.top_k(probability, top)
    classes = jnp.concatenate([answers, label[:, None]], axis=1) if with_label else answers
    own = jnp.repeat(classes, count, axis=0)  # of each view

    def plain(index: Int[Array, " bv"]) -> Float[Array, "bv h w"]:
        (gradient,) = pull_back(jax.nn.one_hot(index, logits.shape[1], dtype=logits.dtype))
        return magnitude(gradient)

    def smooth(index: Int[Array, " bv"]) -> Float[Array, "bv h w"]:
        noise = SmoothGradConfig(samples=config.smooth_samples, noise=config.smooth_noise)
        return smooth_grad(classifier, images, index, noise, key=jax.random.key(config.seed))

    maps = jax.lax.map(smooth if config.smooth_samples else plain, own.T)
    saliency = maps.reshape(-1, photographs, count, *images.shape[1:3]).swapaxes(0, 1)
    return Explained(probability, classes, saliency)
