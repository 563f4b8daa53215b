"""The networks that can be loaded by name."""

from vissum_jax.models.architecture import Architecture
from vissum_jax.models.efficientnet_lite import EFFICIENTNET_LITE0, EFFICIENTNET_LITE1, EFFICIENTNET_LITE2
from vissum_jax.models.flowernet import FLOWERNET
from vissum_jax.models.googlenet import GOOGLENET_BVLC
from vissum_jax.models.squeezenet import SQUEEZENET_1_1

ARCHITECTURES: dict[str, Architecture] = {
    architecture.name: architecture
    for architecture in (
        GOOGLENET_BVLC,
        SQUEEZENET_1_1,
        EFFICIENTNET_LITE0,
        EFFICIENTNET_LITE1,
        EFFICIENTNET_LITE2,
        FLOWERNET,
    )
}
