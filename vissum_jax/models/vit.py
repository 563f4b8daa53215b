"""Vision transformer ViT-B/16 (Dosovitskiy et al. 2021) in torchvision's form."""

import functools

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from vissum_jax.models.architecture import Activation
from vissum_jax.models.keys import ConvKeys, KeyMap, LinearKeys, PlainKeys
from vissum_jax.models.layers import Conv, LayerNorm, Linear
from vissum_jax.models.torchvision import torchvision_architecture

_INPUT = 224
_PATCH = 16
_GRID = _INPUT // _PATCH
_WIDTH = 768
_LAYERS = 12
_HEADS = 12
_HIDDEN = 3072
_NORM_EPSILON = 1e-6
_POSITION_DEVIATION = 0.02  # of new networks


class Embedding(nnx.Module):
    """Puts the class token before the patches and adds to each what stands for its position."""

    def __init__(self, *, rngs: nnx.Rngs):
        draw = jax.nn.initializers.normal(_POSITION_DEVIATION)
        self.class_token = nnx.Param(jnp.zeros((1, 1, _WIDTH)))
        self.positions = nnx.Param(draw(rngs.params(), (1, _GRID**2 + 1, _WIDTH)))

    def __call__(self, patches: Float[Array, "b h w c"]) -> Float[Array, "b t c"]:
        """Tokens of the patches, row by row, after the class token."""
        rows = patches.reshape(len(patches), -1, _WIDTH)
        first = jnp.broadcast_to(self.class_token[...], (len(patches), 1, _WIDTH))
        return jnp.concatenate([first, rows], axis=1) + self.positions[...]


class SelfAttention(nnx.Module):
    """softmax(q k' / sqrt(d)) v in every head (Vaswani et al. 2017, equation 1)."""

    def __init__(self, *, rngs: nnx.Rngs):
        self.query_key_value = Linear(_WIDTH, 3 * _WIDTH, rngs=rngs)
        self.output = Linear(_WIDTH, _WIDTH, rngs=rngs)

    def __call__(self, tokens: Float[Array, "b t c"]) -> Float[Array, "b t c"]:
        """Let every token hear from all."""
        heads = self.query_key_value(tokens).reshape(*tokens.shape[:2], 3, _HEADS, -1)
        heard = jax.nn.dot_product_attention(heads[:, :, 0], heads[:, :, 1], heads[:, :, 2])
        return self.output(heard.reshape(tokens.shape))


class EncoderLayer(nnx.Module):
    """Attention, then two fully connected layers; each after a normalisation and added to its input."""

    def __init__(self, *, activation: Activation, rngs: nnx.Rngs):
        self.norm_1 = LayerNorm(_WIDTH, epsilon=_NORM_EPSILON)
        self.attention = SelfAttention(rngs=rngs)
        self.norm_2 = LayerNorm(_WIDTH, epsilon=_NORM_EPSILON)
        self.expand = Linear(_WIDTH, _HIDDEN, rngs=rngs)
        self.contract = Linear(_HIDDEN, _WIDTH, rngs=rngs)
        self.activation = activation

    def __call__(self, tokens: Float[Array, "b t c"]) -> Float[Array, "b t c"]:
        """Apply the layer."""
        tokens = tokens + self.attention(self.norm_1(tokens))
        return tokens + self.contract(self.activation(self.expand(self.norm_2(tokens))))


class VisionTransformer(nnx.Module):
    """ViT-B/16 for inputs of 224 x 224."""

    def __init__(self, *, num_classes: int, activation: Activation, rngs: nnx.Rngs):
        self.patches = Conv(3, _WIDTH, _PATCH, stride=_PATCH, padding="VALID", rngs=rngs)
        self.embedding = Embedding(rngs=rngs)
        self.encoder = nnx.List([EncoderLayer(activation=activation, rngs=rngs) for _ in range(_LAYERS)])
        self.norm = LayerNorm(_WIDTH, epsilon=_NORM_EPSILON)
        self.classifier = Linear(_WIDTH, num_classes, rngs=rngs)

    def __call__(self, x: Float[Array, "b 224 224 3"]) -> tuple[Float[Array, "b classes"], dict[str, Array]]:
        """Logits and endpoints; those of the encoder are the patches' tokens as a grid."""
        endpoints = {}
        endpoints["patches"] = x = self.patches(x)
        grid = x.shape
        tokens = self.embedding(x)
        for number, layer in enumerate(self.encoder):
            tokens = layer(tokens)
            endpoints[f"encoder_{number}"] = tokens[:, 1:].reshape(grid)
        endpoints["pooled"] = pooled = self.norm(tokens[:, 0])
        return self.classifier(pooled), endpoints


def key_map(*, expand: str, contract: str) -> KeyMap:
    """Keys of torchvision's checkpoints, with its names of the two fully connected layers."""
    keys: dict = {
        "patches": ConvKeys("conv_proj.weight", "conv_proj.bias"),
        "embedding": PlainKeys({"class_token": "class_token", "positions": "encoder.pos_embedding"}),
    }
    for number in range(_LAYERS):
        path, name = f"encoder.{number}", f"encoder.layers.encoder_layer_{number}"
        keys |= {
            f"{path}.norm_1": _norm(f"{name}.ln_1"),
            f"{path}.attention.query_key_value": LinearKeys(
                f"{name}.self_attention.in_proj_weight", f"{name}.self_attention.in_proj_bias"
            ),
            f"{path}.attention.output": _linear(f"{name}.self_attention.out_proj"),
            f"{path}.norm_2": _norm(f"{name}.ln_2"),
            f"{path}.expand": _linear(f"{name}.mlp.{expand}"),
            f"{path}.contract": _linear(f"{name}.mlp.{contract}"),
        }
    return keys | {"norm": _norm("encoder.ln"), "classifier": _linear("heads.head")}


def _linear(name: str) -> LinearKeys:
    return LinearKeys(f"{name}.weight", f"{name}.bias")


def _norm(name: str) -> PlainKeys:
    return PlainKeys({"scale": f"{name}.weight", "bias": f"{name}.bias"})


VIT_B_16 = torchvision_architecture(
    "vit_b_16",
    build=VisionTransformer,
    key_map=functools.partial(key_map, expand="0", contract="3"),
    # Until torchvision 0.13; the official file still has them, and torchvision renames them while loading.
    other_key_maps=(functools.partial(key_map, expand="linear_1", contract="linear_2"),),
    weights="vit_b_16-c867db91.pth",
    known_top1=0.81072,
    activation=functools.partial(jax.nn.gelu, approximate=False),
)
