import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from oracles.attribution import classifier_of

from vissum_jax.interpretation.receptive_field import receptive_fields
from vissum_jax.models.architecture import make_network, nested_params
from vissum_jax.models.catalogue import ARCHITECTURES
from vissum_jax.types import Outputs

SIDE = 20


def network(layers, side=SIDE):
    """A network whose endpoints `layers(images)` gives."""

    def apply(params, images):
        endpoints = layers(images)
        return Outputs(
            sum(maps.reshape(len(images), -1).sum(1, keepdims=True) for maps in endpoints.values()), endpoints
        )

    return classifier_of(jax.jit(apply), {}, classes=1, side=side, name="net")


def kernel(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).uniform(0.5, 1, shape), jnp.float32)


def conv(x, size, channels, *, stride=1, padding="SAME", dilation=1, groups=1, seed=0):
    width = x.shape[-1] // groups
    return lax.conv_general_dilated(
        *(x, kernel(size, size, width, channels, seed=seed), (stride, stride), padding),
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def mean_pool(x, size, stride, padding="VALID"):
    return lax.reduce_window(x, 0.0, lax.add, (1, size, size, 1), (1, stride, stride, 1), padding)


def space_to_depth(x):
    b, h, w, c = x.shape
    return x.reshape(b, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5).reshape(b, h // 2, w // 2, 4 * c)


def branches(x):
    return jnp.concatenate([conv(x, 1, 2), conv(x, 3, 3), conv(conv(x, 3, 2), 5, 1)], axis=-1)


def shifted(x):
    padded = jnp.pad(x, ((0, 0), (1, 2), (2, 1), (0, 0)))
    return padded[:, 0:17:2, 1:18:2] + padded[:, 3:20:2, 2:19:2]


def turned(x):
    return x[:, ::-1].transpose(0, 2, 1, 3)


def turned_back(x):
    return x.transpose(0, 2, 1, 3)[:, ::-1]


def gated(x):
    return conv(x, 3, 4) * conv(x, 3, 4).mean((1, 2), keepdims=True)


def attention(x):
    tokens = x.reshape(x.shape[0], -1, x.shape[-1])
    return (jax.nn.softmax(tokens @ tokens.transpose(0, 2, 1)) @ tokens).reshape(x.shape)


NETWORKS = {
    "strided, padded on one side": lambda x: conv(conv(x, 3, 2, stride=2, padding=((0, 1), (0, 1))), 4, 2),
    "without padding": lambda x: conv(conv(x, 5, 2, stride=3, padding="VALID"), 2, 1, padding="VALID"),
    "dilated": lambda x: conv(x, 3, 2, dilation=2, padding="VALID"),
    "pooled": lambda x: mean_pool(conv(x, 3, 2), 3, 2, "SAME"),
    "branches": branches,
    "branches, then a layer for each channel": lambda x: conv(branches(x), 3, 6, groups=6),
    "branches, then groups": lambda x: conv(branches(x), 3, 4, groups=2),
    "branches, then a layer": lambda x: conv(jax.nn.relu(branches(x)), 3, 2),
    "channels cut out": lambda x: jnp.split(branches(x), [2, 5], axis=-1)[1][..., 1:],
    "space to depth": lambda x: conv(space_to_depth(x), 3, 2),
    "mirrored and transposed, and back": lambda x: turned_back(conv(turned(x), 3, 2)),
    "shifted slices": shifted,
    "saved for later": jax.checkpoint(lambda x: jax.jit(lambda y: conv(y, 3, 2))(x) + x[..., :2]),
    "stacked": lambda x: conv(jnp.stack([conv(x, 3, 1)[..., 0], x[..., 1]], axis=-1), 1, 2),
    "unstacked": lambda x: jnp.stack(jnp.unstack(branches(x), axis=-1)[1:4], axis=-1),
    "gated by the whole": gated,
    "attention": lambda x: attention(conv(x, 3, 2, stride=4)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_boxes_are_where_the_gradient_is_not_0(name):
    layers = NETWORKS[name]
    classifier = network(lambda x: {"maps": layers(x)})
    (fields,) = receptive_fields(classifier, ["maps"]).values()
    image = jnp.asarray(np.random.default_rng(1).uniform(0.5, 1, (1, SIDE, SIDE, 3)), jnp.float32)
    gradient = np.asarray(jax.jit(jax.jacrev(lambda x: layers(x)[0]))(image))[..., 0, :, :, :]
    seen = np.abs(gradient).sum(-1) > 0  # unit row, unit column, channel, row, column
    for unit in np.ndindex(*seen.shape[:3]):
        rows, columns = np.flatnonzero(seen[unit].any(1)), np.flatnonzero(seen[unit].any(0))
        x, y, width, height = fields.box(*unit)
        assert (y, y + height - 1, x, x + width - 1) == (rows[0], rows[-1], columns[0], columns[-1]), unit


@pytest.mark.parametrize("name", ["strided, padded on one side", "without padding", "pooled", "branches"])
def test_fields_on_the_grid_are_boxes_once_cut_at_the_border(name):
    (fields,) = receptive_fields(network(lambda x: {"maps": NETWORKS[name](x)}), ["maps"]).values()
    rows, columns, channels = fields.boxes.shape[1:]
    for row, column, channel in np.ndindex(rows, columns, channels):
        x, y, width, height = fields.field(row, column, channel)
        left, top = max(x, 0), max(y, 0)
        cut = (left, top, min(x + width, SIDE) - left, min(y + height, SIDE) - top)
        assert fields.box(row, column, channel) == cut


def real(name, side):
    """An architecture with positive weights and no biases."""
    architecture = ARCHITECTURES[name]
    network = make_network(architecture, num_classes=2)
    random = np.random.default_rng(0)
    layers = {
        path: {
            parameter: np.zeros(shape.shape, np.float32)
            if "bias" in parameter or "mean" in parameter
            else random.uniform(0.5, 1, shape.shape).astype(np.float32) / max(1, np.prod(shape.shape[:-1]))
            for parameter, shape in layer.items()
        }
        for path, layer in network.layers.items()
    }
    classifier = classifier_of(network.apply, nested_params(layers), classes=2, side=side, name=name)
    mean = architecture.normalization.mean
    blank = np.broadcast_to(
        np.asarray(mean, np.float32)[:: -1 if architecture.normalization.bgr else 1] / 255, (side, side, 3)
    )
    return classifier, blank


def check_by_probes(name, side, layers):
    """A pixel far too bright reaches a unit exactly if it is in the unit's box: maxima let the brightest through."""
    classifier, blank = real(name, side)
    fields = receptive_fields(classifier, layers)
    for layer in layers:
        height, width, channels = fields[layer].boxes.shape[1:]
        for row, column, channel in {
            (0, 0, 0),
            (height // 2, width // 2, channels - 1),
            (height - 1, width // 3, channels // 2),
        }:
            x, y, w, h = fields[layer].box(row, column, channel)
            inside = [(y, x), (y, x + w - 1), (y + h - 1, x), (y + h - 1, x + w - 1)]
            around = [(y - 1, x + w // 2), (y + h, x + w // 2), (y + h // 2, x - 1), (y + h // 2, x + w)]
            outside = [probe for probe in around if min(probe) >= 0 and max(probe) < side]
            images = np.stack([blank] * 9)
            for number, probe in enumerate(inside + outside):
                images[(number, *probe)] = 1e6
            values = np.asarray(classifier(images).endpoints[layer])[:, row, column, channel]
            changed = values[:8] != values[8]
            assert changed[: len(inside)].all(), (layer, row, column, channel)
            assert not changed[len(inside) : len(inside) + len(outside)].any(), (layer, row, column, channel)


def test_a_networks_boxes_are_what_bright_pixels_reach():
    check_by_probes("flowernet", 112, ["stem", "stage_0", "stage_1", "stage_2"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("googlenet-bvlc", ["conv1", "conv2", "inception_3a", "inception_3b", "inception_4a"]),
        ("squeezenet1_1", ["conv1", "fire2", "fire4", "fire5"]),
        ("resnet18", ["stem", "stage_1", "stage_2"]),
        ("efficientnet-lite0", ["stem", "block_0", "block_1", "block_3", "block_5"]),
        ("alexnet", ["conv1", "conv2", "conv3"]),
    ],
)
def test_all_kinds_of_networks_agree_with_bright_pixels(name, layers):
    check_by_probes(name, ARCHITECTURES[name].input_size, layers)


def test_known_fields():
    classifier, _ = real("flowernet", 112)
    fields = receptive_fields(classifier, ["stem", "stage_2"])
    # 3x3 of stride 2, 3x3, then twice a pooling of 2 and a 3x3: 3, 7, 17, 37 pixels.
    stem, last = fields["stem"], fields["stage_2"]
    assert {tuple(row) for row in np.concatenate([stem.offset, stem.size, stem.stride], 1).tolist()} == {
        (0, 0, 3, 3, 2, 2)
    }
    assert {tuple(row) for row in np.concatenate([last.offset, last.size, last.stride], 1).tolist()} == {
        (-14, -14, 37, 37, 8, 8)
    }
    assert last.field(1, 2, 0) == (2, -6, 37, 37)
    assert last.box(1, 2, 0) == (2, 0, 37, 31)


def test_branches_have_fields_of_their_own():
    (fields,) = receptive_fields(network(lambda x: {"maps": branches(x)}), ["maps"]).values()
    assert fields.size[:, 0].tolist() == [1, 1, 3, 3, 3, 7]
    assert fields.offset[:, 1].tolist() == [0, 0, -1, -1, -1, -3]


def test_after_something_global_every_unit_sees_the_whole_image():
    (fields,) = receptive_fields(network(lambda x: {"maps": gated(x)}), ["maps"]).values()
    assert (fields.size == SIDE).all()
    assert not fields.stride.any()
    assert fields.field(1, 1, 0) == fields.box(1, 1, 0) == (0, 0, SIDE, SIDE)


def test_an_unknown_primitive_is_named_if_the_layer_depends_on_it():
    def layers(x):
        early = conv(x, 3, 2)
        return {"early": early, "late": conv(jnp.cumsum(early, axis=1), 3, 2)}

    classifier = network(layers)
    message = (
        "the receptive fields of 'late' of 'net' are not known: it depends on the image through the primitive 'cumsum'."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        receptive_fields(classifier, ["early", "late"])
    assert receptive_fields(classifier, ["early"])["early"].size[0].tolist() == [3, 3]


def test_units_off_any_grid_are_refused():
    def layers(x):
        return {"maps": jnp.concatenate([conv(x, 3, 2)[:, :5], conv(x, 5, 2)[:, 9:]], axis=1)}

    with pytest.raises(ValueError, match=r"^the units of 'maps' of 'net' see neither fields on a regular grid nor"):
        receptive_fields(network(layers), ["maps"])


@pytest.mark.parametrize("layer", ["none", "pooled"])
def test_what_is_no_feature_map_is_refused(layer):
    classifier = network(lambda x: {"maps": conv(x, 3, 2), "pooled": x.mean((1, 2))})
    with pytest.raises(ValueError, match=f"^`layers` has '{layer}', which is no feature map"):
        receptive_fields(classifier, [layer])


def test_the_image_itself_may_be_an_endpoint():
    classifier = network(lambda x: {"maps": x})
    wide = dataclasses.replace(classifier, spec=dataclasses.replace(classifier.spec, input_width=SIDE + 4))
    (fields,) = receptive_fields(wide, ["maps"]).values()
    assert fields.box(3, 22, 1) == (22, 3, 1, 1)
