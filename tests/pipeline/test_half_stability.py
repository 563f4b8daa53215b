import dataclasses

import numpy as np
import pytest
import toys

import vissum_jax as vs
from vissum_jax.analysis.stability import halves
from vissum_jax.pipeline import half_stability as module
from vissum_jax.pipeline import memory
from vissum_jax.pipeline.half_stability import half_stability
from vissum_jax.summaries import SummaryConfig
from vissum_jax.types import MaskStatus

COUNT = 9
# Toys look much alike: only with a high preference are there several clusters.
CONFIGS = dataclasses.replace(toys.stage_configs(), summaries=SummaryConfig(preference_factor=0.3))


@pytest.fixture(scope="module")
def found():
    """Photographs, masks and summaries of a class; the fifth photograph has no mask."""
    images = np.stack([toys.photograph(1, seed) for seed in range(COUNT)])
    classifier = toys.make_classifier()
    masks = vs.extract_masks(classifier, images, class_index=1, config=toys.mask_config())
    status = list(masks.status)
    status[4] = MaskStatus.SKIPPED_PREDICTION
    masks = dataclasses.replace(masks, status=tuple(status))
    return classifier, images, masks, summarised(classifier, images, masks)


def summarised(classifier, images, masks):
    (result,) = vs.summarize(classifier, images, masks, configs=CONFIGS).classes
    return result


def stability(classifier, images, masks, result, configs=CONFIGS, seed=3):
    progress = toys.Recorder()
    answer = half_stability(classifier, images, masks, result, configs, seed=seed, batch_size=4, progress=progress)
    progress.assert_complete()
    return answer


def members(result, rows=None):
    """Boxes of each cluster, its exemplar first; images counted in the whole class."""
    return {
        tuple((m.image if rows is None else int(rows[m.image]), m.box) for m in one.members) for one in result.summaries
    }


def test_a_half_is_clustered_as_if_it_were_alone(found, monkeypatch):
    classifier, images, masks, _ = found
    seen = []
    original = module._summarize_some
    monkeypatch.setattr(module, "_summarize_some", lambda *given: seen.append(original(*given)) or seen[-1])
    stability(*found)
    rows = memory.by_content(images, masks)
    for half, clustered in zip(halves(len(rows), 3), seen, strict=True):
        alone = summarised(classifier, images[rows[half]], masks.select(rows[half]))
        assert len(alone.summaries) > 1
        assert members(clustered) == members(alone, rows[half])


def test_every_kept_member_is_compared(found):
    answer = stability(*found)
    assert answer["members"] == sum(len(one.kept_members) for one in found[3].kept) > 2
    assert answer["missing"] == 0
    assert answer["reason"] == ""
    assert -0.5 <= answer["value"] <= 1.0
    assert [half["photographs"] for half in answer["halves"]] == [4, 4]


def test_the_same_halves_give_the_same_and_photographs_may_come_in_any_order(found):
    classifier, images, masks, _ = found
    assert stability(*found) == stability(*found)
    order = np.random.default_rng(0).permutation(COUNT)
    moved = masks.select(order)
    answer = stability(classifier, images[order], moved, summarised(classifier, images[order], moved))
    assert answer["value"] == pytest.approx(stability(*found)["value"])


def test_members_that_are_no_proposals_are_counted(found):
    classifier, images, masks, result = found
    first = result.kept[0]
    strange = dataclasses.replace(first.members[0], box=(1, 1, 3, 3))
    changed = dataclasses.replace(first, members=(strange, *first.members[1:]))
    answer = stability(classifier, images, masks, dataclasses.replace(result, summaries=(changed,)))
    assert answer["missing"] == 1
    assert answer["members"] == len(first.kept_members) - 1


def test_a_single_photograph_has_no_two_halves(found):
    classifier, images, masks, result = found
    answer = stability(classifier, images[:1], masks.select(np.arange(1)), result)
    assert answer["value"] is None
    assert answer["reason"] == (
        "a half of the photographs has no clusters: no proposal lies within the salient part of any image"
    )


def test_halves_that_do_not_converge_have_no_stability(found):
    never = SummaryConfig(max_iterations=2, convergence_iterations=2, retries=0)
    answer = stability(*found, configs=dataclasses.replace(CONFIGS, summaries=never))
    assert answer["value"] is None
    assert "affinity propagation did not converge in 2 iterations" in answer["reason"]


def test_one_member_is_with_or_apart_from_none(found):
    classifier, images, masks, result = found
    first = result.kept[0]
    alone = dataclasses.replace(first, members=first.kept_members[:1])
    answer = stability(classifier, images, masks, dataclasses.replace(result, summaries=(alone,)))
    assert (answer["value"], answer["members"]) == (None, 1)
    assert answer["reason"] == "1 members, and two are needed to be together or apart"
