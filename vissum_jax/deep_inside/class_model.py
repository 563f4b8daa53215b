"""Class models: the image that a network finds most typical of a class (DI section 2).

    arg max over I of  S_c(mean + I) - lambda |I|^2,    S_c the score before the softmax,

from I = 0. I is an offset from the mean image and unbounded, as in the paper: bounds would be a regulariser of their
own. A picture has bounds, though, so that what is reported is the score of the image as it is saved, clipped to
[0, 1] and rounded to 8 bits, beside that of the unbounded one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int, UInt8

from vissum_jax.attribution.gradient import own_logit
from vissum_jax.ops.blur import gaussian_blur
from vissum_jax.types import Classifier

PARAMETRISATIONS = ("pixel", "frequency")


@dataclass(frozen=True, kw_only=True)
class ClassModelConfig:
    """Objective and optimiser of class models.

    Attributes:
        steps: Steps of gradient ascent.
        l2: Weight lambda of |I|^2, the sum over pixels and channels of I in units of the image's range [0, 1].
        rate: Length of the first step: root of the mean square over an image's pixels of what it adds. Steps become
            shorter in proportion to those that are left.
        momentum: Share of a step that the next one takes along.
        jitter: Each step sees the image shifted around its borders by up to so many pixels; 0 for the plain objective.
        blur: Width in pixels of a Gaussian over I after each step; 0 for the plain objective.
        parametrisation: What is optimised: ``pixel``, the pixels of I; ``frequency``, its Fourier coefficients, each
            in units of what natural images have of it (1 / frequency), so that large shapes form first.
        seed: Of the jitter.
    """

    steps: int = 64
    l2: float = 0.02
    rate: float = 0.005
    momentum: float = 0.9
    jitter: int = 0
    blur: float = 0.0
    parametrisation: str = "pixel"
    seed: int = 0

    def __post_init__(self) -> None:
        """Check ranges."""
        if self.steps < 1:
            raise ValueError(f"`steps` must be at least 1, got {self.steps}.")
        if not self.rate > 0:
            raise ValueError(f"`rate` must be positive, got {self.rate}.")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"`momentum` must be in [0, 1), got {self.momentum}.")
        for name in ("l2", "jitter", "blur"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"`{name}` must be finite and not negative, got {getattr(self, name)}.")
        if self.parametrisation not in PARAMETRISATIONS:
            raise ValueError(
                f"`parametrisation` must be {' or '.join(PARAMETRISATIONS)}, got {self.parametrisation!r}."
            )


class ClassModels(NamedTuple):
    """Images of some classes, and what the network says of them.

    Attributes:
        offset: I, the optimum found, unbounded.
        picture: Mean + I, clipped to [0, 1] and rounded to 8 bits: what is saved and shown.
        score: S_c of the unbounded image.
        probability: Its softmax.
        picture_score: S_c of the picture.
        picture_probability: Its softmax.
    """

    offset: Float[Array, "b h w 3"]
    picture: UInt8[Array, "b h w 3"]
    score: Float[Array, " b"]
    probability: Float[Array, " b"]
    picture_score: Float[Array, " b"]
    picture_probability: Float[Array, " b"]


class _Verdict(NamedTuple):
    score: Float[Array, " b"]
    probability: Float[Array, " b"]


@partial(jax.jit, static_argnames="config")
def class_models(
    classifier: Classifier,
    class_index: Int[Array, " b"],
    mean: Float[Array, " 3"],
    config: ClassModelConfig,
) -> ClassModels:
    """Maximise S_c(mean + I) - lambda |I|^2 for a batch of classes at once, in one compiled loop.

    The gradient of each image is scaled to a root mean square of 1, so that one rate serves networks and classes
    whose scores have any scale. Momentum is Polyak's; steps shorten to 0, since steps of one length would never settle.

    Source: Simonyan, Vedaldi, Zisserman, Deep Inside Convolutional Networks, 2013, equation 1.

    Args:
        classifier: The network.
        class_index: Classes.
        mean: The colour that the network subtracts from its input, RGB in [0, 1].
        config: Objective and optimiser.

    Returns:
        Images and scores; not finite where the network answers so.
    """
    spec = classifier.spec
    basis = _Basis(spec.input_height, spec.input_width, config.parametrisation)
    key = jax.random.key(config.seed)

    def objective(coefficients: Array, shift: Int[Array, " 2"]) -> Float[Array, ""]:
        offset = basis.image(coefficients)
        seen = jnp.roll(offset, shift, axis=(1, 2)) if config.jitter else offset
        score = own_logit(classifier(mean + seen).logits, class_index)
        return jnp.sum(score) - config.l2 * jnp.sum(offset**2)

    def step(number: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        coefficients, velocity = carry
        shift = jax.random.randint(jax.random.fold_in(key, number), (2,), -config.jitter, config.jitter + 1)
        # The conjugate makes it the direction of ascent for complex coefficients, too.
        gradient = jnp.conj(jax.grad(objective)(coefficients, shift))
        rate = config.rate * (1.0 - number / config.steps)
        velocity = config.momentum * velocity + rate * basis.normalised(gradient)
        coefficients = coefficients + velocity
        if config.blur:
            blurred = jax.vmap(lambda one: gaussian_blur(one, config.blur))(basis.image(coefficients))
            coefficients = basis.coefficients(blurred)
        return coefficients, velocity

    start = basis.zeros(class_index.shape[0])
    coefficients, _ = jax.lax.fori_loop(0, config.steps, step, (start, start))
    offset = basis.image(coefficients)
    picture = jnp.round(jnp.clip(mean + offset, 0.0, 1.0) * 255.0).astype(jnp.uint8)
    found, shown = (_judge(classifier, x, class_index) for x in (mean + offset, picture.astype(jnp.float32) / 255.0))
    return ClassModels(offset, picture, *found, *shown)


def _judge(classifier: Classifier, images: Float[Array, "b h w 3"], class_index: Int[Array, " b"]) -> _Verdict:
    logits = classifier(images).logits.astype(jnp.float32)
    return _Verdict(own_logit(logits, class_index), own_logit(jax.nn.softmax(logits), class_index))


class _Basis(NamedTuple):
    """How numbers become an image.

    Attributes:
        height: Rows of the image.
        width: Columns.
        kind: One of `PARAMETRISATIONS`.
    """

    height: int
    width: int
    kind: str

    def zeros(self, count: int) -> Float[Array, "b h w 3"] | Complex[Array, "b h half 3"]:
        if self.kind == "pixel":
            return jnp.zeros((count, self.height, self.width, 3))
        return jnp.zeros((count, self.height, self.width // 2 + 1, 3), jnp.complex64)

    def image(self, coefficients: Array) -> Float[Array, "b h w 3"]:
        if self.kind == "pixel":
            return coefficients
        return jnp.fft.irfft2(coefficients * self._scale(), s=(self.height, self.width), axes=(1, 2), norm="ortho")

    def coefficients(self, image: Float[Array, "b h w 3"]) -> Array:
        if self.kind == "pixel":
            return image
        return jnp.fft.rfft2(image, axes=(1, 2), norm="ortho") / self._scale()

    def normalised(self, gradient: Array) -> Array:
        """A direction whose image has a root mean square of 1; 0 stays 0."""
        length = jnp.sqrt(jnp.mean(self.image(gradient) ** 2, axis=(1, 2, 3), keepdims=True))
        return gradient / jnp.where(length > 0, length, 1.0)

    def _scale(self) -> Float[np.ndarray, "h half 1"]:
        """1 / frequency, the lowest one in place of 0."""
        rows, columns = np.fft.fftfreq(self.height)[:, None], np.fft.rfftfreq(self.width)[None]
        frequency = np.maximum(np.hypot(rows, columns), 1.0 / max(self.height, self.width))
        return (1.0 / frequency)[..., None].astype(np.float32)
