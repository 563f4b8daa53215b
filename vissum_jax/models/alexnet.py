"""AlexNet in torchvision's form: one tower (Krizhevsky 2014), no local response normalisation."""

from flax import nnx
from jaxtyping import Array, Float

from vissum_jax.models.architecture import Activation
from vissum_jax.models.keys import ConvKeys, KeyMap, LinearKeys
from vissum_jax.models.layers import Conv, Linear, flatten_by_channel
from vissum_jax.models.torchvision import torchvision_architecture
from vissum_jax.ops.pooling import max_pool

_LAST_PIXELS = 6 * 6
_FEATURES = 4096
_POOLED_AFTER = ("conv1", "conv2", "conv5")
# Positions in torchvision's lists of layers, activations and poolings counted.
_CONVOLUTIONS = {"conv1": 0, "conv2": 3, "conv3": 6, "conv4": 8, "conv5": 10}


class AlexNet(nnx.Module):
    """AlexNet for inputs of 224 x 224."""

    def __init__(self, *, num_classes: int, activation: Activation, rngs: nnx.Rngs):
        self.conv1 = Conv(3, 64, 11, stride=4, padding=((2, 2), (2, 2)), rngs=rngs)
        self.conv2 = Conv(64, 192, 5, rngs=rngs)
        self.conv3 = Conv(192, 384, 3, rngs=rngs)
        self.conv4 = Conv(384, 256, 3, rngs=rngs)
        self.conv5 = Conv(256, 256, 3, rngs=rngs)
        self.fc6 = Linear(256 * _LAST_PIXELS, _FEATURES, rngs=rngs)
        self.fc7 = Linear(_FEATURES, _FEATURES, rngs=rngs)
        self.classifier = Linear(_FEATURES, num_classes, rngs=rngs)
        self.activation = activation

    def __call__(self, x: Float[Array, "b 224 224 3"]) -> tuple[Float[Array, "b classes"], dict[str, Array]]:
        """Logits and endpoints."""
        endpoints = {}
        for name in _CONVOLUTIONS:
            endpoints[name] = x = self.activation(getattr(self, name)(x))
            if name in _POOLED_AFTER:
                x = max_pool(x, window=3, stride=2)
        endpoints["fc6"] = x = self.activation(self.fc6(flatten_by_channel(x)))
        endpoints["fc7"] = x = self.activation(self.fc7(x))
        return self.classifier(x), endpoints


def key_map() -> KeyMap:
    """Keys of torchvision's checkpoints."""
    convolutions = {
        path: ConvKeys(f"features.{number}.weight", f"features.{number}.bias") for path, number in _CONVOLUTIONS.items()
    }
    return convolutions | {
        "fc6": LinearKeys("classifier.1.weight", "classifier.1.bias"),
        "fc7": LinearKeys("classifier.4.weight", "classifier.4.bias"),
        "classifier": LinearKeys("classifier.6.weight", "classifier.6.bias"),
    }


ALEXNET = torchvision_architecture(
    "alexnet",
    build=AlexNet,
    key_map=key_map,
    weights="alexnet-owt-7be5be79.pth",
    known_top1=0.56522,
    feature_endpoint="fc6",
)
