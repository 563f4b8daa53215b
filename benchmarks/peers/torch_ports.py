"""PyTorch's side of a network of ours with any weights: `peer_of` carries the parameters over."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.torch_networks import GoogLeNet
from vissum_jax.models.architecture import flat_params
from vissum_jax.models.catalogue import ARCHITECTURES
from vissum_jax.types import Classifier

Arrays = Mapping[str, np.ndarray]


def peer_of(classifier: Classifier) -> nn.Module:
    """The same network for images (b, 3, h, w) in [0, 1], channels-last, frozen.

    Raises:
        KeyError: If there is no version of this network.
    """
    port = _PORTS[classifier.spec.name]
    params = flat_params(jax.device_get(classifier.params))
    network = port({name: np.asarray(array, np.float32) for name, array in params.items()})
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


class _ResNet(nn.Module):
    """ResNet-50 as torchvision has it, batch normalisation folded away."""

    def __init__(self, arrays: Arrays):
        super().__init__()
        normalization = ARCHITECTURES["resnet50"].normalization
        self.register_buffer("mean", torch.tensor(normalization.mean).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(normalization.scale).view(1, 3, 1, 1))
        self.stem = _conv(arrays, "stem", stride=2)
        places = sorted({tuple(map(int, (name.split(".")[0][-1], name.split(".")[1]))) for name in _blocks(arrays)})
        self.blocks = nn.Sequential(
            *[
                _Bottleneck(arrays, f"stage_{stage}.{number}", stride=2 if stage > 1 and number == 0 else 1)
                for stage, number in places
            ]
        )
        self.head = nn.Linear(*arrays["classifier.kernel"].shape)
        _fill(self.head, arrays["classifier.kernel"].T, arrays["classifier.bias"])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits."""
        x = functional.relu(self.stem((images * 255 - self.mean) / self.scale))
        x = functional.max_pool2d(x, 3, 2, padding=1)
        return self.head(self.blocks(x).mean((2, 3)))


class _Bottleneck(nn.Module):
    def __init__(self, arrays: Arrays, name: str, *, stride: int):
        super().__init__()
        self.branch = nn.Sequential(
            _conv(arrays, f"{name}.branch.0"),
            nn.ReLU(),
            _conv(arrays, f"{name}.branch.1", stride=stride),
            nn.ReLU(),
            _conv(arrays, f"{name}.branch.2"),
        )
        projected = f"{name}.shortcut.kernel" in arrays
        self.shortcut = _conv(arrays, f"{name}.shortcut", stride=stride) if projected else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.branch(x) + self.shortcut(x))


def _blocks(arrays: Arrays) -> list[str]:
    return [name for name in arrays if name.startswith("stage_")]


def _conv(arrays: Arrays, name: str, *, stride: int = 1, padding: int | None = None) -> nn.Conv2d:
    kernel = arrays[f"{name}.kernel"]
    size, _, inputs, outputs = kernel.shape
    layer = nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2 if padding is None else padding)
    _fill(layer, kernel.transpose(3, 2, 0, 1), arrays[f"{name}.bias"])
    return layer


def _fill(layer: nn.Conv2d | nn.Linear, weight: np.ndarray, bias: np.ndarray) -> None:
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight.copy()))
        layer.bias.copy_(torch.from_numpy(bias.copy()))


class _FlowerNet(nn.Module):
    """The small network for rendered flowers."""

    def __init__(self, arrays: Arrays):
        super().__init__()
        self.stem = _conv(arrays, "stem", stride=2, padding=0)
        names = sorted(
            {name.removesuffix(".kernel") for name in arrays if name.startswith("stages.") and "kernel" in name}
        )
        self.stages = nn.ModuleList([_conv(arrays, name) for name in names])
        self.head = nn.Linear(*arrays["classifier.kernel"].shape)
        _fill(self.head, arrays["classifier.kernel"].T, arrays["classifier.bias"])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits."""
        x = functional.relu(self.stem(functional.pad((images * 255 - 127.5) / 127.5, (0, 1, 0, 1))))
        for number, stage in enumerate(self.stages):
            x = functional.relu(stage(functional.max_pool2d(x, 2) if number else x))
        return self.head(x.mean((2, 3)))


def _googlenet(arrays: Arrays) -> nn.Module:
    key_map = ARCHITECTURES["googlenet-bvlc"].key_map
    assert key_map is not None  # noqa: S101
    theirs = {}
    for path, keys in key_map().items():
        kernel = arrays[f"{path}.kernel"]
        theirs[keys.weight] = kernel.T if kernel.ndim == 2 else kernel.transpose(3, 2, 0, 1)
        theirs[keys.bias] = arrays[f"{path}.bias"]
    return GoogLeNet(theirs)


_PORTS: dict[str, Callable[[Arrays], nn.Module]] = {
    "googlenet-bvlc": _googlenet,
    "resnet50": _ResNet,
    "flowernet": _FlowerNet,
}
