import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from vissum_jax.masks import extract as module
from vissum_jax.masks.config import PhaseConfig, PhasedConfig
from vissum_jax.masks.extract import extract
from vissum_jax.types import HAS_MASK, MaskBatch, MaskStatus

CONFIG = toys.mask_config()
BATCH = 8  # as whole runs do, whose compiled programs these tests share
MEASURES = ("p_original", "p_soft", "p_binary", "area", "transfer_drop")
SEARCHED = ("p_soft", "p_binary", "area", "transfer_drop")


@pytest.fixture(scope="module")
def classifier():
    return toys.make_classifier()


@pytest.fixture(scope="module")
def images():
    """Two red, two green, two blue, and one of noise alone, which the network calls so."""
    noise = np.random.default_rng(0).integers(110, 130, (1, toys.SIDE, toys.SIDE, 3), dtype=np.uint8)
    blobs = [toys.photograph(class_index, seed) for class_index in range(3) for seed in range(2)]
    return np.concatenate([np.stack(blobs), noise])


LABELS = np.array([0, 0, 1, 1, 2, 2, 0])


def find(classifier, images, labels=LABELS, config=CONFIG, **options) -> MaskBatch:
    options = {"batch_size": BATCH, "count_regions": lambda mask: 7, **options}
    return extract(classifier, images, labels, config, **options)


@pytest.fixture(scope="module")
def masks(classifier, images):
    return find(classifier, images)


def assert_same(actual: MaskBatch, expected: MaskBatch):
    for name, value in vars(expected).items():
        if isinstance(value, tuple):
            assert getattr(actual, name) == value, name
        else:
            np.testing.assert_allclose(getattr(actual, name), value, rtol=1e-5, atol=1e-6, err_msg=name)


def test_every_image_that_is_answered_rightly_gets_a_mask_that_works(masks):
    assert masks.status[:6] == (MaskStatus.OK,) * 6
    assert masks.reason[:6] == ("",) * 6
    assert np.all(masks.drop_binary[:6] >= CONFIG.target_drop)
    assert np.all(masks.area[:6] < 0.5)
    assert masks.has_mask.tolist() == [True] * 6 + [False]


def test_statuses_are_statuses_and_not_just_text(masks):
    assert all(type(status) is MaskStatus for status in masks.status)


def test_the_numbers_fit_the_masks(masks):
    np.testing.assert_array_equal(masks.salient, masks.soft < 0.5)
    np.testing.assert_allclose(masks.area[:6], masks.salient[:6].mean(axis=(1, 2)), rtol=1e-6)
    assert masks.soft.min() >= 0
    assert masks.soft.max() <= 1
    assert masks.predicted_index.tolist() == [0, 0, 1, 1, 2, 2, 3]
    assert masks.class_index.tolist() == LABELS.tolist()
    assert masks.components.tolist() == [7] * 6 + [0], "as many regions as the caller counts; none without a mask"
    assert np.all(masks.passes[:6] > 0)


def test_the_scores_are_those_of_the_class_on_the_clean_image(masks, classifier, images):
    logits = classifier(jnp.asarray(images, jnp.float32) / 255).logits
    expected = np.asarray(jax.nn.softmax(logits))[np.arange(len(images)), LABELS]
    np.testing.assert_allclose(masks.p_original, expected, rtol=1e-4)


def test_a_mispredicted_image_is_skipped_and_says_why(masks):
    assert masks.status[6] is MaskStatus.SKIPPED_PREDICTION
    assert masks.reason[6].startswith("the network answers grey noise (p = 0.9")
    assert not masks.salient[6].any()
    assert np.all(masks.soft[6] == 1)
    assert all(np.isnan(getattr(masks, name)[6]) for name in SEARCHED)
    assert 0 < masks.p_original[6] < 0.1
    assert masks.passes[6] == 0


def test_a_skipped_image_costs_no_search(classifier, images, monkeypatch):
    searched = []
    search = module.solve_in_slots
    monkeypatch.setattr(
        module, "solve_in_slots", lambda *args, **options: searched.append(len(args[1])) or search(*args, **options)
    )
    find(classifier, images)
    assert searched == [6], "the seventh is not among them"


def test_asked_to_a_mispredicted_image_is_explained_too(classifier, images):
    masks = find(classifier, images, skip_mispredicted=False)
    assert masks.status[6] in HAS_MASK
    assert masks.predicted_index[6] == 3
    assert masks.class_index[6] == 0


def test_without_labels_the_networks_own_answer_is_explained(classifier, images, masks):
    own = find(classifier, images, labels=None)
    assert own.class_index.tolist() == own.predicted_index.tolist() == [0, 0, 1, 1, 2, 2, 3]
    assert own.has_mask.all()
    np.testing.assert_array_equal(own.salient[:6], masks.salient[:6])


def test_the_order_of_the_images_changes_nothing_but_the_order(classifier, images, masks):
    order = np.array([6, 3, 0, 5, 2, 4, 1])
    assert_same(find(classifier, images[order], LABELS[order]), masks.select(order))


def test_the_batch_size_changes_nothing_but_rounding(classifier, images, masks):
    found = find(classifier, images, batch_size=4)  # one full batch, one that is filled up
    assert found.status == masks.status
    np.testing.assert_array_equal(found.passes, masks.passes)
    np.testing.assert_allclose(found.p_original, masks.p_original, rtol=1e-5)
    # Another program rounds otherwise, which moves single pixels across the edge of a mask.
    assert np.mean(found.salient != masks.salient) < 1e-3


def test_unreadable_rows_are_passed_over(classifier, images, masks):
    gone = images.copy()
    gone[2] = 0
    found = find(classifier, gone, unreadable={2: "not a picture"})
    assert found.status[2] is MaskStatus.UNREADABLE
    assert found.reason[2] == "not a picture"
    assert found.predicted_index[2] == -1
    assert all(np.isnan(getattr(found, name)[2]) for name in MEASURES)
    assert not found.salient[2].any()
    rest = np.array([0, 1, 3, 4, 5, 6])
    assert_same(found.select(rest), masks.select(rest))


def test_nothing_readable_is_no_error(classifier, images):
    found = find(classifier, images[:2], LABELS[:2], unreadable={0: "a", 1: "b"})
    assert found.status == (MaskStatus.UNREADABLE,) * 2
    assert np.isnan(found.p_original).all()


def test_no_images_are_no_error(classifier, images):
    assert len(find(classifier, images[:0], LABELS[:0])) == 0


@pytest.mark.parametrize("labels", [LABELS, None])
def test_an_image_that_breaks_the_network_is_told_apart(images, masks, labels):
    found = find(toys.make_classifier(breaks_above=16.0), images, labels)
    assert found.status[:2] == (MaskStatus.NON_FINITE,) * 2
    assert found.reason[0] == "the network answers NaN or infinity"
    assert found.predicted_index[:2].tolist() == [-1, -1]
    assert np.isnan(found.p_original[:2]).all()
    assert not found.salient[:2].any()
    assert_same(found.select(np.arange(2, 6)), masks.select(np.arange(2, 6)))


def test_a_network_that_breaks_under_a_mask_leaves_no_mask(images):
    found = find(toys.make_classifier(breaks_below=2.0), images[:6], LABELS[:6])
    broken = np.array([status is MaskStatus.NON_FINITE for status in found.status])
    assert broken.any()
    assert found.reason[int(np.argmax(broken))] == "the network answers NaN or infinity under a mask"
    assert not found.salient[broken].any()
    assert np.all(found.soft[broken] == 1)
    assert all(np.isnan(getattr(found, name)[broken]).all() for name in SEARCHED)
    assert (found.components[broken] == 0).all()


def test_a_target_that_no_mask_reaches_is_flagged_with_the_best_found(images):
    found = find(toys.make_classifier(gain=0.0), images[:2], np.array([3, 3]))  # sees grey noise everywhere
    assert found.status == (MaskStatus.INFEASIBLE,) * 2
    assert found.reason[0].startswith("no mask reached a drop of 0.99; the best found drops ")
    assert found.has_mask.all()
    np.testing.assert_allclose(found.drop_binary, 0, atol=1e-3)


def test_a_class_of_probability_zero_has_no_drop_and_says_so(images):
    found = find(toys.make_classifier(scale=1000.0), images[:2], np.array([1, 0]), skip_mispredicted=False)
    assert found.status == (MaskStatus.NON_FINITE, MaskStatus.OK)
    assert found.reason[0] == "the class's probability is 0: no mask can lower it"
    assert found.p_original[0] == 0
    assert not found.salient[0].any()
    assert np.isnan(found.drop_binary[0])


def test_the_papers_family_goes_the_same_way(classifier, images):
    config = PhasedConfig(
        name="short",
        phases=(PhaseConfig(iterations=20, area_weight=0.01, tv_weight=1e-4, crisp_weight=0.0, grid=8),),
    )
    found = find(classifier, images, config=config)
    assert found.status == (*(MaskStatus.OK,) * 6, MaskStatus.SKIPPED_PREDICTION)
    assert np.isfinite(found.p_binary[:6]).all()


def test_progress_adds_up_to_the_images(classifier, images):
    calls = []
    find(classifier, images, unreadable={0: "gone"}, progress=calls.append)
    assert sum(calls) == len(images)
    assert all(count >= 0 for count in calls)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda images: images.astype(np.float32), r"uint8 \(n, 64, 64, 3\) for 'toy', got float32 \(7, 64, 64, 3\)\."),
        (lambda images: images[:, :32], r"uint8 \(n, 64, 64, 3\) for 'toy', got uint8 \(7, 32, 64, 3\)\."),
        (lambda images: images[0], r"uint8 \(n, 64, 64, 3\) for 'toy', got uint8 \(64, 64, 3\)\."),
    ],
)
def test_images_that_do_not_fit_the_network_are_refused(classifier, images, change, message):
    with pytest.raises(ValueError, match=f"^`images` must be {message}$"):
        find(classifier, change(images))


@pytest.mark.parametrize("wrong", [4, -1])
def test_a_class_that_the_network_does_not_have_is_refused(classifier, images, wrong):
    labels = LABELS.copy()
    labels[3] = wrong
    with pytest.raises(ValueError, match=r"^`class_index` must be in 0\.\.3, got "):
        find(classifier, images, labels)


@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_holds_at_least_one_image(classifier, images, size):
    with pytest.raises(ValueError, match=rf"^`batch_size` must be at least 1, got {size}\.$"):
        find(classifier, images, batch_size=size)


def test_one_label_for_each_image(classifier, images):
    with pytest.raises(ValueError, match=r"^`class_index` must be one for each of the 7 images, got 3\.$"):
        find(classifier, images, LABELS[:3])
