import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles.attribution import classifier_of, colour_net, colour_picture, share_inside

from vissum_jax.attribution.grad_cam import GradCamConfig, grad_cam, grad_cam_pp
from vissum_jax.types import Outputs

PICTURES = [colour_picture(class_index, seed=10 + class_index) for class_index in range(3)]
IMAGES = np.stack([picture for picture, _ in PICTURES]).astype(np.float32) / 255
CLASSES = np.arange(3)
LAST = GradCamConfig()
METHODS = {
    name: jax.jit(f, static_argnames="config") for name, f in (("grad_cam", grad_cam), ("grad_cam_pp", grad_cam_pp))
}


def bilinear(values, size):
    """Interpolation between cell centres, constant beyond the outermost."""
    places = (np.arange(size) + 0.5) * len(values) / size - 0.5
    line = np.stack([np.interp(places, np.arange(len(values)), unit) for unit in np.eye(len(values))], axis=1)
    return line @ values @ line.T


@pytest.mark.parametrize("compiled", [False, True])
def test_on_a_global_average_and_a_linear_layer_it_is_cam(compiled):
    classifier = colour_net(compiled=compiled)
    found = METHODS["grad_cam"](classifier, IMAGES, CLASSES, config=LAST)
    features = np.asarray(classifier(IMAGES).endpoints["between"])
    head = np.asarray(classifier.params["head"])
    for row in range(3):
        cam = np.maximum(features[row] @ head[:, row], 0) / features[row, ..., 0].size
        np.testing.assert_allclose(found[row], bilinear(cam, 32), rtol=1e-5, atol=1e-6)


def test_the_weights_are_means_of_gradients_where_they_differ_by_position():
    place = np.random.default_rng(0).normal(size=(4, 4, 6)).astype(np.float32)
    mix = np.random.default_rng(1).normal(size=(3, 6)).astype(np.float32)

    def apply(params, images):
        features = jax.nn.relu(images @ params["mix"])
        score = (jnp.tanh(features) * params["place"]).sum((1, 2, 3))
        return Outputs(jnp.stack([score, -score], 1), {"map": features})

    classifier = classifier_of(apply, {"mix": mix, "place": place}, classes=2, side=4)
    image = np.random.default_rng(2).random((1, 4, 4, 3)).astype(np.float32)
    features = np.maximum(image[0].astype(float) @ mix, 0)
    slope = -place * (1 - np.tanh(features) ** 2)
    found = METHODS["grad_cam"](classifier, image, np.array([1]), config=LAST)
    np.testing.assert_allclose(found[0], np.maximum(features @ slope.mean((0, 1)), 0), rtol=1e-4, atol=1e-5)

    # The formula as it is printed, unit by unit.
    weights = np.zeros(6)
    for k in range(6):
        for i, j in np.ndindex(4, 4):
            g = slope[i, j, k]
            weights[k] += g**2 / (2 * g**2 + g**3 * features[..., k].sum()) * max(g, 0)
    found = METHODS["grad_cam_pp"](classifier, image, np.array([1]), config=LAST)
    np.testing.assert_allclose(found[0], np.maximum(features @ weights, 0), rtol=1e-4, atol=1e-5)
    assert found.max() > 0


def test_by_default_it_takes_the_last_map_that_is_computed():
    classifier = colour_net()
    last, between, finer = (
        METHODS["grad_cam"](classifier, IMAGES, CLASSES, config=GradCamConfig(endpoint=endpoint))
        for endpoint in (None, "between", "zero")
    )
    np.testing.assert_array_equal(last, between)
    assert not np.allclose(last, finer)


@pytest.mark.parametrize("method", METHODS)
def test_it_finds_the_evidence(method):
    maps = METHODS[method](colour_net(), IMAGES, CLASSES, config=LAST)
    assert maps.shape == (3, 32, 32)
    for row, (_, own) in enumerate(PICTURES):
        assert share_inside(np.asarray(maps[row]), own, 0.08) > 0.9


@pytest.mark.parametrize("method", METHODS)
def test_images_do_not_interact(method):
    classifier, order = colour_net(), np.array([1, 2, 0])
    whole = METHODS[method](classifier, IMAGES, CLASSES, config=LAST)
    mixed = METHODS[method](classifier, IMAGES[order], CLASSES[order], config=LAST)
    np.testing.assert_allclose(mixed, whole[order], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_no_evidence_gives_a_map_of_zeros(method):
    classifier = colour_net()
    dull = np.full((1, 32, 32, 3), 0.2, np.float32)
    np.testing.assert_array_equal(METHODS[method](classifier, dull, np.array([0]), config=LAST), np.zeros((1, 32, 32)))
    # The fourth class has a constant score, whose gradient is 0.
    np.testing.assert_array_equal(
        METHODS[method](classifier, IMAGES[:1], np.array([3]), config=LAST), np.zeros((1, 32, 32))
    )


def test_what_cannot_be_weighted_is_refused():
    flat = classifier_of(lambda p, x: Outputs(x.mean((1, 2)) @ p, {"pooled": x.mean((1, 2))}), jnp.eye(3), classes=3)
    with pytest.raises(ValueError, match=r"^'planted' has no endpoint with two spatial axes that its logits depend on"):
        grad_cam(flat, IMAGES, CLASSES, LAST)
    with pytest.raises(
        ValueError, match=r"^`endpoint` 'pooled' of 'planted' must have two spatial axes, got the shape \(3,\)\.$"
    ):
        grad_cam(colour_net(), IMAGES, CLASSES, GradCamConfig(endpoint="pooled"))
    with pytest.raises(ValueError, match=r"^`endpoint` must be a name or None, got ''\.$"):
        GradCamConfig(endpoint="")
