"""Class activation maps weighted by gradients: Grad-CAM and Grad-CAM++."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vissum_jax.attribution.endpoint_gradient import EndpointGradient, endpoint_gradient, spatial_endpoints
from vissum_jax.ops.resize import crop_and_resize
from vissum_jax.types import Classifier


@dataclass(frozen=True, kw_only=True)
class GradCamConfig:
    """Which feature maps are weighted.

    Attributes:
        endpoint: An endpoint with two spatial axes, or None for the last one that the network computes.
    """

    endpoint: str | None = None

    def __post_init__(self) -> None:
        """Check that a name is one."""
        if self.endpoint == "":
            raise ValueError("`endpoint` must be a name or None, got ''.")


def grad_cam(
    classifier: Classifier, images: Float[Array, "b h w 3"], class_index: Int[Array, " b"], config: GradCamConfig
) -> Float[Array, "b h w"]:
    """Grad-CAM, L = ReLU(sum_k a_k A_k) with a_k the mean over positions of dS_c / dA_k.

    Source: Selvaraju et al., Grad-CAM, ICCV 2017, equations 1 and 2. On a network that ends in a global average and
    one linear layer this is CAM (Zhou et al. 2016) divided by the number of positions.

    Args:
        classifier: The network explained.
        images: RGB in [0, 1].
        class_index: Class explained of each image.
        config: The feature maps.

    Returns:
        Maps >= 0 of the images' size, interpolated bilinearly; higher = more salient.

    Raises:
        ValueError: If the endpoint is unknown, has no spatial axes or is a dead end.
    """
    found = _feature_maps(classifier, images, class_index, config)
    return _weighted(jnp.mean(found.gradient, axis=(1, 2)), found.activations, images)


def grad_cam_pp(
    classifier: Classifier, images: Float[Array, "b h w 3"], class_index: Int[Array, " b"], config: GradCamConfig
) -> Float[Array, "b h w"]:
    """Grad-CAM++, L = ReLU(sum_k w_k A_k), w_k = sum_u alpha_k(u) ReLU(g_k(u)), g = dS_c / dA.

        alpha_k(u) = g_k(u)^2 / (2 g_k(u)^2 + g_k(u)^3 sum_v A_k(v)),   0 where g_k(u) = 0,

    which is the paper's ratio of derivatives of exp(S_c) for a network that is piecewise linear; the factor
    exp(S_c), common to all of an image's weights, is left out.

    Source: Chattopadhyay et al., Grad-CAM++, WACV 2018, section 3. See `grad_cam` for arguments.
    """
    found = _feature_maps(classifier, images, class_index, config)
    slope = found.gradient
    total = jnp.sum(found.activations, axis=(1, 2), keepdims=True)
    denominator = 2.0 + slope * total  # both divided by g^2, which can be too small for float32
    counted = (slope > 0.0) & (denominator != 0.0)
    weights = jnp.where(counted, slope / jnp.where(counted, denominator, 1.0), 0.0)
    return _weighted(jnp.sum(weights, axis=(1, 2)), found.activations, images)


def _feature_maps(classifier: Classifier, images: Array, class_index: Array, config: GradCamConfig) -> EndpointGradient:
    endpoint = config.endpoint
    if endpoint is None:
        names = spatial_endpoints(classifier, images)
        if not names:
            raise ValueError(
                f"{classifier.spec.name!r} has no endpoint with two spatial axes that its logits depend on."
            )
        endpoint = names[-1]
    found = endpoint_gradient(classifier, images, class_index, endpoint)
    if found.activations.ndim != 4:
        raise ValueError(
            f"`endpoint` {endpoint!r} of {classifier.spec.name!r} must have two spatial axes, got the shape "
            f"{found.activations.shape[1:]}."
        )
    return found


def _weighted(weights: Float[Array, "b k"], activations: Float[Array, "b p q k"], images: Array) -> Array:
    """ReLU(sum_k w_k A_k), upsampled to the images' size."""
    maps = jax.nn.relu(jnp.einsum("bpqk,bk->bpq", activations, weights, precision="highest"))
    rows, columns = maps.shape[1:]
    height, width = images.shape[1:3]
    box = jnp.array([0.0, 0.0, columns, rows])
    return jax.vmap(lambda one: crop_and_resize(one[..., None], box, (height, width), height=height, width=width))(
        maps
    )[..., 0]
