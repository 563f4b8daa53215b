import dataclasses
from collections import defaultdict

import numpy as np
import pytest
import toys

import vissum_jax as vs
from vissum_jax.masks.config import preset
from vissum_jax.pipeline import memory
from vissum_jax.types import MaskStatus

CLASSES = (0, 1)
EACH = 5


@pytest.fixture(scope="module")
def classifier():
    return toys.make_classifier()


@pytest.fixture(scope="module")
def images():
    """Five red, five green, and two of noise alone."""
    noise = np.random.default_rng(0).integers(110, 130, (2, toys.SIDE, toys.SIDE, 3), dtype=np.uint8)
    blobs = [toys.photograph(class_index, seed) for class_index in CLASSES for seed in range(EACH)]
    return np.concatenate([np.stack(blobs), noise])


LABELS = np.repeat([0, 1, 0], [EACH, EACH, 2])


@pytest.fixture(scope="module")
def masks(classifier, images):
    return vs.extract_masks(classifier, images, class_index=LABELS, config=toys.mask_config())


@pytest.fixture(scope="module")
def summaries(classifier, images, masks):
    return vs.summarize(classifier, images, masks, configs=toys.stage_configs())


def described(result, order=None):
    """A class's summaries as a set, whatever the order of images; ``order[i]`` is what image i was called."""
    name = (lambda image: image) if order is None else (lambda image: int(order[image]))
    return {
        (
            summary.kept,
            summary.reason,
            frozenset((name(m.image), m.box, m.exemplar, m.kept) for m in summary.members),
        )
        for summary in result.summaries
    }


def test_each_image_gets_a_mask_or_a_reason(masks):
    assert masks.status[: 2 * EACH] == (MaskStatus.OK,) * (2 * EACH)
    assert masks.status[2 * EACH :] == (MaskStatus.SKIPPED_PREDICTION,) * 2
    assert masks.components[: 2 * EACH].min() >= 1


def test_the_regions_of_a_mask_are_counted_with_their_corners():
    mask = np.zeros((6, 6), bool)
    mask[[0, 1, 5], [0, 1, 5]] = True
    assert memory.count_regions(mask) == 2


def test_one_label_may_stand_for_all(classifier, images, masks):
    found = vs.extract_masks(classifier, images[:EACH], class_index=0, config=toys.mask_config())
    np.testing.assert_array_equal(found.salient, masks.salient[:EACH])


def test_a_preset_is_looked_up_by_name(classifier, images, monkeypatch):
    asked = []
    monkeypatch.setattr(memory, "extract", lambda *args, **options: asked.append((args[3], options["batch_size"])))
    vs.extract_masks(classifier, images)
    vs.extract_masks(classifier, images, preset="iebb", batch_size=3)
    assert asked == [(preset("compact"), memory.default_batch_size()), (preset("iebb"), 3)]
    with pytest.raises(ValueError, match=r"^unknown preset 'ieb': did you mean 'iebb'\?"):
        vs.extract_masks(classifier, images, preset="ieb")


def test_a_batch_of_no_images_is_refused(classifier, images):
    with pytest.raises(ValueError, match=r"^`batch_size` must be at least 1, got 0\.$"):
        vs.extract_masks(classifier, images, batch_size=0)


def test_every_blob_is_found_as_a_part(summaries):
    assert [result.class_index for result in summaries.classes] == list(CLASSES)
    for result in summaries.classes:
        assert result.kept
        assert result.reason == ""
        for summary in result.kept:
            assert len({member.image for member in summary.kept_members}) >= 3


def test_members_count_within_their_class_and_lie_on_its_masks(summaries, masks):
    for result in summaries.classes:
        rows = np.flatnonzero(result.class_index == LABELS)
        for summary in result.summaries:
            for member in summary.members:
                x, y, w, h = member.box
                inside = masks.salient[rows[member.image]][y : y + h, x : x + w]
                assert inside.mean() > toys.stage_configs().proposals.salient_fill


def test_the_diagnostics_count_images_with_a_mask_and_boxes_before_pruning(summaries):
    red = summaries.classes[0].diagnostics
    assert red.images == EACH, "the two of noise have no mask"
    assert red.proposals >= red.clustered >= len({m for s in summaries.classes[0].summaries for m in s.members})


def test_boxes_removed_as_redundant_are_counted(classifier, images, masks):
    rows = np.arange(EACH)
    loose = dataclasses.replace(toys.stage_configs().proposals, redundancy_overlap=0.01, redundancy_area_ratio=50.0)
    configs = dataclasses.replace(toys.stage_configs(), proposals=dataclasses.replace(loose, salient_fill=0.2))
    (result,) = vs.summarize(classifier, images[rows], masks.select(rows), configs=configs).classes
    assert result.diagnostics.proposals > result.diagnostics.clustered > 0


def test_the_order_of_the_images_changes_nothing_but_the_order(classifier, images, summaries):
    order = np.random.default_rng(3).permutation(len(images))
    masks = vs.extract_masks(classifier, images[order], class_index=LABELS[order], config=toys.mask_config())
    shuffled = vs.summarize(classifier, images[order], masks, configs=toys.stage_configs())
    for actual, expected in zip(shuffled.classes, summaries.classes, strict=True):
        assert actual.class_index == expected.class_index
        first = np.flatnonzero(expected.class_index == LABELS)
        position = {row: number for number, row in enumerate(first)}
        names = [position[row] for row in order[LABELS[order] == expected.class_index]]
        assert described(actual, names) == described(expected)


def test_a_class_without_any_mask_says_so(classifier, images, masks):
    rows = np.array([10, 11])
    (result,) = vs.summarize(classifier, images[rows], masks.select(rows), configs=toys.stage_configs()).classes
    assert result.summaries == ()
    assert result.reason == "no image of the class has a mask"
    assert result.diagnostics.images == 0


def test_one_image_makes_no_summary_and_says_why(classifier, images, masks):
    (result,) = vs.summarize(classifier, images[:1], masks.select(np.array([0])), configs=toys.stage_configs()).classes
    assert result.kept == ()
    assert result.reason == "1 image(s) with salient proposals, a summary needs 3"


def test_images_of_no_class_are_in_no_summary(images, tmp_path):
    """Without labels, an image that breaks the network has no class."""
    breaks = toys.make_classifier(breaks_above=16.0)
    masks = vs.extract_masks(breaks, images[:7], config=toys.mask_config())
    assert masks.class_index.tolist() == [-1] * 5 + [1] * 2
    found = vs.summarize(breaks, images[:7], masks, configs=toys.stage_configs())
    assert [result.class_index for result in found.classes] == [1]
    assert found.report(tmp_path / "report").exists()


def test_masks_must_belong_to_the_images(classifier, images, masks):
    with pytest.raises(ValueError, match=r"^`masks` must be one for each of the 3 images, got 12\.$"):
        vs.summarize(classifier, images[:3], masks)


def test_images_must_fit_the_network(classifier, images, masks):
    with pytest.raises(ValueError, match=r"^`images` must be uint8 \(n, 64, 64, 3\) for 'toy', got uint8 \(12, 63,"):
        vs.summarize(classifier, images[:, 1:], masks)


def test_the_report_shows_every_class_and_every_image(summaries, tmp_path):
    page = summaries.report(tmp_path / "report")
    assert page == tmp_path / "report" / "index.html"
    overview = page.read_text(encoding="utf-8")
    for result in summaries.classes:
        assert toys.CLASSES[result.class_index] in overview
        shown = (tmp_path / "report" / "classes" / str(result.class_index) / "index.html").read_text(encoding="utf-8")
        files = [f"image {row}" for row in np.flatnonzero(result.class_index == LABELS)]
        assert all(file in shown for file in files)


def test_progress_adds_up(classifier, images):
    progress = toys.Recorder()
    masks = vs.extract_masks(classifier, images, class_index=LABELS, config=toys.mask_config(), progress=progress)
    found = vs.summarize(classifier, images, masks, configs=toys.stage_configs(), progress=progress)
    progress.assert_complete()
    totals = defaultdict(list)
    for stage, total, _ in progress.stages:
        totals[stage].append(total)
    pairs = EACH * (EACH + 1) // 2
    kept = [sum(len(summary.kept_members) for summary in result.kept) for result in found.classes]
    assert totals == {"masks": [12], "proposals": [EACH, EACH], "matches": [pairs, pairs], "importance": kept}


def stable_configs():
    """The toys' configuration with everything that is optional and seeded."""
    configs = toys.stage_configs()
    return dataclasses.replace(
        configs, summaries=dataclasses.replace(configs.summaries, stability_repeats=3, member_similarity=0.1)
    )


def measured(result, order=None):
    """A class's summaries in their order, with all figures, members by the image's name."""
    name = (lambda image: image) if order is None else (lambda image: int(order[image]))
    return [
        (
            (summary.number, summary.kept, summary.reason, summary.ssim, summary.importance, summary.stability),
            [(name(m.image), m.box, m.rank, m.similarity, m.ssim, m.exemplar, m.kept) for m in summary.members],
        )
        for summary in result.summaries
    ]


def test_the_same_input_gives_the_same_summaries_to_the_last_digit_in_any_order(classifier, images, masks):
    rows = np.arange(EACH)
    first, again = (
        vs.summarize(classifier, images[rows], masks.select(rows), configs=stable_configs()).classes[0]
        for _ in range(2)
    )
    assert repr(first) == repr(again)
    assert all(np.isfinite([summary.importance, summary.stability]).all() for summary in first.kept)
    for seed in range(2):
        order = np.random.default_rng(seed).permutation(EACH)
        (shuffled,) = vs.summarize(classifier, images[order], masks.select(order), configs=stable_configs()).classes
        assert repr(measured(shuffled, order)) == repr(measured(first))
        assert repr(shuffled.diagnostics) == repr(first.diagnostics)


def without(masks, rows):
    """The same masks, empty in some rows."""
    salient = masks.salient.copy()
    salient[rows] = False
    return dataclasses.replace(masks, salient=salient)


def test_empty_masks_are_a_reason(classifier, images, masks):
    rows = np.arange(EACH)
    empty = without(masks.select(rows), rows)
    (result,) = vs.summarize(classifier, images[rows], empty, configs=stable_configs()).classes
    assert result.summaries == ()
    assert result.reason == "no proposal lies within the salient part of any image"
    assert (result.diagnostics.images, result.diagnostics.proposals) == (EACH, 0)


def test_images_without_a_salient_proposal_are_left_out_of_the_summaries(classifier, images, masks):
    rows = np.arange(EACH)
    some = without(masks.select(rows), [1])
    (result,) = vs.summarize(classifier, images[rows], some, configs=stable_configs()).classes
    assert result.kept
    assert 1 not in {member.image for summary in result.summaries for member in summary.members}


def test_images_without_any_proposal_are_a_reason(classifier, images, masks):
    """Boxes may be no smaller than the image, and then there is none."""
    configs = stable_configs()
    configs = dataclasses.replace(configs, proposals=dataclasses.replace(configs.proposals, min_side=toys.SIDE + 1))
    (result,) = vs.summarize(classifier, images[:3], masks.select(np.arange(3)), configs=configs).classes
    assert result.summaries == ()
    assert result.reason == "no proposal lies within the salient part of any image"


@pytest.mark.parametrize("warp", ["simple", "flow"])
def test_identical_images_are_alike_and_no_error(classifier, images, masks, warp):
    rows = np.zeros(4, int)
    configs = stable_configs()
    configs = dataclasses.replace(configs, summaries=dataclasses.replace(configs.summaries, warp=warp))
    (result,) = vs.summarize(classifier, images[rows], masks.select(rows), configs=configs).classes
    assert result.kept
    for summary in result.kept:
        assert {member.image for member in summary.kept_members} == set(range(4))
        assert len({member.box for member in summary.kept_members}) == 1


def test_clustering_that_does_not_converge_is_a_reason(classifier, images, masks):
    configs = stable_configs()
    hasty = dataclasses.replace(configs.summaries, max_iterations=2, retries=1)
    configs = dataclasses.replace(configs, summaries=hasty)
    rows = np.arange(EACH)
    (result,) = vs.summarize(classifier, images[rows], masks.select(rows), configs=configs).classes
    assert result.summaries == ()
    assert result.reason == "affinity propagation did not converge in 2 iterations with damping up to 0.95"
