import jax.numpy as jnp
import numpy as np
import pytest
import toys

from vissum_jax.ops.resize import crop_and_resize
from vissum_jax.pipeline.crop_features import crop_features
from vissum_jax.types import Classifier, Outputs


@pytest.fixture(scope="module")
def classifier():
    return toys.make_classifier()


IMAGES = np.stack([toys.photograph(0, seed) for seed in range(5)])
BOXES = np.array([[0, 0, 64, 64], [3, 5, 20, 30], [40, 40, 24, 24], [10, 0, 1, 64], [0, 0, 64, 64]])


def test_each_box_is_resized_to_the_input_and_looked_at_alone(classifier):
    found = crop_features(classifier, IMAGES, BOXES, batch_size=2)
    for image, box, features in zip(IMAGES, BOXES, found, strict=True):
        crop = crop_and_resize(jnp.asarray(image, jnp.float32) / 255, jnp.asarray(box), (64, 64), height=64, width=64)
        np.testing.assert_allclose(features, classifier(crop[None]).endpoints["features"][0], rtol=1e-4, atol=1e-4)


def test_the_whole_image_is_the_image_itself(classifier):
    wanted = classifier(jnp.asarray(IMAGES, jnp.float32) / 255).endpoints["features"]
    whole = np.broadcast_to(BOXES[0], (5, 4))
    np.testing.assert_allclose(crop_features(classifier, IMAGES, whole, batch_size=8), wanted, rtol=1e-4, atol=1e-4)


def test_the_size_of_batches_changes_nothing(classifier):
    one, three = (crop_features(classifier, IMAGES, BOXES, batch_size=size) for size in (1, 3))
    np.testing.assert_allclose(one, three, rtol=1e-5, atol=1e-5)


def test_hidden_pixels_are_grey(classifier):
    shown = np.zeros(IMAGES.shape[:3], bool)
    shown[:, :32] = True
    grey = np.where(shown[..., None], IMAGES, 51).astype(np.uint8)
    found = crop_features(classifier, IMAGES, BOXES, shown, fill=0.2, batch_size=8)
    np.testing.assert_allclose(found, crop_features(classifier, grey, BOXES, batch_size=8), rtol=1e-4, atol=1e-4)
    assert not np.allclose(found, crop_features(classifier, IMAGES, BOXES, batch_size=8))


def test_an_endpoint_with_places_is_averaged_over_them(classifier):
    def apply(params, images):
        return Outputs(logits=jnp.zeros((len(images), 4)), endpoints={"features": images})

    maps = Classifier(params=classifier.params, apply=apply, spec=classifier.spec)
    found = crop_features(maps, IMAGES[:1], BOXES[:1], batch_size=1)
    np.testing.assert_allclose(found, IMAGES[:1].mean(axis=(1, 2)) / 255, rtol=1e-4)
