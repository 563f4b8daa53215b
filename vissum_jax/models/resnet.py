"""ResNet-18 and ResNet-50 (He et al. 2016) in torchvision's form: bottlenecks stride in their 3x3 convolution."""

import functools
from typing import NamedTuple

from flax import nnx
from jaxtyping import Array, Float

from vissum_jax.models.architecture import Activation
from vissum_jax.models.keys import ConvNormKeys, KeyMap, LinearKeys
from vissum_jax.models.layers import Conv, Linear, global_average
from vissum_jax.models.torchvision import torchvision_architecture
from vissum_jax.ops.pooling import max_pool

_STEM = 64
_STAGE_WIDTHS = (64, 128, 256, 512)
_NORM_EPSILON = 1e-5


class Layout(NamedTuple):
    """What tells one ResNet from another.

    Attributes:
        sizes: Kernel sizes of a block's convolutions; the first that is larger than 1 strides.
        expansion: Outputs of a block's last convolution / outputs of the others.
        repeats: Blocks of every stage.
    """

    sizes: tuple[int, ...]
    expansion: int
    repeats: tuple[int, ...]


class Block(NamedTuple):
    """One residual block: its names in the network and in torchvision, and its geometry."""

    stage: int
    number: int
    inputs: int
    widths: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def has_shortcut(self) -> bool:
        """Whether the input must be projected before it can be added."""
        return max(self.strides) > 1 or self.inputs != self.widths[-1]


_BASIC = Layout(sizes=(3, 3), expansion=1, repeats=(2, 2, 2, 2))
_BOTTLENECK = Layout(sizes=(1, 3, 1), expansion=4, repeats=(3, 4, 6, 3))


def blocks_of(layout: Layout) -> tuple[Block, ...]:
    """All blocks, from the stem to the head."""
    blocks = []
    inputs = _STEM
    for stage, (width, repeats) in enumerate(zip(_STAGE_WIDTHS, layout.repeats, strict=True), start=1):
        widths = (*(width for _ in layout.sizes[:-1]), width * layout.expansion)
        for number in range(repeats):
            stride = 2 if stage > 1 and number == 0 else 1
            strides = tuple(stride if place == layout.sizes.index(3) else 1 for place in range(len(layout.sizes)))
            blocks.append(Block(stage, number, inputs, widths, strides))
            inputs = widths[-1]
    return tuple(blocks)


class ResidualBlock(nnx.Module):
    """A few convolutions whose result is added to their input."""

    def __init__(self, block: Block, sizes: tuple[int, ...], *, activation: Activation, rngs: nnx.Rngs):
        inputs = (block.inputs, *block.widths[:-1])
        self.branch = nnx.List(
            [
                Conv(channels, width, size, stride=stride, padding=_same(size), rngs=rngs)
                for channels, width, size, stride in zip(inputs, block.widths, sizes, block.strides, strict=True)
            ]
        )
        self.shortcut = (
            Conv(block.inputs, block.widths[-1], 1, stride=max(block.strides), padding=_same(1), rngs=rngs)
            if block.has_shortcut
            else None
        )
        self.activation = activation

    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b out_h out_w o"]:
        """Apply the block."""
        residual = self.branch[0](x)
        for layer in self.branch[1:]:
            residual = layer(self.activation(residual))
        return self.activation(residual + (x if self.shortcut is None else self.shortcut(x)))


class ResNet(nnx.Module):
    """ResNet for inputs of 224 x 224."""

    def __init__(self, layout: Layout, *, num_classes: int, activation: Activation, rngs: nnx.Rngs):
        blocks = blocks_of(layout)
        self.stem = Conv(3, _STEM, 7, stride=2, padding=_same(7), rngs=rngs)
        for stage in range(1, len(_STAGE_WIDTHS) + 1):
            members = [block for block in blocks if block.stage == stage]
            modules = [ResidualBlock(block, layout.sizes, activation=activation, rngs=rngs) for block in members]
            setattr(self, f"stage_{stage}", nnx.List(modules))
        self.classifier = Linear(blocks[-1].widths[-1], num_classes, rngs=rngs)
        self.activation = activation

    def __call__(self, x: Float[Array, "b 224 224 3"]) -> tuple[Float[Array, "b classes"], dict[str, Array]]:
        """Logits and endpoints."""
        endpoints = {}
        endpoints["stem"] = x = self.activation(self.stem(x))
        x = max_pool(x, window=3, stride=2, padding=_same(3))
        for stage in range(1, len(_STAGE_WIDTHS) + 1):
            for number, block in enumerate(getattr(self, f"stage_{stage}")):
                endpoints[f"stage_{stage}_block_{number}"] = x = block(x)
            endpoints[f"stage_{stage}"] = x
        endpoints["pooled"] = x = global_average(x)
        return self.classifier(x), endpoints


def _same(size: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """As much on every side, even where a stride would allow less on one."""
    return (size // 2, size // 2), (size // 2, size // 2)


def key_map(layout: Layout) -> KeyMap:
    """Keys of torchvision's checkpoints."""

    def conv(weight: str, norm: str) -> ConvNormKeys:
        return ConvNormKeys(f"{weight}.weight", norm, _NORM_EPSILON)

    keys = {"stem": conv("conv1", "bn1")}
    for block in blocks_of(layout):
        path, name = f"stage_{block.stage}.{block.number}", f"layer{block.stage}.{block.number}"
        for place in range(len(layout.sizes)):
            keys[f"{path}.branch.{place}"] = conv(f"{name}.conv{place + 1}", f"{name}.bn{place + 1}")
        if block.has_shortcut:
            keys[f"{path}.shortcut"] = conv(f"{name}.downsample.0", f"{name}.downsample.1")
    return keys | {"classifier": LinearKeys("fc.weight", "fc.bias")}


RESNET18 = torchvision_architecture(
    "resnet18",
    build=functools.partial(ResNet, _BASIC),
    key_map=functools.partial(key_map, _BASIC),
    weights="resnet18-f37072fd.pth",
    known_top1=0.69758,
)
RESNET50 = torchvision_architecture(
    "resnet50",
    build=functools.partial(ResNet, _BOTTLENECK),
    key_map=functools.partial(key_map, _BOTTLENECK),
    weights="resnet50-0676ba61.pth",
    known_top1=0.7613,
)
