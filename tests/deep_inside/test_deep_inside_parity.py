"""Saliency against PyTorch's autograd through torchvision's own network: `make parity`."""

import numpy as np
import pytest
from skimage import data

from vissum_jax.deep_inside.saliency import SaliencyConfig, explain
from vissum_jax.models import load_classifier

torch = pytest.importorskip("torch", reason="needs the [parity] extra")
torch_vision = pytest.importorskip("oracles.torch_vision", reason="needs the [parity] extra")

pytestmark = pytest.mark.parity


def test_saliency_is_what_autograd_finds_through_torchvisions_network(tmp_path):
    """A smooth network: where units bend, rounding decides in single precision (see tests/models/test_parity.py)."""
    image = data.astronaut()[:224, 100:324]
    x = torch.from_numpy(np.stack([image, image[:, ::-1]]).transpose(0, 3, 1, 2).copy()).float() / 255
    network = torch_vision.random_network("vit_b_16", x)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    classifier = load_classifier("vit_b_16", weights=tmp_path / "weights.pth")
    found = explain(classifier, image[None, None], np.array([17]), top=1, with_label=True, config=SaliencyConfig())
    for number, index in enumerate(np.asarray(found.classes)[0].tolist()):
        asked = x[:1].clone().requires_grad_(True)
        (gradient,) = torch.autograd.grad(torch_vision.logits_of(network, asked)[0, index], asked)
        expected = gradient[0].abs().amax(0).numpy()
        error = np.linalg.norm(np.asarray(found.saliency)[0, number, 0] - expected) / np.linalg.norm(expected)
        assert error <= 1e-3
