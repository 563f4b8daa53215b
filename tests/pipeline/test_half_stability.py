import numpy as np
import pytest
import toys

import vissum_jax as vs
from vissum_jax.analysis.stability import agreement, halves
from vissum_jax.pipeline import memory
from vissum_jax.pipeline.half_stability import half_stability
from vissum_jax.types import MaskStatus

COUNT = 9


@pytest.fixture(scope="module")
def found():
    """Photographs, masks and summaries of a class; the fifth photograph has no mask."""
    images = np.stack([toys.photograph(1, seed) for seed in range(COUNT)])
    classifier = toys.make_classifier()
    masks = vs.extract_masks(classifier, images, class_index=1, config=toys.mask_config())
    status = list(masks.status)
    status[4] = MaskStatus.SKIPPED_PREDICTION
    masks = type(masks)(**{**vars(masks), "status": tuple(status)})
    return classifier, images, masks, summarised(classifier, images, masks)


def summarised(classifier, images, masks):
    (result,) = vs.summarize(classifier, images, masks, configs=toys.stage_configs()).classes
    return result


def test_a_half_is_clustered_as_if_it_were_alone(found):
    classifier, images, masks, result = found
    assert result.kept
    stability = half_stability(
        classifier, images, masks, result, toys.stage_configs(), seed=3, batch_size=4, progress=toys.Recorder()
    )
    rows = memory._by_content(images, masks)
    wanted = []
    for half in halves(len(rows), 3):
        alone = summarised(classifier, images[rows[half]], masks.select(rows[half]))
        # The half counts its own images, the whole class all of them.
        own = [
            type(one)(
                **{
                    **vars(one),
                    "members": tuple(type(m)(**{**vars(m), "image": int(rows[half][m.image])}) for m in one.members),
                }
            )
            for one in alone.summaries
        ]
        wanted.append(agreement(result.summaries, own, set(rows[half].tolist())))
    assert any(half.compared > 1 for half in wanted)
    for half, plain in zip(wanted, stability["halves"], strict=True):
        assert (plain["members"], plain["compared"]) == (half.members, half.compared)
        assert plain["value"] == (pytest.approx(half.value) if np.isfinite(half.value) else None)
    values = [half.value for half in wanted if np.isfinite(half.value)]
    assert stability["value"] == pytest.approx(np.mean(values))
    assert stability["reason"] == ""


def test_a_single_photograph_has_no_halves_to_compare(found):
    classifier, images, masks, result = found
    one = masks.select(np.arange(1))
    progress = toys.Recorder()
    stability = half_stability(
        classifier, images[:1], one, result, toys.stage_configs(), seed=0, batch_size=4, progress=progress
    )
    progress.assert_complete()
    assert (stability["value"], stability["reason"]) == (
        None,
        "no half of the photographs clusters two of the members anew",
    )
