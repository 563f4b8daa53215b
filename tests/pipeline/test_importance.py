import numpy as np
import pytest
import toys
from oracles.blur import blur

from vissum_jax.pipeline.importance import rank_by_importance
from vissum_jax.types import ClassSummaries, ClusterDiagnostics, MaskBatch, MaskStatus, Member, Summary

COUNT = 5
CORNERS = ((0, 0), (32, 0), (0, 32), (32, 32))


@pytest.fixture(scope="module")
def classifier():
    return toys.make_classifier()


@pytest.fixture(scope="module")
def images():
    return np.stack([toys.photograph(0, seed) for seed in range(COUNT)])


@pytest.fixture(scope="module")
def masks(classifier, images):
    """All red pixels are salient."""
    salient = images[..., 0] > 180
    logits = np.asarray(classifier(images.astype(np.float32) / 255).logits, dtype=np.float64)
    nothing = np.zeros(COUNT, np.float32)
    return MaskBatch(
        soft=1.0 - salient.astype(np.float32),
        salient=salient,
        status=(MaskStatus.OK,) * COUNT,
        reason=("",) * COUNT,
        class_index=np.zeros(COUNT, int),
        predicted_index=np.zeros(COUNT, int),
        p_original=probabilities(logits)[:, 0].astype(np.float32),
        p_soft=nothing,
        p_binary=nothing,
        area=salient.mean(axis=(1, 2)),
        transfer_drop=nothing,
        components=np.full(COUNT, 2),
        passes=np.zeros(COUNT, int),
    )


def probabilities(logits):
    exponential = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponential / exponential.sum(axis=1, keepdims=True)


def blobs(masks, row):
    """Boxes around the two blobs of a photograph, the upper left one first."""
    return [(x, y, 32, 32) for x, y in CORNERS if masks.salient[row, y : y + 32, x : x + 32].sum() > 50]


def summary(number, boxes, *, kept=True, left_out=()):
    members = tuple(
        Member(image=row, box=box, rank=rank, similarity=1.0, ssim=0.5, exemplar=rank == 0, kept=row not in left_out)
        for rank, (row, box) in enumerate(boxes)
    )
    return Summary(number=number, members=members, ssim=0.5, kept=kept)


def result_of(*summaries):
    diagnostics = ClusterDiagnostics(images=COUNT, proposals=9, clustered=9)
    return ClassSummaries(class_index=0, summaries=summaries, diagnostics=diagnostics)


def importance_by_definition(classifier, images, masks, boxes):
    """One image at a time, blurred in double precision, composed by hand."""
    drops = []
    for row, (x, y, w, h) in boxes:
        image = images[row].astype(np.float64) / 255
        part = np.zeros(image.shape[:2], bool)
        part[y : y + h, x : x + w] = masks.salient[row, y : y + h, x : x + w]
        shown = np.where(part[..., None], blur(image, 10.0), image)
        p = probabilities(np.asarray(classifier(shown[None].astype(np.float32)).logits, np.float64))[0, 0]
        drops.append((masks.p_original[row] - p) / masks.p_original[row])
    return np.mean(drops)


def rank(result, classifier, images, masks, batch_size=3, progress=lambda done: None):
    return rank_by_importance(result, classifier, images, masks, batch_size=batch_size, progress=progress)


def test_importance_is_the_mean_drop_when_the_part_alone_is_blurred(classifier, images, masks):
    first = [(row, blobs(masks, row)[0]) for row in range(COUNT)]
    half = [(row, (x, y, 16, 32)) for row in range(COUNT) for x, y, _, _ in blobs(masks, row)[1:]]
    done = []
    ranked = rank(result_of(summary(0, half), summary(1, first)), classifier, images, masks, progress=done.append)
    assert sum(done) == 2 * COUNT
    expected = [importance_by_definition(classifier, images, masks, boxes) for boxes in (first, half)]
    assert expected[0] > expected[1] + 0.01 > 0.01
    assert [s.importance for s in ranked.summaries] == pytest.approx(expected, abs=5e-3)
    assert [s.number for s in ranked.summaries] == [0, 1]
    assert ranked.summaries[0].members[0].box == first[0][1], "the more important one comes first"


def test_only_kept_members_of_kept_summaries_count(classifier, images, masks):
    boxes = [(row, blobs(masks, row)[0]) for row in range(COUNT)]
    boxes[4] = (4, (0, 0, 64, 64))
    ranked = rank(result_of(summary(0, boxes, kept=False), summary(1, boxes, left_out=(4,))), classifier, images, masks)
    assert [s.kept for s in ranked.summaries] == [True, False]
    expected = importance_by_definition(classifier, images, masks, boxes[:4])
    assert ranked.summaries[0].importance == pytest.approx(expected, abs=5e-3)
    assert np.isnan(ranked.summaries[1].importance)


def test_a_part_without_salient_pixels_has_none(classifier, images, masks):
    boxes = [(row, (24, 24, 4, 4)) for row in range(COUNT)]
    (only,) = rank(result_of(summary(0, boxes)), classifier, images, masks).summaries
    assert only.importance == pytest.approx(0, abs=1e-4)


def test_batches_do_not_show(classifier, images, masks):
    boxes = [(row, blobs(masks, row)[0]) for row in range(COUNT)]
    values = [
        rank(result_of(summary(0, boxes)), classifier, images, masks, batch_size=size).summaries[0].importance
        for size in (1, 2, 8)
    ]
    assert values == pytest.approx([values[0]] * 3, abs=1e-5)


def test_a_network_that_breaks_without_the_part_leaves_importance_unknown(images, masks):
    """NaN is no drop."""
    breaks = toys.make_classifier(breaks_below=8.0)
    boxes = [(row, (0, 0, 64, 64)) for row in range(COUNT)]
    (only,) = rank(result_of(summary(0, boxes)), breaks, images, masks).summaries
    assert np.isnan(only.importance)


def test_no_summary_is_no_work(classifier, images, masks):
    assert rank(result_of(), classifier, images, masks) == result_of()
