import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from oracles.affinity import affinity_propagation

from vissum_jax.summaries import SummaryConfig, cluster

CONFIG = SummaryConfig()


def groups(seed, sizes=(6, 5, 4), spread=0.3):
    """Points around distinct centres, and how near they are to each other."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    points = rng.normal(0, spread, (len(truth), 2)) + 8 * np.array([[0, 0], [1, 0], [0, 1], [1, 1]])[truth]
    distance = ((points[:, None] - points[None]) ** 2).sum(-1)
    return (distance.max() - distance).astype(np.float32), truth


def same_partition(first, second):
    return np.array_equal(first[:, None] == first[None], second[:, None] == second[None])


def test_equals_the_message_passing_oracle():
    similarity, truth = groups(0, sizes=(5, 4))
    result = cluster(similarity, CONFIG, 0, images=15)
    relative = similarity - similarity.max()
    exemplar = affinity_propagation(relative, 1.3 * np.median(relative))
    np.testing.assert_array_equal(result.exemplars[result.labels], exemplar)
    assert same_partition(result.labels, truth)
    assert result.converged
    assert result.damping == 0.9


@hypothesis.given(st.integers(0, 2**16))
@hypothesis.settings(max_examples=15, deadline=None)
def test_permuting_the_boxes_permutes_the_labels(seed):
    similarity, _ = groups(seed)
    order = np.random.default_rng(seed).permutation(len(similarity))
    straight, shuffled = (
        cluster(similarity, CONFIG, 0, images=15),
        cluster(similarity[np.ix_(order, order)], CONFIG, 0, images=15),
    )
    assert same_partition(straight.labels[order], shuffled.labels)
    assert set(straight.exemplars) == set(order[shuffled.exemplars])


def test_the_same_seed_gives_the_same_clusters():
    similarity = np.random.default_rng(0).uniform(size=(40, 40))
    similarity = similarity + similarity.T
    first, second = cluster(similarity, CONFIG, 3, images=15), cluster(similarity, CONFIG, 3, images=15)
    np.testing.assert_array_equal(first.labels, second.labels)
    np.testing.assert_array_equal(first.exemplars, second.exemplars)


def test_the_input_is_left_alone():
    similarity, _ = groups(1)
    before = similarity.copy()
    cluster(similarity, CONFIG, 0, images=15)
    np.testing.assert_array_equal(similarity, before)


def test_a_larger_factor_gives_fewer_clusters():
    similarity, _ = groups(2)
    configs = [SummaryConfig(preference_factor=f, preference_per_image=0.0) for f in (0.0, 1.3, 40)]
    counts = [len(cluster(similarity, config, 0, images=15).exemplars) for config in configs]
    assert counts[0] > counts[1] > counts[2]
    assert counts[1] == 3


def test_too_few_iterations_are_reported_after_all_retries():
    result = cluster(groups(3)[0], SummaryConfig(max_iterations=2, retries=2), 0, images=15)
    assert not result.converged
    assert result.damping == pytest.approx(0.975)
    assert (result.labels == -1).all()
    assert len(result.exemplars) == 0


def test_a_retry_with_more_damping_may_succeed():
    """Without structure, exemplars swap roles for ever when messages are damped little."""
    similarity = np.random.default_rng(3).normal(size=(60, 60))
    similarity = similarity + similarity.T
    options = {"damping": 0.5, "max_iterations": 400, "convergence_iterations": 50}
    assert not cluster(similarity, SummaryConfig(retries=0, **options), 0, images=15).converged
    rescued = cluster(similarity, SummaryConfig(retries=4, **options), 0, images=15)
    assert rescued.converged
    assert rescued.damping > 0.5


@pytest.mark.parametrize("value", [0.0, 3.5])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_equal_similarities_are_one_cluster(count, value):
    result = cluster(np.full((count, count), value, dtype=np.float32), CONFIG, 0, images=15)
    np.testing.assert_array_equal(result.labels, np.zeros(count))
    assert len(result.exemplars) == 1
    assert result.converged


def test_nothing_has_no_cluster():
    result = cluster(np.zeros((0, 0), dtype=np.float32), CONFIG, 0, images=15)
    assert len(result.labels) == len(result.exemplars) == 0
    assert result.converged


def test_the_price_of_an_exemplar_grows_with_the_images():
    similarity, _ = groups(2)
    prices = SummaryConfig(preference_factor=0.0, preference_per_image=0.13)
    fixed = SummaryConfig(preference_factor=1.3, preference_per_image=0.0)
    ours, ten = cluster(similarity, prices, 0, images=10), cluster(similarity, fixed, 0, images=99)
    np.testing.assert_array_equal(ours.labels, ten.labels)
    counts = [len(cluster(similarity, prices, 0, images=images).exemplars) for images in (0, 10, 400)]
    assert counts[0] > counts[1] > counts[2]
