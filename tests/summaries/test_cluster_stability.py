import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from oracles.jaccard import best_overlap

from vissum_jax.summaries import Clustering, SummaryConfig, cluster, cluster_stability, summarize_class
from vissum_jax.summaries.cluster_stability import _best_overlaps

CONFIG = SummaryConfig(stability_repeats=8)
IMAGES, PARTS = 10, 3


def class_of(noise, seed=0):
    """One box of every part in every image, as alike as their parts are, and noise."""
    rng = np.random.default_rng(seed)
    part = np.tile(np.arange(PARTS), IMAGES)
    image_ids = np.repeat(np.arange(IMAGES), PARTS)
    jitter = rng.uniform(0, noise, (len(part),) * 2)
    return (10.0 * (part[:, None] == part[None]) + jitter + jitter.T).astype(np.float32), image_ids


def stability(similarity, image_ids, config=CONFIG):
    return cluster_stability(cluster(similarity, config, config.seed, images=15), similarity, image_ids, config)


def test_parts_that_stand_apart_are_always_found_again():
    np.testing.assert_array_equal(stability(*class_of(noise=0.5)), np.ones(PARTS))


def test_clusters_of_noise_are_not():
    similarity, image_ids = class_of(noise=100.0)
    values = stability(similarity, image_ids)
    assert (values >= 0).all()
    assert values.mean() < 0.7


@hypothesis.given(st.integers(0, 2**16), st.integers(1, 4), st.integers(0, 4))
@hypothesis.settings(max_examples=40, deadline=None)
def test_overlaps_equal_the_oracle(seed, clusters, others):
    rng = np.random.default_rng(seed)
    count = rng.integers(1, 12)
    labels = rng.integers(0, clusters, count)
    again = rng.integers(0, others, count) if others else np.full(count, -1)
    drawn = np.arange(count)
    expected = [
        best_overlap(np.flatnonzero(labels == c), drawn, [np.flatnonzero(again == d) for d in range(others)])
        for c in range(clusters)
    ]
    expected = [np.nan if value is None else value for value in expected]
    np.testing.assert_allclose(_best_overlaps(labels, again, clusters), expected)


def test_a_cluster_of_which_nothing_was_drawn_is_not_judged():
    """The second cluster lies in one image alone, which every other repeat does not draw."""
    image_ids = np.array([*range(9), 9, 9, 9])
    labels = (image_ids == 9).astype(int)
    similarity = 10.0 * (labels[:, None] == labels[None])
    clusters = Clustering(labels, np.array([0, 9]), converged=True, damping=0.9)
    judged = [
        cluster_stability(clusters, similarity, image_ids, SummaryConfig(stability_repeats=1, seed=seed))
        for seed in range(10)
    ]
    assert np.isfinite([first for first, _ in judged]).all()
    assert 0 < np.isnan([second for _, second in judged]).sum() < 10
    many = cluster_stability(clusters, similarity, image_ids, SummaryConfig(stability_repeats=10))
    assert np.isfinite(many).all()


def test_a_repeat_that_does_not_converge_finds_nothing_again():
    similarity, image_ids = class_of(noise=0.5)
    clusters = cluster(similarity, CONFIG, 0, images=15)
    hasty = SummaryConfig(stability_repeats=2, max_iterations=2, retries=0)
    np.testing.assert_array_equal(cluster_stability(clusters, similarity, image_ids, hasty), np.zeros(PARTS))


def test_nothing_is_measured_unless_asked_for():
    similarity, image_ids = class_of(noise=0.5)
    assert np.isnan(stability(similarity, image_ids, SummaryConfig())).all()


def test_the_seed_draws_the_images():
    similarity, image_ids = class_of(noise=30.0)
    first, again, other = (
        stability(similarity, image_ids, SummaryConfig(stability_repeats=3, seed=seed)) for seed in (0, 0, 5)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_names_of_images_do_not_matter():
    similarity, image_ids = class_of(noise=30.0)
    renamed = np.random.default_rng(0).permutation(IMAGES)[image_ids]
    np.testing.assert_array_equal(stability(similarity, renamed), stability(similarity, image_ids))


def test_summaries_carry_the_stability_of_their_cluster():
    similarity, image_ids = class_of(noise=0.5)
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, 64, 64, 3)).astype(np.uint8)
    boxes = np.array([[8 * part, 4, 24, 24] for part in range(PARTS)] * IMAGES)
    result = summarize_class(images, 0, similarity, boxes, image_ids, CONFIG)
    assert [summary.stability for summary in result.summaries] == pytest.approx([1.0] * PARTS)
