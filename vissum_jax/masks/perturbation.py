"""How a mask destroys image content: Phi(x; m) in VS 3.1.

A perturbation is a frozen configuration with two pure methods: `prepare` does once what depends on the
image alone, `apply` is evaluated at every step and differentiable in the mask.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vissum_jax.ops.blur import ScaleSpaceConfig, gaussian_blur, scale_space, varying_blur
from vissum_jax.ops.fill import fill_holes


class Perturbation(Protocol):
    """What an objective needs of a perturbation."""

    def prepare(self, image: Float[Array, "h w 3"]) -> Array:
        """Compute what `apply` needs of the image; done once per image."""
        ...

    def apply(self, image: Float[Array, "h w 3"], prepared: Array, mask: Float[Array, "h w"]) -> Float[Array, "h w 3"]:
        """Perturb the image where the mask is below 1."""
        ...


def perturb(
    perturbation: Perturbation, images: Float[Array, "b h w 3"], masks: Float[Array, "b h w"]
) -> Float[Array, "b h w 3"]:
    """Phi(x; m) of a batch, once; where it is evaluated again and again, `prepare` belongs outside of the loop."""
    return jax.vmap(lambda image, mask: perturbation.apply(image, perturbation.prepare(image), mask))(images, masks)


@dataclass(frozen=True, kw_only=True)
class VaryingBlur:
    """Blur each pixel with sigma(u) = sigma_max (1 - m(u)) (VS 3.1, with the sign of its text).

    VS prints sigma = sigma_0 m(u) beside the penalty ||1 - m||; with m = 1 meaning *keep* that is a slip.

    Attributes:
        scale: Widths of the scale space that is interpolated; `scale.sigma_max` is VS's sigma_0 = 10 px.
    """

    scale: ScaleSpaceConfig = field(default_factory=ScaleSpaceConfig)

    def prepare(self, image: Float[Array, "h w 3"]) -> Float[Array, "levels+1 3 h w"]:
        """Blur the image at every width of the scale space."""
        return scale_space(image, self.scale)

    def apply(
        self,
        image: Float[Array, "h w 3"],
        prepared: Float[Array, "levels+1 3 h w"],
        mask: Float[Array, "h w"],
    ) -> Float[Array, "h w 3"]:
        """Interpolate the scale space at sigma_max (1 - m)."""
        del image  # level 0 of the scale space
        return varying_blur(prepared, self.scale.sigma_max * (1.0 - mask), self.scale)


@dataclass(frozen=True, kw_only=True)
class BlurBlend:
    """Blend with one blurred image: m x + (1 - m) b.

    Two uses. With the 11-tap kernel of VS's released code it is what that code computes in place of the
    varying blur (truncation makes its effective width 3.1 px). With the full kernel and a *binary* mask it
    equals the varying blur at {0, sigma}, at the cost of one blurred image and with a gradient that does not
    vanish at m = 1.

    Attributes:
        sigma: Width of the Gaussian in pixels.
        radius: Taps on each side of the kernel, or None for all that matter.
    """

    sigma: float = 10.0
    radius: int | None = None

    def prepare(self, image: Float[Array, "h w 3"]) -> Float[Array, "h w 3"]:
        """Blur the image once."""
        return gaussian_blur(image, self.sigma, radius=self.radius)

    def apply(
        self, image: Float[Array, "h w 3"], prepared: Float[Array, "h w 3"], mask: Float[Array, "h w"]
    ) -> Float[Array, "h w 3"]:
        """Blend the image with its blurred version."""
        return prepared + mask[..., None] * (image - prepared)


@dataclass(frozen=True, kw_only=True)
class MeanColour:
    """Blend with the image's mean colour: no structure and no local colour is left."""

    def prepare(self, image: Float[Array, "h w 3"]) -> Float[Array, "1 1 3"]:
        """Average over the image."""
        return jnp.mean(image, axis=(0, 1), keepdims=True)

    def apply(
        self, image: Float[Array, "h w 3"], prepared: Float[Array, "1 1 3"], mask: Float[Array, "h w"]
    ) -> Float[Array, "h w 3"]:
        """Blend the image with its mean colour."""
        return prepared + mask[..., None] * (image - prepared)


@dataclass(frozen=True, kw_only=True)
class Inpainting:
    """Fill what is perturbed smoothly from what is kept: inside there is no structure, and at its edge no step."""

    def prepare(self, image: Float[Array, "h w 3"]) -> Float[Array, " 3"]:
        """Average over the image: the colour where nothing is kept."""
        return jnp.mean(image, axis=(0, 1))

    def apply(
        self, image: Float[Array, "h w 3"], prepared: Float[Array, " 3"], mask: Float[Array, "h w"]
    ) -> Float[Array, "h w 3"]:
        """Interpolate over the perturbed pixels."""
        return fill_holes(image, mask, prepared)


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Blend with Gaussian noise of the image's mean and standard deviation per channel, clipped to [0, 1].

    Attributes:
        seed: The noise is the same for every image and every call.
    """

    seed: int = 0

    def prepare(self, image: Float[Array, "h w 3"]) -> Float[Array, "h w 3"]:
        """Draw the noise."""
        noise = jax.random.normal(jax.random.key(self.seed), image.shape, image.dtype)
        mean, deviation = jnp.mean(image, axis=(0, 1)), jnp.std(image, axis=(0, 1))
        return jnp.clip(mean + deviation * noise, 0.0, 1.0)

    def apply(
        self, image: Float[Array, "h w 3"], prepared: Float[Array, "h w 3"], mask: Float[Array, "h w"]
    ) -> Float[Array, "h w 3"]:
        """Blend the image with the noise."""
        return prepared + mask[..., None] * (image - prepared)


TRANSFERS: dict[str, Perturbation] = {
    "mean_colour": MeanColour(),
    "inpainting": Inpainting(),
    "noise": Noise(),
}
"""Perturbations that judge how far a mask's drop is the doing of one perturbation."""
