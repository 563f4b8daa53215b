"""The ports against PyTorch networks with the same weights: `make parity`."""

import jax
import numpy as np
import pytest
from skimage import data

from vissum_jax.models import ARCHITECTURES, load_classifier
from vissum_jax.models.checkpoint import read_checkpoint
from vissum_jax.models.efficientnet_lite import scaled_blocks

pytestmark = pytest.mark.parity


def photographs(size):
    """Two crops of a photograph, RGB in [0, 1]."""
    astronaut = data.astronaut().astype(np.float32) / 255.0
    return np.stack([astronaut[:size, 100 : 100 + size], astronaut[-size:, -size:]])


def answers(classifier, network, images):
    """Logits and the gradient of the sum of the first ten logits, ours and PyTorch's, both channels-last."""
    import torch

    logits = jax.jit(lambda c, x: c(x).logits)(classifier, images)
    gradient = jax.jit(jax.grad(lambda x, c: c(x).logits[:, :10].sum()))(images, classifier)
    x = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).requires_grad_(True)
    expected = network.eval()(x)
    (slope,) = torch.autograd.grad(expected[:, :10].sum(), x)
    return logits, gradient, expected.detach().numpy(), slope.numpy().transpose(0, 2, 3, 1)


def assert_alike(logits, gradient, expected, slope):
    assert np.abs(logits - expected).max() <= 1e-4 * np.abs(expected).max()
    # By the norm, not element by element: where two inputs of a maximum nearly tie, rounding decides.
    assert np.linalg.norm(gradient - slope) <= 1e-3 * np.linalg.norm(slope)


def test_googlenet_agrees(shared_data):
    peers = pytest.importorskip("benchmarks.peers.torch_networks", reason="needs the [parity] extra")
    weights = shared_data / "weights" / "bvlc_googlenet_f32.npz"
    classifier = load_classifier("googlenet-bvlc", weights=weights)
    network = peers.GoogLeNet(read_checkpoint(weights).arrays)
    assert_alike(*answers(classifier, network, photographs(classifier.spec.input_height)))


def test_efficientnet_lite0_agrees():
    peers = pytest.importorskip("benchmarks.peers.torch_networks", reason="needs the [parity] extra")
    architecture = ARCHITECTURES["efficientnet-lite0"]
    weights = architecture.default_weights()
    if weights is None:
        pytest.skip("needs the [weights] extra")
    classifier = load_classifier("efficientnet-lite0")
    strides = tuple(block.stride for block in scaled_blocks(width=1.0, depth=1.0))
    network = peers.EfficientNetLite(read_checkpoint(weights).arrays, strides)
    assert_alike(*answers(classifier, network, photographs(classifier.spec.input_height)))
