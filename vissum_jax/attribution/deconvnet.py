"""What of an image an activation answers to: signals sent back through guided activations and pooling switches.

All functions take the network built with guided activations (`guided.guided`). Max pooling sends its signal back to
where the maximum was, which is its gradient. Of a convolution with stride the true gradient leaves a grid on the
signal; networks built with `vissum_jax.ops.destrided.destrided_conv2d` do not.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vissum_jax.attribution.gradient import class_gradient
from vissum_jax.ops.resize import crop_and_resize
from vissum_jax.types import Classifier


def feature_signal(
    guided_classifier: Classifier, images: Float[Array, "b h w 3"], channel: Int[Array, " b"], *, endpoint: str
) -> Float[Array, "b h w 3"]:
    """Signal of one channel of a feature map, seeded with the channel's own activation map A_k.

    S = J' (e_k A_k), with J' the guided transpose of dA / dI. Without guiding this is the gradient of |A_k|^2 / 2, half
    the response by which features are selected; that is why an activation map with negative values (of a layer
    without ReLU) is sent back with its signs.

    Source: Zeiler, Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014, section 2.1, with guiding
    (Springenberg et al. 2015), as combined in Oramas, Wang, Tuytelaars, Visual Explanation by Interpretation, 2019.

    Args:
        guided_classifier: The network explained, built with guided activations.
        images: RGB in [0, 1].
        channel: A channel of the feature map, one for each image.
        endpoint: The feature map's name.
    """

    def activations(x: Array) -> Array:
        return guided_classifier(x).endpoints[endpoint]

    values, pull_back = jax.vjp(activations, images)
    own = jnp.arange(values.shape[-1]) == channel[:, None, None, None]
    (signal,) = pull_back(jnp.where(own, values, 0.0))
    return signal


def heat_map(signal: Float[Array, "h w 3"]) -> Float[Array, "h w"]:
    """Positives of a signal, their L2 norm over the colours, from 0 (lowest) to 1 (highest).

    M(u) = (m(u) - min m) / (max m - min m),  m(u) = |max(0, S(u))|_2; 0 everywhere if m is the same everywhere.

    Source: Oramas, Wang, Tuytelaars, Visual Explanation by Interpretation, ICLR 2019.
    """
    return unit_range(jnp.linalg.norm(jax.nn.relu(signal), axis=-1))


def unit_range(values: Float[Array, "h w"]) -> Float[Array, "h w"]:
    """Shift and scale to [0, 1]; 0 everywhere if all values are the same."""
    low = values.min()
    extent = values.max() - low
    return jnp.where(extent > 0, (values - low) / jnp.where(extent > 0, extent, 1.0), 0.0)


def feature_heat_map(
    guided_classifier: Classifier, images: Float[Array, "b h w 3"], channel: Int[Array, " b"], *, endpoint: str
) -> Float[Array, "b h w"]:
    """Heat map of one channel of a feature map; see `feature_signal`."""
    return jax.vmap(heat_map)(feature_signal(guided_classifier, images, channel, endpoint=endpoint))


def class_heat_map(
    guided_classifier: Classifier, images: Float[Array, "b h w 3"], class_index: Int[Array, " b"]
) -> Float[Array, "b h w"]:
    """Heat map of the signal of a class: guided backpropagation of its logit."""
    return jax.vmap(heat_map)(class_gradient(guided_classifier, images, class_index))


def upsampled_activation(
    classifier: Classifier, images: Float[Array, "b h w 3"], channel: Int[Array, " b"], *, endpoint: str
) -> Float[Array, "b h w"]:
    """A channel's activation map in [0, 1], bilinear at the images' size: where a feature is, as coarse as its layer.

    See `feature_signal` for arguments; the network need not be guided.
    """
    values = classifier(images).endpoints[endpoint]
    own = jnp.take_along_axis(values, channel[:, None, None, None], axis=-1)
    rows, columns = values.shape[1:3]
    height, width = images.shape[1:3]
    box = jnp.array([0.0, 0.0, columns, rows])

    def enlarged(one: Float[Array, "rows columns 1"]) -> Float[Array, "h w"]:
        return unit_range(crop_and_resize(one, box, (height, width), height=height, width=width)[..., 0])

    return jax.vmap(enlarged)(own)
