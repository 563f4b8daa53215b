import re

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from vissum_jax.analysis.concepts import (
    ConceptConfig,
    Groups,
    agglomerative,
    k_means,
    nearest_of_each_image,
    strongest_factor,
    unit_rows,
)

CONFIG = ConceptConfig()


def blobs(seed=0):
    """Thirty points around three corners, and which corner."""
    truth = np.arange(30) % 3
    return np.eye(3)[truth] * 5 + np.random.default_rng(seed).uniform(0, 1, (30, 3)), truth


@pytest.mark.parametrize(
    "group",
    [
        lambda x, k: k_means(x, k, CONFIG).labels,
        agglomerative,
        lambda x, k: strongest_factor(x, k, CONFIG),
    ],
    ids=["k-means", "Ward", "CRAFT"],
)
def test_groups_that_are_there_are_found(group):
    features, truth = blobs()
    assert adjusted_rand_score(truth, group(features, 3)) == 1.0
    np.testing.assert_array_equal(group(features, 3), group(features, 3))


def test_distances_are_those_to_the_groups_means():
    features, _ = blobs(1)
    groups = k_means(features, 3, CONFIG)
    for label in range(3):
        own = features[groups.labels == label]
        np.testing.assert_allclose(
            groups.distance[groups.labels == label], np.linalg.norm(own - own.mean(axis=0), axis=1), rtol=1e-6
        )


def test_k_means_is_no_worse_than_the_truth():
    features, truth = blobs(2)
    groups = k_means(features, 3, CONFIG)
    centres = np.stack([features[truth == label].mean(axis=0) for label in range(3)])
    assert np.sum(groups.distance**2) <= np.sum((features - centres[truth]) ** 2) * (1 + 1e-9)


def test_the_strongest_factor_does_not_depend_on_how_a_factorisation_is_scaled():
    """Crops of pure concepts, one a hundred times weaker: each belongs to its own."""
    pure = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 0.01], [0.001, 0.01]])
    labels = strongest_factor(pure, 2, CONFIG)
    assert labels[0] == labels[1] != labels[2] == labels[3]


def test_as_many_groups_as_crops_or_one_for_all():
    features, _ = blobs(3)
    for count in (1, len(features)):
        assert len(np.unique(k_means(features, count, CONFIG).labels)) == count
        assert len(np.unique(agglomerative(features, count))) == count
    assert set(strongest_factor(features, 1, CONFIG)) == {0}
    one = features[:1]
    assert k_means(one, 1, CONFIG).labels.tolist() == agglomerative(one, 1).tolist() == [0]
    assert strongest_factor(one, 1, CONFIG).tolist() == [0]


def test_identical_crops_are_grouped_without_a_warning():
    same = np.ones((6, 4))
    assert set(k_means(same, 3, CONFIG).labels) == {0}
    assert len(np.unique(agglomerative(same, 3))) == 3
    assert len(set(strongest_factor(same, 3, CONFIG))) == 1
    assert set(strongest_factor(np.zeros((6, 4)), 2, CONFIG)) == {0}


def test_a_factorisation_that_stops_early_still_answers():
    features, truth = blobs(4)
    assert strongest_factor(features, 3, ConceptConfig(iterations=1)).shape == truth.shape


def test_negative_activations_have_no_factors():
    with pytest.raises(ValueError, match=r"^`activations` must not be negative, got -1\.$"):
        strongest_factor(np.array([[1.0], [-1.0]]), 1, CONFIG)


def test_rows_have_length_one_or_are_zero():
    found = unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]]))
    np.testing.assert_allclose(found, [[0.6, 0.8], [0.0, 0.0]])


def test_of_a_group_the_nearest_crop_of_each_image_stays():
    groups = Groups(labels=np.array([0, 0, 0, 1, 1, 0]), distance=np.array([3.0, 1.0, 2.0, 5.0, 4.0, 1.0]))
    images = np.array([7, 7, 8, 7, 7, 7])
    np.testing.assert_array_equal(nearest_of_each_image(groups, images), [1, 2, 4])


@pytest.mark.parametrize("count", [0, 4])
@pytest.mark.parametrize("group", [k_means, strongest_factor])
def test_more_groups_than_crops_are_refused(group, count):
    with pytest.raises(ValueError, match=rf"^`count` must be in 1\.\.3, the number of crops, got {count}\.$"):
        group(np.ones((3, 2)), count, CONFIG)
    with pytest.raises(ValueError, match=r"^`count` must be in 1\.\.3"):
        agglomerative(np.ones((3, 2)), count)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"restarts": 0}, "`restarts` must be positive, got 0."),
        ({"iterations": 0}, "`iterations` must be positive, got 0."),
        ({"seed": -1}, "`seed` must not be negative, got -1."),
    ],
)
def test_constants_out_of_range_are_refused(values, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ConceptConfig(**values)
