"""PyTorch versions of the default networks, channels-last, fed with the same weights: the peers of ours."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn
from torch.nn import functional

Arrays = Mapping[str, np.ndarray]


def _conv(arrays: Arrays, name: str, *, stride: int = 1, padding: int = 0) -> nn.Conv2d:
    weight, bias = arrays[f"{name}/weight"], arrays[f"{name}/bias"]
    layer = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2], stride=stride, padding=padding)
    return _filled(layer, weight, bias)


def _filled(layer: nn.Module, weight: np.ndarray, bias: np.ndarray) -> nn.Module:
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.array(weight)))
        layer.bias.copy_(torch.from_numpy(np.array(bias)))
    return layer


class _Inception(nn.Module):
    def __init__(self, arrays: Arrays, name: str):
        super().__init__()
        self.one = _conv(arrays, f"{name}/1x1")
        self.reduce_3 = _conv(arrays, f"{name}/3x3_reduce")
        self.three = _conv(arrays, f"{name}/3x3", padding=1)
        self.reduce_5 = _conv(arrays, f"{name}/5x5_reduce")
        self.five = _conv(arrays, f"{name}/5x5", padding=2)
        self.project = _conv(arrays, f"{name}/pool_proj")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        relu = functional.relu
        branches = [
            relu(self.one(x)),
            relu(self.three(relu(self.reduce_3(x)))),
            relu(self.five(relu(self.reduce_5(x)))),
            relu(self.project(functional.max_pool2d(x, 3, 1, padding=1))),
        ]
        return torch.cat(branches, dim=1)


class GoogLeNet(nn.Module):
    """The Caffe GoogLeNet."""

    def __init__(self, arrays: Arrays):
        super().__init__()
        self.register_buffer("mean", torch.tensor([104.0, 117.0, 123.0]).view(1, 3, 1, 1))
        self.conv1 = _conv(arrays, "conv1/7x7_s2", stride=2, padding=3)
        self.conv2_reduce = _conv(arrays, "conv2/3x3_reduce")
        self.conv2 = _conv(arrays, "conv2/3x3", padding=1)
        names = sorted({key.split("/")[0] for key in arrays if key.startswith("inception")})
        self.inceptions = nn.ModuleDict({name: _Inception(arrays, name) for name in names})
        head = "loss3/classifier"
        weight = arrays[f"{head}/weight"]
        self.head = _filled(nn.Linear(weight.shape[1], weight.shape[0]), weight, arrays[f"{head}/bias"])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of RGB images in [0, 1]."""
        x = images.flip(1) * 255 - self.mean
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 3, 2, ceil_mode=True)
        x = functional.local_response_norm(x, 5, alpha=1e-4, beta=0.75, k=1.0)
        x = functional.relu(self.conv2(functional.relu(self.conv2_reduce(x))))
        x = functional.local_response_norm(x, 5, alpha=1e-4, beta=0.75, k=1.0)
        x = functional.max_pool2d(x, 3, 2, ceil_mode=True)
        for name, inception in self.inceptions.items():
            if name in ("inception_4a", "inception_5a"):
                x = functional.max_pool2d(x, 3, 2, ceil_mode=True)
            x = inception(x)
        return self.head(x.mean((2, 3)))


class _SamePaddedConv(nn.Module):
    """Convolution and folded batch normalisation, with TensorFlow's uneven padding."""

    def __init__(self, arrays: Arrays, conv: str, norm: str, *, stride: int = 1):
        super().__init__()
        weight = arrays[f"{conv}.weight"]
        gain = arrays[f"{norm}.weight"] / np.sqrt(arrays[f"{norm}.running_var"] + 1e-3)
        bias = arrays[f"{norm}.bias"] - arrays[f"{norm}.running_mean"] * gain
        self.depthwise = weight.shape[1] == 1
        groups = weight.shape[0] if self.depthwise else 1
        layer = nn.Conv2d(weight.shape[1] * groups, weight.shape[0], weight.shape[2], stride=stride, groups=groups)
        self.layer = _filled(layer, weight * gain[:, None, None, None], bias)
        self.size, self.stride = weight.shape[2], stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total = max(self.size - self.stride if x.shape[-1] % self.stride == 0 else self.size - 1, 0)
        before, after = total // 2, total - total // 2
        if before == after:
            return functional.conv2d(
                x, self.layer.weight, self.layer.bias, self.stride, before, groups=self.layer.groups
            )
        return self.layer(functional.pad(x, (before, after, before, after)))


class _InvertedResidual(nn.Module):
    def __init__(self, arrays: Arrays, name: str, *, stride: int):
        super().__init__()
        self.expand = (
            _SamePaddedConv(arrays, f"{name}._expand_conv", f"{name}._bn0")
            if f"{name}._expand_conv.weight" in arrays
            else None
        )
        self.depthwise = _SamePaddedConv(arrays, f"{name}._depthwise_conv", f"{name}._bn1", stride=stride)
        self.project = _SamePaddedConv(arrays, f"{name}._project_conv", f"{name}._bn2")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = x if self.expand is None else functional.relu6(self.expand(x))
        projected = self.project(functional.relu6(self.depthwise(hidden)))
        return projected + x if projected.shape == x.shape else projected


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite with batch normalisation folded away, as ours."""

    def __init__(self, arrays: Arrays, strides: tuple[int, ...]):
        super().__init__()
        self.stem = _SamePaddedConv(arrays, "_conv_stem", "_bn0", stride=2)
        self.blocks = nn.Sequential(
            *[_InvertedResidual(arrays, f"_blocks.{number}", stride=stride) for number, stride in enumerate(strides)]
        )
        self.last = _SamePaddedConv(arrays, "_conv_head", "_bn1")
        weight = arrays["_fc.weight"]
        self.head = _filled(nn.Linear(weight.shape[1], weight.shape[0]), weight, arrays["_fc.bias"])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of RGB images in [0, 1]."""
        x = functional.relu6(self.stem((images * 255 - 127) / 128))
        x = functional.relu6(self.last(self.blocks(x)))
        return self.head(x.mean((2, 3)))
