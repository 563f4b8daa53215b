import jax.numpy as jnp
import numpy as np
from oracles import hog as hog_oracle
from oracles import resize as resize_oracle

from vissum_jax.matching import box_descriptor, box_descriptors, load_whitening, whitened_descriptors


def image(seed=0, height=60, width=70):
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (height // 5, width // 5, 3))
    # Noise, for an exactly vertical gradient lies between two orientations and a flat cell has none.
    return (np.kron(coarse, np.ones((5, 5, 1))) + rng.uniform(0, 20, (height, width, 3))).astype(np.float32)


def test_a_descriptor_is_the_hog_of_the_grown_box():
    picture = image()
    x, y, w, h = 40, 2, 28, 40
    rows = resize_oracle.sampling_matrix(y - h / 8, h * 1.25, 80, 80, 60)
    columns = resize_oracle.sampling_matrix(x - w / 8, w * 1.25, 80, 80, 70)
    expected = hog_oracle.hog(np.einsum("yh,hwc,xw->yxc", rows, picture, columns))
    ours = box_descriptor(jnp.asarray(picture), jnp.array([x, y, w, h]))
    assert ours.shape == (8, 8, 31)
    # The oracle's weights are sampled, and a gradient near a sector's edge may fall on either side.
    assert np.median(np.abs(ours - expected)) < 1e-4
    assert np.abs(ours - expected).max() < 0.02


def test_many_boxes_give_what_single_ones_give():
    picture = jnp.asarray(image(1))
    boxes = jnp.array([[0, 0, 70, 60], [10, 20, 20, 20], [45, 5, 25, 50]])
    together = box_descriptors(picture, boxes)
    assert together.shape == (3, 1984)
    for box, descriptor in zip(boxes, together, strict=True):
        np.testing.assert_allclose(descriptor, box_descriptor(picture, box).ravel(), atol=1e-5)


def test_padding_is_described_by_finite_numbers():
    whitening = load_whitening(0.01)
    described = whitened_descriptors(image(2), jnp.zeros((2, 4), dtype=jnp.int32), *whitening)
    assert np.isfinite(described).all()


def test_photographs_shown_smaller_or_larger_keep_their_descriptor():
    picture = image(3)
    large = np.kron(picture, np.ones((2, 2, 1), dtype=np.float32))
    one = box_descriptor(jnp.asarray(picture), jnp.array([5, 5, 50, 50])).ravel()
    two = box_descriptor(jnp.asarray(large), jnp.array([10, 10, 100, 100])).ravel()
    assert np.corrcoef(one, two)[0, 1] > 0.9
