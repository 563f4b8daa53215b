"""Gradient saliency and Grad-CAM against PyTorch's autograd through the same weights."""

import jax
import numpy as np
import pytest
from skimage import data

from vissum_jax.attribution.grad_cam import GradCamConfig, grad_cam
from vissum_jax.attribution.gradient import gradient
from vissum_jax.models import load_classifier
from vissum_jax.models.checkpoint import read_checkpoint

pytestmark = [pytest.mark.parity, pytest.mark.shared]


def test_googlenet_is_explained_alike(shared_data):
    peers = pytest.importorskip("benchmarks.peers.torch_networks", reason="needs the [parity] extra")
    import torch

    weights = shared_data / "weights" / "bvlc_googlenet_f32.npz"
    classifier = load_classifier("googlenet-bvlc", weights=weights)
    astronaut = data.astronaut().astype(np.float32) / 255.0
    images = np.stack([astronaut[:224, 100:324], astronaut[-224:, -224:]])
    classes = np.array([652, 207])
    run = jax.jit(lambda c, x: (gradient(c, x, classes), grad_cam(c, x, classes, GradCamConfig())))
    saliency, cam = (np.asarray(maps) for maps in run(classifier, images))

    network = peers.GoogLeNet(read_checkpoint(weights).arrays).eval()
    kept = {}

    def keep(module, inputs, output):
        output.retain_grad()
        kept["maps"] = output

    network.inceptions["inception_5b"].register_forward_hook(keep)
    x = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).requires_grad_(True)
    network(x)[torch.arange(2), torch.from_numpy(classes)].sum().backward()
    expected = x.grad.abs().amax(1).numpy()
    weighted = (kept["maps"].grad.mean((2, 3), keepdim=True) * kept["maps"]).sum(1, keepdim=True).relu()
    upsampled = torch.nn.functional.interpolate(weighted, (224, 224), mode="bilinear", align_corners=False)[:, 0]

    # By the norm: where two inputs of a maximum nearly tie, rounding decides.
    assert np.linalg.norm(saliency - expected) <= 1e-3 * np.linalg.norm(expected)
    np.testing.assert_allclose(cam, upsampled.detach().numpy(), atol=1e-3 * cam.max())
    assert cam.max() > 0
