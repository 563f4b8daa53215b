import dataclasses

import numpy as np
import pytest

from vissum_jax.summaries import (
    SummaryConfig,
    kept_members,
    near_exemplar,
    numbered,
    one_box_per_image,
    summarize_class,
)

CONFIG = SummaryConfig()
SIDE = 64


def scenes(count=6, seed=2):
    """Photographs with the same two parts, a chequered one on the left and a striped one on the right."""
    rng = np.random.default_rng(seed)
    images = rng.integers(100, 156, (count, SIDE, SIDE, 3))
    y, x = np.mgrid[:24, :24]
    chequered, striped = ((x // 6 + y // 6) % 2) * 190, ((x // 6) % 2) * 190
    for image in images:
        image[20:44, 4:28] = chequered[..., None] + rng.integers(0, 60, (24, 24, 3))
        image[20:44, 36:60] = striped[..., None] + rng.integers(0, 60, (24, 24, 3))
    return images.astype(np.uint8)


def scene_boxes(count=6):
    """Both parts of every scene, and how alike they are."""
    boxes = np.array([[4, 20, 24, 24], [36, 20, 24, 24]] * count)
    image_ids = np.repeat(np.arange(count), 2)
    part = np.tile([0, 1], count)
    rng = np.random.default_rng(1)
    noise = rng.uniform(0, 1, (2 * count, 2 * count))
    similarity = 10.0 * (part[:, None] == part[None]) + noise + noise.T + 2 * np.eye(2 * count)
    return similarity.astype(np.float32), boxes, image_ids


def test_parts_become_summaries():
    similarity, boxes, image_ids = scene_boxes()
    config = SummaryConfig(member_consistency=0.9)
    result = summarize_class(scenes(), 7, similarity, boxes, image_ids, config, proposals=99)
    assert result.class_index == 7
    assert result.reason == ""
    assert [len(summary.members) for summary in result.kept] == [6, 6]
    for number, summary in enumerate(result.summaries):
        assert summary.number == number
        assert len({member.box for member in summary.members}) == 1
        assert sorted(member.image for member in summary.members) == list(range(6))
        assert [member.rank for member in summary.members] == list(range(6))
        assert [member.exemplar for member in summary.members] == [True] + [False] * 5
        falling = [member.similarity for member in summary.members[1:]]
        assert falling == sorted(falling, reverse=True)
    diagnostics = result.diagnostics
    assert (diagnostics.images, diagnostics.proposals, diagnostics.clustered) == (6, 99, 12)
    assert diagnostics.converged
    assert diagnostics.similarity_max == similarity.max()
    assert diagnostics.similarity_median == pytest.approx(np.median(similarity))
    assert diagnostics.global_ssim == pytest.approx(np.median([s.ssim for s in result.summaries]))


def test_a_consistent_cluster_that_loses_its_members_is_dropped_and_says_so():
    """Both parts look alike everywhere, one a little less: its members all fall below G."""
    similarity, boxes, image_ids = scene_boxes()
    result = summarize_class(scenes(), 7, similarity, boxes, image_ids, CONFIG)
    assert [summary.kept for summary in result.summaries] == [True, False]
    assert result.summaries[1].ssim > 0.9 * result.diagnostics.global_ssim
    assert result.summaries[1].reason == "0 of 6 members pass the member rule, fewer than 3"


def test_a_cluster_that_looks_inconsistent_is_dropped_and_says_so():
    similarity, boxes, image_ids = scene_boxes()
    images = scenes()
    images[:, 20:44, 36:60] = np.random.default_rng(2).integers(0, 256, (6, 24, 24, 3))
    result = summarize_class(images, 0, similarity, boxes, image_ids, CONFIG)
    assert [summary.kept for summary in result.summaries] == [True, False]
    assert result.summaries[1].reason.startswith("median SSIM ")
    assert result.summaries[1].members[0].box == (36, 20, 24, 24)


def test_one_bad_member_is_dropped_from_a_good_summary():
    similarity, boxes, image_ids = scene_boxes()
    images = scenes()
    images[3, 20:44, 4:28] = np.random.default_rng(2).integers(0, 256, (24, 24, 3))
    result = summarize_class(images, 0, similarity, boxes, image_ids, CONFIG)
    chequered = next(s for s in result.summaries if s.members[0].box[0] == 4)
    assert {member.image for member in chequered.members if not member.kept} >= {3}
    assert next(m for m in chequered.members if m.image == 3).ssim < 0.3


def test_permuting_the_boxes_changes_nothing():
    similarity, boxes, image_ids = scene_boxes()
    order = np.random.default_rng(0).permutation(12)
    straight = summarize_class(scenes(), 0, similarity, boxes, image_ids, CONFIG)
    shuffled = summarize_class(scenes(), 0, similarity[np.ix_(order, order)], boxes[order], image_ids[order], CONFIG)
    as_sets = [{tuple((m.image, m.box, m.kept) for m in s.members) for s in r.kept} for r in (straight, shuffled)]
    assert as_sets[0] == as_sets[1]


def test_one_box_per_image_by_similarity_to_the_exemplar():
    image_ids = np.array([0, 0, 1, 1, 2])
    similarity = np.zeros((5, 5))
    similarity[1] = [9, 10, 3, 4, 5]
    np.testing.assert_array_equal(one_box_per_image(np.arange(5), 1, similarity, image_ids), [1, 4, 3])


def test_the_member_rule_counts_similarities_below_the_threshold():
    nan = float("nan")
    ssim = np.array([[nan, 1, 1], [0, nan, 1], [0, 0, nan], [0, 0, 1]], dtype=float)
    np.testing.assert_array_equal(kept_members(ssim, 0.5, CONFIG), [True, True, False, False])
    np.testing.assert_array_equal(kept_members(ssim, 0.5, SummaryConfig(member_share=0.7)), [True, True, False, True])
    np.testing.assert_array_equal(kept_members(np.array([[nan]]), 0.5, CONFIG), [False])


def test_members_far_below_the_best_match_are_dropped_on_request():
    scores = np.array([50.0, 10.0, 6.0, 4.9, 0.0])
    np.testing.assert_array_equal(near_exemplar(scores, SummaryConfig(member_similarity=0.5)), [1, 1, 1, 0, 0])
    assert near_exemplar(scores, SummaryConfig(member_similarity=0.0)).all()
    assert near_exemplar(scores[:1], SummaryConfig(member_similarity=0.5)).all()
    assert near_exemplar(np.array([0.0, 3.0]), SummaryConfig(member_similarity=1.0)).all()


def test_a_summary_without_its_far_members_has_fewer():
    """One image's parts are less like all others, but still like nothing else."""
    similarity, boxes, image_ids = scene_boxes()
    far = np.flatnonzero(image_ids == 3)
    similarity[far], similarity[:, far] = 0.4 * similarity[far], 0.4 * similarity[:, far]
    kept = {}
    for share in (0.0, 0.6):
        config = SummaryConfig(member_consistency=0.5, member_similarity=share)
        summaries = summarize_class(scenes(), 7, similarity, boxes, image_ids, config).kept
        kept[share] = [{member.image for member in summary.kept_members} for summary in summaries]
    assert kept == {0.0: [set(range(6))] * 2, 0.6: [{0, 1, 2, 4, 5}] * 2}


def test_numbers_follow_importance_among_what_is_kept():
    similarity, boxes, image_ids = scene_boxes()
    found = summarize_class(scenes(), 7, similarity, boxes, image_ids, SummaryConfig(member_consistency=0.9)).summaries
    first, second = (dataclasses.replace(s, number=-1) for s in found)
    dropped = dataclasses.replace(first, kept=False, importance=0.9)
    small = dataclasses.replace(first, members=first.members[:3], importance=float("nan"))
    ranked = numbered(
        [dropped, small, dataclasses.replace(first, importance=0.1), dataclasses.replace(second, importance=0.7)]
    )
    assert [summary.number for summary in ranked] == [0, 1, 2, 3]
    np.testing.assert_array_equal([summary.importance for summary in ranked], [0.7, 0.1, np.nan, 0.9])
    assert [summary.kept for summary in ranked] == [True, True, True, False]


def nothing(count=0):
    return np.zeros((count, count), np.float32), np.zeros((count, 4), np.int32), np.zeros(count, int)


def test_no_proposals_is_a_reason():
    result = summarize_class(scenes(), 3, *nothing(), CONFIG)
    assert result.summaries == ()
    assert result.reason == "no proposal lies within the salient part of any image"
    assert result.diagnostics.clustered == 0


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_images_are_a_reason(count):
    similarity, boxes, image_ids = scene_boxes(count)
    result = summarize_class(scenes(count), 3, similarity, boxes, image_ids, CONFIG)
    assert result.kept == ()
    assert all(summary.reason for summary in result.summaries)
    assert result.reason == f"{count} image(s) with salient proposals, a summary needs 3"


def test_identical_images_are_one_summary():
    images = np.repeat(scenes(1), 4, axis=0)
    boxes = np.array([[4, 20, 24, 24]] * 4)
    result = summarize_class(images, 3, np.full((4, 4), 5.0, np.float32), boxes, np.arange(4), CONFIG)
    assert [len(summary.kept_members) for summary in result.kept] == [4]
    assert result.kept[0].ssim == pytest.approx(1, abs=1e-4)


def test_no_convergence_is_a_reason():
    similarity, boxes, image_ids = scene_boxes()
    config = SummaryConfig(max_iterations=2, retries=1)
    result = summarize_class(scenes(), 3, similarity, boxes, image_ids, config)
    assert result.summaries == ()
    assert result.reason == "affinity propagation did not converge in 2 iterations with damping up to 0.95"
    assert not result.diagnostics.converged


def test_scores_that_are_no_numbers_are_a_reason():
    similarity, boxes, image_ids = scene_boxes()
    similarity[2, 3] = np.nan
    result = summarize_class(scenes(), 3, similarity, boxes, image_ids, CONFIG)
    assert result.reason == "the match scores are not finite"


def test_boxes_too_small_to_compare_are_dropped_and_say_so():
    similarity, boxes, image_ids = scene_boxes()
    boxes[:, 2:] = 8
    result = summarize_class(scenes(), 3, similarity, boxes, image_ids, CONFIG)
    assert result.kept == ()
    assert result.reason == "none of 2 clusters is large and consistent enough"


def test_arrays_that_do_not_belong_together_are_refused():
    similarity, boxes, image_ids = scene_boxes()
    with pytest.raises(
        ValueError,
        match=r"^`similarity` and `image_ids` must belong to `boxes`, got shapes "
        r"\(12, 12\), \(12,\) and \(5, 4\)\.$",
    ):
        summarize_class(scenes(), 3, similarity, boxes[:5], image_ids, CONFIG)


def test_the_flow_warp_finds_the_same_parts():
    similarity, boxes, image_ids = scene_boxes()
    config = SummaryConfig(warp="flow", member_consistency=0.9)
    result = summarize_class(scenes(), 7, similarity, boxes, image_ids, config)
    assert [len(summary.kept_members) for summary in result.kept] == [6, 6]
