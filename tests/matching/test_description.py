import numpy as np
import pytest
from oracles.pooled import pooled as pooled_oracle

from vissum_jax.matching import MatchingConfig, describe_class, load_whitening, match_class, whitened_descriptors
from vissum_jax.types import ProposalBatch

SIDE, COUNT, BOXES = 64, 5, 12


def photographs(seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (COUNT, 16, 16, 3))
    return np.kron(coarse, np.ones((1, 4, 4, 1), int)).astype(np.uint8)


def random_boxes(seed=0):
    rng = np.random.default_rng(seed)
    sides = rng.integers(12, 50, (COUNT, BOXES, 2))
    boxes = np.concatenate([rng.integers(0, SIDE - sides + 1), sides], axis=-1).astype(np.int32)
    valid = np.arange(BOXES) < np.array([12, 7, 12, 3, 9])[:, None]
    return np.where(valid[..., None], boxes, 0), valid


def colours(images):
    """A network of one layer: the mean colour of every 4 x 4 pixels, and some products of them."""
    cells = images.reshape(len(images), 16, 4, 16, 4, 3).mean(axis=(2, 4)).astype(np.float32) / 255
    return np.concatenate([cells, cells**2, cells[..., :1] * cells[..., 1:2]], axis=-1)


def described(descriptor, **options):
    boxes, valid = random_boxes()
    config = MatchingConfig(descriptor=descriptor, **options)
    return describe_class(photographs(), boxes, valid, config, None if descriptor == "hog" else colours)


def inner(views, first=0, second=0):
    _, valid = random_boxes()
    return views[first].descriptors[valid].astype(np.float64) @ views[second].descriptors[valid].T.astype(np.float64)


@pytest.mark.parametrize(("maps", "expected"), [(None, "hog"), (colours, "both")])
def test_by_default_a_network_is_used_where_there_is_one(maps, expected):
    auto, told = (
        describe_class(photographs(), *random_boxes(), MatchingConfig(descriptor=name), maps)[0].descriptors
        for name in ("auto", expected)
    )
    np.testing.assert_array_equal(auto, told)


def test_hog_is_whitened_by_the_statistics_that_ship():
    boxes, _ = random_boxes()
    (view,) = described("hog")
    expected = whitened_descriptors(photographs()[2], boxes[2], *load_whitening(0.01))
    np.testing.assert_allclose(view.descriptors[2], expected, atol=1e-3)
    np.testing.assert_array_equal(view.boxes, boxes)


def test_a_networks_features_are_pooled_and_whitened_by_the_classs_own_boxes():
    boxes, valid = random_boxes()
    (view,) = described("network", network_ridge=0.2)
    maps = colours(photographs())
    raw = np.array([pooled_oracle(maps[i], box, SIDE, SIDE) for i in range(COUNT) for box in boxes[i][valid[i]]])
    centred = raw - raw.mean(axis=0)
    covariance = centred.T @ centred / len(centred)
    covariance += 0.2 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    expected = centred @ np.linalg.solve(covariance, centred.T)
    np.testing.assert_allclose(inner([view]), expected, atol=1e-3 * np.abs(expected).max())


def test_both_adds_similarities_in_units_of_their_root_mean_square():
    hog, network, both = (inner(described(name, network_weight=0.3)) for name in ("hog", "network", "both"))
    expected = 0.7 * hog / np.sqrt((hog**2).mean()) + 0.3 * network / np.sqrt((network**2).mean())
    np.testing.assert_allclose(inner(described("both", network_weight=0.3)), expected, atol=1e-3 * expected.max())
    assert both.shape == hog.shape


@pytest.mark.parametrize("descriptor", ["hog", "network", "both"])
def test_a_mirrored_image_described_again_gives_the_same_likeness(descriptor):
    """Two images that mirror each other: the mirrored view of one looks as the other does."""
    images, (boxes, valid) = photographs(), random_boxes()
    images[1], valid[1] = images[0][:, ::-1], valid[0]
    boxes[1] = boxes[0]
    boxes[1][:, 0] = SIDE - boxes[0][:, 0] - boxes[0][:, 2]
    plain, mirrored = describe_class(images, boxes, valid, MatchingConfig(descriptor=descriptor, flip=True), colours)
    np.testing.assert_array_equal(mirrored.boxes[1], boxes[0])
    scale = np.abs(plain.descriptors[0]).max()
    np.testing.assert_allclose(mirrored.descriptors[1], plain.descriptors[0], atol=1e-3 * scale)


@pytest.mark.parametrize("descriptor", ["network", "both"])
def test_large_classes_live_in_files_and_come_in_blocks(descriptor, monkeypatch):
    from vissum_jax.matching import description

    straight = described(descriptor)[0].descriptors
    monkeypatch.setattr(description, "_MAPS_PER_CALL", 2)
    filed = described(descriptor, host_bytes=1)[0].descriptors
    assert isinstance(filed, np.memmap)
    np.testing.assert_allclose(filed, straight, rtol=1e-4, atol=1e-4)


def test_a_class_is_matched_by_a_networks_features():
    """Twins of one image look alike to the network; the rest of the class does not."""
    images, (boxes, valid) = photographs(), random_boxes()
    images[4], boxes[4], valid[4] = images[0], boxes[0], valid[0]
    batch = ProposalBatch(boxes=boxes, valid=valid, salient=valid)
    config = MatchingConfig(descriptor="network", network_ridge=0.1)
    matches = match_class(images, batch, config, feature_maps=colours)
    twins = matches.similarity[np.ix_(matches.image_ids == 0, matches.image_ids == 4)]
    np.testing.assert_array_equal(twins.argmax(axis=1), np.arange(BOXES))
    assert matches.similarity.min() >= 0


def test_a_missing_network_is_named():
    with pytest.raises(ValueError, match=r"^`feature_maps` must be given for the descriptor 'both'\.$"):
        describe_class(photographs(), *random_boxes(), MatchingConfig(descriptor="both"), None)
