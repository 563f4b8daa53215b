"""The networks that can be loaded by name."""

from vissum_jax.models.alexnet import ALEXNET
from vissum_jax.models.architecture import Architecture
from vissum_jax.models.efficientnet_lite import EFFICIENTNET_LITE0, EFFICIENTNET_LITE1, EFFICIENTNET_LITE2
from vissum_jax.models.flowernet import (
    FLOWERNET,
    FLOWERNET_DOUBLE_12C,
    FLOWERNET_PART_2C,
    FLOWERNET_SINGLE_6C,
)
from vissum_jax.models.googlenet import GOOGLENET_BVLC
from vissum_jax.models.googlenet_torchvision import GOOGLENET
from vissum_jax.models.inception_v3 import INCEPTION_V3
from vissum_jax.models.resnet import RESNET18, RESNET50
from vissum_jax.models.squeezenet import SQUEEZENET_1_1
from vissum_jax.models.vgg import VGG16
from vissum_jax.models.vit import VIT_B_16

ARCHITECTURES: dict[str, Architecture] = {
    architecture.name: architecture
    for architecture in (
        GOOGLENET_BVLC,
        SQUEEZENET_1_1,
        EFFICIENTNET_LITE0,
        EFFICIENTNET_LITE1,
        EFFICIENTNET_LITE2,
        ALEXNET,
        VGG16,
        GOOGLENET,
        INCEPTION_V3,
        RESNET18,
        RESNET50,
        VIT_B_16,
        FLOWERNET,
        FLOWERNET_SINGLE_6C,
        FLOWERNET_DOUBLE_12C,
        FLOWERNET_PART_2C,
    )
}
