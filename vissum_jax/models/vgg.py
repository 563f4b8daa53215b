"""VGG16 (Simonyan, Zisserman 2015, configuration D)."""

from collections.abc import Iterator

from flax import nnx
from jaxtyping import Array, Float

from vissum_jax.models.architecture import Activation
from vissum_jax.models.keys import ConvKeys, KeyMap, LinearKeys
from vissum_jax.models.layers import Conv, Linear, flatten_by_channel
from vissum_jax.models.torchvision import torchvision_architecture
from vissum_jax.ops.pooling import max_pool

# Number of 3x3 convolutions of a stage, and the outputs of each; every stage ends in a pooling.
_STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
_LAST_PIXELS = 7 * 7
_FEATURES = 4096


def _stages() -> Iterator[list[str]]:
    """Names of the convolutions, stage by stage, as the paper's successors number them."""
    for stage, (repeats, _) in enumerate(_STAGES, start=1):
        yield [f"conv{stage}_{repeat}" for repeat in range(1, repeats + 1)]


class VGG(nnx.Module):
    """VGG16 for inputs of 224 x 224."""

    def __init__(self, *, num_classes: int, activation: Activation, rngs: nnx.Rngs):
        inputs = 3
        for names, (_, outputs) in zip(_stages(), _STAGES, strict=True):
            for name in names:
                setattr(self, name, Conv(inputs, outputs, 3, rngs=rngs))
                inputs = outputs
        self.fc6 = Linear(inputs * _LAST_PIXELS, _FEATURES, rngs=rngs)
        self.fc7 = Linear(_FEATURES, _FEATURES, rngs=rngs)
        self.classifier = Linear(_FEATURES, num_classes, rngs=rngs)
        self.activation = activation

    def __call__(self, x: Float[Array, "b 224 224 3"]) -> tuple[Float[Array, "b classes"], dict[str, Array]]:
        """Logits and endpoints."""
        endpoints = {}
        for names in _stages():
            for name in names:
                endpoints[name] = x = self.activation(getattr(self, name)(x))
            x = max_pool(x, window=2, stride=2)
        endpoints["fc6"] = x = self.activation(self.fc6(flatten_by_channel(x)))
        endpoints["fc7"] = x = self.activation(self.fc7(x))
        return self.classifier(x), endpoints


def key_map() -> KeyMap:
    """Keys of torchvision's checkpoints."""
    keys: dict = {}
    position = 0  # in torchvision's list of layers: every convolution is followed by an activation
    for names in _stages():
        for name in names:
            keys[name] = ConvKeys(f"features.{position}.weight", f"features.{position}.bias")
            position += 2
        position += 1  # the pooling
    return keys | {
        "fc6": LinearKeys("classifier.0.weight", "classifier.0.bias"),
        "fc7": LinearKeys("classifier.3.weight", "classifier.3.bias"),
        "classifier": LinearKeys("classifier.6.weight", "classifier.6.bias"),
    }


VGG16 = torchvision_architecture(
    "vgg16",
    build=VGG,
    key_map=key_map,
    weights="vgg16-397923af.pth",
    known_top1=0.71592,
    feature_endpoint="fc6",
)
