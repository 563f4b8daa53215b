import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC

from vissum_jax.analysis.bootstrap import BootstrapConfig
from vissum_jax.analysis.specialize import (
    SpecializeConfig,
    SummarySet,
    choose_weight,
    compare,
    fit_machines,
    mixed,
    normalised,
    per_class,
    random_sets,
)

CONFIG = SpecializeConfig(weight_steps=10)


def clusters(per_cluster=12, seed=0):
    """Two classes with two clusters of features each."""
    random = np.random.default_rng(seed)
    centres = np.eye(4, 6)
    features = np.concatenate([centre + random.normal(0, 0.15, (per_cluster, 6)) for centre in centres])
    labels = np.repeat([3, 3, 7, 7], per_cluster)
    rows = np.arange(4 * per_cluster).reshape(4, per_cluster)
    sets = [SummarySet(3, 0, rows[0]), SummarySet(3, 1, rows[1]), SummarySet(7, 0, rows[2]), SummarySet(7, 1, rows[3])]
    return normalised(features), labels, sets


def answers(machines, features):
    decision = features @ machines.weight.T + machines.bias
    return 1 / (1 + np.exp(machines.slope * decision + machines.offset))


def test_machines_are_scikit_learn_s_calibrated_ones():
    features, labels, sets = clusters()
    machines, reasons = fit_machines(features, labels, sets, CONFIG)
    positive = np.zeros(len(features), bool)
    positive[sets[1].rows] = True
    expected = CalibratedClassifierCV(
        LinearSVC(C=1.0, class_weight="balanced", dual=True, max_iter=10_000, random_state=0),
        cv=StratifiedKFold(5, shuffle=True, random_state=0),
        ensemble=False,
    ).fit(features, positive)
    np.testing.assert_allclose(answers(machines, features)[:, 1], expected.predict_proba(features)[:, 1], atol=1e-5)
    assert (reasons, machines.class_index.tolist(), machines.summary.tolist()) == ({}, [3, 3, 7, 7], [0, 1, 0, 1])


def test_each_machine_knows_its_own_summary():
    features, labels, sets = clusters()
    machines, _ = fit_machines(features, labels, sets, CONFIG)
    fresh, _, _ = clusters(seed=1)
    np.testing.assert_array_equal(answers(machines, fresh).argmax(axis=1), np.repeat(np.arange(4), 12))


def test_images_of_two_summaries_are_never_negatives_of_one():
    """A summary that holds all images of its class has other classes' images alone as negatives."""
    features, labels, sets = clusters()
    whole = SummarySet(3, 0, np.arange(24))
    alone, _ = fit_machines(features, labels, [whole, *sets[2:]], CONFIG)
    beside, _ = fit_machines(features, labels, [whole, SummarySet(3, 1, np.arange(12)), *sets[2:]], CONFIG)
    np.testing.assert_array_equal(alone.weight[0], beside.weight[0])


def test_images_of_the_class_that_are_in_no_summary_play_no_part():
    features, labels, sets = clusters()
    before, _ = fit_machines(features, labels, [sets[0], *sets[2:]], CONFIG)
    moved = features.copy()
    moved[sets[1].rows] = normalised(np.random.default_rng(5).normal(size=(12, 6)))
    after, _ = fit_machines(moved, labels, [sets[0], *sets[2:]], CONFIG)
    np.testing.assert_array_equal(before.weight[0], after.weight[0])


def test_a_summary_with_one_image_has_no_machine_and_says_why():
    features, labels, sets = clusters()
    machines, reasons = fit_machines(features, labels, [SummarySet(3, 5, np.array([0])), sets[2]], CONFIG)
    assert machines.class_index.tolist() == [7]
    assert reasons == {(3, 5): "1 image to recognise and 24 others; an SVM needs 2 of each"}
    none, reasons = fit_machines(features[:12], labels[:12], [sets[0]], CONFIG)
    assert (len(none), none.weight.shape) == (0, (0, 6))
    assert "12 images to recognise and 0 others" in reasons[3, 0]


def test_few_images_are_calibrated_on_fewer_folds():
    features, labels, sets = clusters()
    machines, reasons = fit_machines(features, labels, [SummarySet(3, 0, np.arange(2)), *sets[2:]], CONFIG)
    assert (len(machines), reasons) == (3, {})


def test_the_weight_is_the_smallest_of_the_best():
    probabilities = np.array([[0.6, 0.4], [0.9, 0.1]])
    scores = np.array([[0.0, 1.0], [0.2, 0.8]])
    both = np.array([0, 1])
    weight, tried = choose_weight(probabilities, scores, np.array([1, 0]), both, CONFIG)
    assert weight == 0.2  # 0.8 * 0.6 < 0.8 * 0.4 + 0.2, and the second image stays as it is up to 0.5
    assert (tried[0].accuracy, tried[-1].accuracy) == (0.5, 0.5)
    assert {each.others for each in tried} == {None}
    assert choose_weight(probabilities, scores, np.array([0, 0]), both, CONFIG)[0] == 0.0


def test_no_weight_is_taken_that_costs_classes_without_machines_an_answer():
    """Class 2 has no SVM; its image is lost from a weight of .4 on, and only then is the second one of class 1 won."""
    probabilities = np.array([[0.6, 0.4, 0.0], [0.78, 0.22, 0.0], [0.2, 0.2, 0.6], [0.5, 0.2, 0.3]])
    scores = np.array([[0.0, 1.0, 0.0], [0.3, 0.7, 0.0], [0.65, 0.35, 0.0], [1.0, 0.0, 0.0]])
    labels = np.array([1, 1, 2, 2])
    with_machines = np.array([0, 1, 1])
    assert choose_weight(probabilities[:2], scores[:2], labels[:2], with_machines, CONFIG)[0] == 0.6
    weight, tried = choose_weight(probabilities, scores, labels, with_machines, CONFIG)
    assert weight == pytest.approx(0.2)
    assert [(round(each.weight, 1), each.accuracy, each.others) for each in tried[:7]] == [
        (0.0, 0.0, 0.5),  # the last image is wrong in any case: what counts is that no weight makes it worse
        (0.1, 0.0, 0.5),
        (0.2, 0.5, 0.5),
        (0.3, 0.5, 0.5),
        (0.4, 0.5, 0.0),
        (0.5, 0.5, 0.0),
        (0.6, 1.0, 0.0),
    ]


@pytest.mark.parametrize("labels", [[], [2, 2]])
def test_a_weight_needs_images_of_classes_with_machines(labels):
    count = len(labels)
    with pytest.raises(ValueError, match="must hold classes with SVMs"):
        choose_weight(np.full((count, 3), 1 / 3), np.zeros((count, 3)), np.array(labels, int), np.array([0, 1]), CONFIG)


def test_mixing_keeps_the_sum():
    np.testing.assert_allclose(mixed(np.array([[0.6, 0.4]]), np.array([[0.0, 1.0]]), 0.25), [[0.45, 0.55]])


def test_before_and_after_are_counted_on_the_same_images():
    before, after = np.array([1, 1, 0, 0, 0], bool), np.array([1, 0, 1, 1, 0], bool)
    found = compare(before, after, BootstrapConfig())
    assert (found.images, found.before, found.after, found.corrected, found.spoiled) == (5, 0.4, 0.6, 2, 1)
    assert found.difference.mean == pytest.approx(0.2)
    assert found.difference.low < 0.2 < found.difference.high
    empty = compare(before[:0], after[:0], BootstrapConfig())
    assert (empty.images, np.isnan(empty.before)) == (0, True)


def test_ablations_keep_sizes_and_classes():
    _, labels, sets = clusters()
    usable = np.ones(len(labels), bool)
    usable[:3] = False
    drawn = random_sets(sets, labels, usable, seed=1)
    assert [(each.class_index, each.summary, len(each.rows)) for each in drawn] == [
        (each.class_index, each.summary, len(each.rows)) for each in sets
    ]
    for each in drawn:
        assert (labels[each.rows] == each.class_index).all()
        assert usable[each.rows].all()
        assert len(set(each.rows)) == len(each.rows)
    again, other = random_sets(sets, labels, usable, seed=1), random_sets(sets, labels, usable, seed=2)
    np.testing.assert_array_equal(drawn[0].rows, again[0].rows)
    assert not all((one.rows == two.rows).all() for one, two in zip(drawn, other, strict=True))
    joined = per_class(sets)
    assert [(each.class_index, len(each.rows)) for each in joined] == [(3, 24), (7, 24)]


def test_features_of_length_zero_stay():
    np.testing.assert_allclose(normalised(np.array([[3.0, 4.0], [0.0, 0.0]])), [[0.6, 0.8], [0.0, 0.0]])


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"penalty": 0.0}, r"`penalty` must be positive, got 0\.0\."),
        ({"folds": 1}, r"`folds` must be at least 2, got 1\."),
        ({"weight_steps": 0}, r"`weight_steps` must be positive, got 0\."),
        ({"seed": -1}, r"`seed` must not be negative, got -1\."),
    ],
)
def test_what_is_out_of_range_is_refused(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        SpecializeConfig(**options)
