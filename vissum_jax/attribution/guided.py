"""Guided backpropagation: gradients that pass only through active units and only where they are positive."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import jax
from jaxtyping import Array, Float, Int

from vissum_jax.attribution.grad_cam import GradCamConfig, grad_cam
from vissum_jax.attribution.gradient import class_gradient, gradient, magnitude
from vissum_jax.types import Classifier

Activation = Callable[[Array], Array]


@cache  # one function for each activation: networks are compiled once for each function they are built with
def guided(activation: Activation) -> Activation:
    """An activation function whose gradient is guided: f'(x) max(0, g) in place of f'(x) g.

    For ReLU this is 1[x > 0] 1[g > 0] g, the deconvnet's rule and backpropagation's at once. A network is guided
    when it is built with guided activations: `load_classifier(name, activation=guided(its own))`.

    Source: Springenberg et al., Striving for Simplicity: the All Convolutional Net, 2015.
    """

    def forward(x: Array) -> tuple[Array, Array]:
        return activation(x), x

    def backward(x: Array, upstream: Array) -> tuple[Array]:
        return jax.vjp(activation, x)[1](jax.nn.relu(upstream))

    rule = jax.custom_vjp(activation)
    rule.defvjp(forward, backward)
    return rule


guided_relu = guided(jax.nn.relu)
guided_relu6 = guided(jax.nn.relu6)


def guided_backprop(
    guided_classifier: Classifier, images: Float[Array, "b h w 3"], class_index: Int[Array, " b"]
) -> Float[Array, "b h w"]:
    """Guided backpropagation, max over channels of |guided dS_c / dI|.

    Args:
        guided_classifier: The network explained, built with guided activations (see `guided`).
        images: RGB in [0, 1].
        class_index: Class explained of each image.

    Returns:
        Maps >= 0, higher = more salient.
    """
    return gradient(guided_classifier, images, class_index)


def guided_grad_cam(
    classifier: Classifier,
    guided_classifier: Classifier,
    images: Float[Array, "b h w 3"],
    class_index: Int[Array, " b"],
    config: GradCamConfig,
) -> Float[Array, "b h w"]:
    """Guided Grad-CAM: guided backpropagation times upsampled Grad-CAM, max of the absolute value over channels.

    Source: Selvaraju et al., Grad-CAM, ICCV 2017, section 3.2.

    Args:
        classifier: The network explained.
        guided_classifier: The same, built with guided activations (see `guided`).
        images: RGB in [0, 1].
        class_index: Class explained of each image.
        config: The feature maps of Grad-CAM.

    Returns:
        Maps >= 0, higher = more salient.
    """
    fine = class_gradient(guided_classifier, images, class_index)
    return magnitude(fine * grad_cam(classifier, images, class_index, config)[..., None])
