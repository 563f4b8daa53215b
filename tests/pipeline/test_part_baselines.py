import numpy as np
import pytest
import toys
from sklearn.metrics import adjusted_rand_score

from vissum_jax.analysis.segments import SegmentConfig, bounding_boxes, segments
from vissum_jax.pipeline.part_baselines import BASELINES, BaselineConfig, Grouping, group_anew

CONFIG = BaselineConfig(segments=SegmentConfig(resolutions=(4, 9)))
SIDE = toys.SIDE // 2


def corners():
    """Six photographs with a red, a green, a blue and a grey corner, in changing places."""
    random = np.random.default_rng(0)
    photographs = np.full((6, toys.SIDE, toys.SIDE, 3), 90, np.uint8)
    places = np.zeros((6, 4), int)
    for row in range(6):
        places[row] = random.permutation(4)
        for colour in range(3):
            y, x = divmod(places[row, colour], 2)
            photographs[row, y * SIDE : (y + 1) * SIDE, x * SIDE : (x + 1) * SIDE, colour] = 220 + row
    return photographs, places


def members(labels, images, places):
    boxes = [(SIDE * (place % 2), SIDE * (place // 2), SIDE, SIDE) for place in places]
    return Grouping(images=np.array(images), boxes=np.array(boxes), labels=np.array(labels))


@pytest.fixture(scope="module")
def photographs():
    return corners()[0]


@pytest.fixture(scope="module")
def colours():
    """Members: the coloured corners of the first five photographs, in summaries that mix them up."""
    places = corners()[1][:5, :3]
    return members(np.arange(15) % 5 % 3, np.repeat(np.arange(5), 3), places.ravel())


def grouped(photographs, told, names=BASELINES, config=CONFIG, classifier=None):
    done = []
    classifier = classifier or toys.make_classifier()
    found = group_anew(classifier, photographs, told, names, config, batch_size=4, progress=done.append)
    assert sum(done) == len(np.unique(told.images))
    return found


@pytest.mark.parametrize("name", ["k_means", "agglomerative", "craft"])
def test_members_that_look_alike_to_the_network_are_together(photographs, colours, name):
    found = grouped(photographs, colours, [name])[name]
    assert adjusted_rand_score(np.arange(15) % 3, found.labels) == 1.0
    np.testing.assert_array_equal(found.boxes, colours.boxes)
    np.testing.assert_array_equal(found.images, colours.images)


def test_superpixels_of_the_members_photographs_are_grouped_one_an_image(photographs, colours):
    found = grouped(photographs, colours)["ace"]
    assert set(found.images) <= set(range(5)), "the sixth photograph has no member"
    assert len(set(zip(found.images.tolist(), found.labels.tolist(), strict=True))) == len(found.labels)
    assert set(found.labels) <= {0, 1, 2}
    for image, box in zip(found.images, found.boxes, strict=True):
        assert box.tolist() in bounding_boxes(segments(photographs[image], CONFIG.segments)).tolist()


def test_there_are_as_many_groups_as_summaries(photographs, colours):
    for count in (1, 2, 3):
        told = colours.relabelled(10 + np.arange(15) % count)
        for name, found in grouped(photographs, told).items():
            assert len(np.unique(found.labels)) == count, name


def test_the_same_gives_the_same(photographs, colours):
    first, second = grouped(photographs, colours), grouped(photographs, colours)
    for name in BASELINES:
        np.testing.assert_array_equal(first[name].labels, second[name].labels)
        np.testing.assert_array_equal(first[name].boxes, second[name].boxes)


def test_only_what_is_asked_for_is_computed(photographs, colours):
    assert list(grouped(photographs, colours, ("craft", "k_means"))) == ["craft", "k_means"]
    assert grouped(photographs, colours, ()) == {}


def test_one_summary_of_one_member_is_a_group(photographs):
    found = grouped(photographs, members([4], [2], [1]))
    assert all(len(np.unique(grouping.labels)) == 1 for grouping in found.values())


def test_more_summaries_than_superpixels_is_said(photographs, colours):
    config = BaselineConfig(segments=SegmentConfig(resolutions=(1,)))
    told = members(np.arange(8), [0] * 8, [0, 1, 2, 3] * 2)
    found = grouped(photographs, told, ["ace"], config)["ace"]
    assert found.reason == "1 superpixels, fewer than the class's 8 summaries"
    assert len(found.labels) == 0


def test_a_network_that_answers_nan_has_no_groups(photographs, colours):
    found = grouped(photographs, colours, classifier=toys.make_classifier(threshold=float("nan")))
    for name, grouping in found.items():
        what = "superpixel" if name == "ace" else "crop"
        assert grouping.reason == f"the network answers NaN or infinity for a {what}"


def test_negative_features_have_no_factors_but_other_groups(photographs, colours):
    found = grouped(photographs, colours, classifier=toys.make_classifier(gain=-300.0))
    assert found["craft"].reason == "the network's features are negative in places: no non-negative factors"
    assert adjusted_rand_score(np.arange(15) % 3, found["k_means"].labels) == 1.0
