import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from vissum_jax.types import (
    HAS_MASK,
    ClassifierSpec,
    ClassSummaries,
    ClusterDiagnostics,
    MaskBatch,
    MaskStatus,
    Member,
    Summary,
)


def spec(**values) -> ClassifierSpec:
    return ClassifierSpec(
        **{
            "name": "net",
            "input_height": 6,
            "input_width": 4,
            "resize_short_side": 8,
            "class_names": ("a", "b"),
            "feature_endpoint": "f",
            **values,
        }
    )


@pytest.mark.parametrize("name", ["input_height", "input_width", "resize_short_side"])
def test_sizes_are_positive(name):
    with pytest.raises(ValueError, match=rf"^`{name}` must be positive, got 0\.$"):
        spec(**{name: 0})


def test_the_filter_is_one_of_two():
    assert spec(interpolation="bicubic").interpolation == "bicubic"
    with pytest.raises(ValueError, match=r"^`interpolation` must be 'bilinear' or 'bicubic', got 'nearest'\.$"):
        spec(interpolation="nearest")


def test_ids_are_one_for_each_class_or_none():
    assert spec(wordnet_ids=("n1", "n2")).wordnet_ids == ("n1", "n2")
    with pytest.raises(ValueError, match=r"^`wordnet_ids` must be empty or one per class, got 1 ids for 2 classes\.$"):
        spec(wordnet_ids=("n1",))


def test_a_classifier_crosses_jit_as_an_argument_and_is_traced_once():
    traces = []

    @jax.jit
    def logits(classifier, images):
        traces.append(1)
        return classifier(images).logits

    images = jnp.asarray(toys.photograph(0, 0)[None], jnp.float32) / 255
    one, other = toys.make_classifier(), toys.make_classifier(scale=2.0)
    np.testing.assert_allclose(2 * logits(one, images), logits(other, images), rtol=1e-5)
    np.testing.assert_allclose(logits(one, images), one(images).logits, rtol=1e-5)
    assert len(traces) == 1, "loaded again, with other parameters, it is the same program"
    assert set(map(type, jax.tree.leaves(one))) == {type(jnp.zeros(()))}


@pytest.fixture
def masks():
    n = 5
    salient = np.zeros((n, 3, 2), bool)
    salient[0, 0] = salient[2, 1:] = True
    return MaskBatch(
        soft=1.0 - salient.astype(np.float32),
        salient=salient,
        status=tuple(MaskStatus),
        reason=tuple("" if status is MaskStatus.OK else "because" for status in MaskStatus),
        class_index=np.arange(n),
        predicted_index=np.arange(n),
        p_original=np.array([0.8, 0.1, 0.5, np.nan, np.nan]),
        p_soft=np.array([0.2, np.nan, 0.5, np.nan, np.nan]),
        p_binary=np.array([0.008, np.nan, 0.75, np.nan, np.nan]),
        area=np.array([1 / 3, np.nan, 2 / 3, np.nan, np.nan]),
        transfer_drop=np.zeros(n),
        components=np.array([1, 0, 1, 0, 0]),
        passes=np.arange(n),
    )


def test_drops_are_relative_and_may_be_negative(masks):
    np.testing.assert_allclose(masks.drop_soft, [0.75, np.nan, 0.0, np.nan, np.nan])
    np.testing.assert_allclose(masks.drop_binary, [0.99, np.nan, -0.5, np.nan, np.nan])


def test_only_masks_that_were_found_count_as_masks(masks):
    assert masks.status == (*("ok", "skipped_prediction", "infeasible", "unreadable", "non_finite"),)
    assert masks.has_mask.tolist() == [True, False, True, False, False]
    assert masks.has_mask.dtype == bool
    assert HAS_MASK == (MaskStatus.OK, MaskStatus.INFEASIBLE)


def test_selected_images_keep_everything_in_the_order_asked_for(masks):
    chosen = masks.select(np.array([2, 0, 0]))
    assert len(chosen) == 3
    assert chosen.status == (MaskStatus.INFEASIBLE, MaskStatus.OK, MaskStatus.OK)
    assert chosen.reason == ("because", "", "")
    for entry in dataclasses.fields(MaskBatch):
        values = getattr(masks, entry.name)
        if not isinstance(values, tuple):
            np.testing.assert_array_equal(getattr(chosen, entry.name), values[[2, 0, 0]])


def test_no_images_may_be_selected(masks):
    none = masks.select(np.array([], int))
    assert len(none) == 0
    assert none.soft.shape == (0, 3, 2)
    assert none.has_mask.tolist() == []


def test_what_is_kept_is_kept_at_both_levels():
    def member(rank, kept):
        return Member(image=rank, box=(0, 0, 1, 1), rank=rank, similarity=1.0, ssim=0.5, exemplar=rank == 0, kept=kept)

    one = Summary(number=0, members=(member(0, True), member(1, False), member(2, True)), ssim=0.5, kept=True)
    other = Summary(number=1, members=(member(0, True),), ssim=0.5, kept=False, reason="small")
    assert [member.rank for member in one.kept_members] == [0, 2]
    diagnostics = ClusterDiagnostics(images=3, proposals=4, clustered=4)
    result = ClassSummaries(class_index=0, summaries=(one, other), diagnostics=diagnostics)
    assert result.kept == (one,)
