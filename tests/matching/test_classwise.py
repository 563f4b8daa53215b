import numpy as np
import pytest
from oracles import matching as oracle

from vissum_jax.matching import MatchingConfig, classwise, load_whitening, match_class, whitened_descriptors
from vissum_jax.types import ProposalBatch

SIDE, COUNT, BOXES = 64, 5, 20


def photographs(seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (COUNT, 16, 16, 3))
    return np.kron(coarse, np.ones((1, 4, 4, 1))).astype(np.uint8)


def proposals(seed=0):
    rng = np.random.default_rng(seed)
    sides = rng.integers(16, 50, (COUNT, BOXES, 2))
    boxes = np.concatenate([rng.integers(0, SIDE - sides + 1), sides], axis=-1).astype(np.int32)
    valid = np.arange(BOXES) < np.array([20, 12, 17, 20, 9])[:, None]
    salient = valid & (rng.uniform(size=valid.shape) < 0.5)
    salient[3] = False
    return ProposalBatch(boxes=np.where(valid[..., None], boxes, 0), valid=valid, salient=salient)


def permuted(batch, order):
    return ProposalBatch(boxes=batch.boxes[order], valid=batch.valid[order], salient=batch.salient[order])


@pytest.fixture(scope="module")
def matches():
    return match_class(photographs(), proposals(), MatchingConfig())


def test_rows_are_the_salient_boxes_by_image(matches):
    batch = proposals()
    np.testing.assert_array_equal(matches.boxes, batch.boxes[batch.salient])
    np.testing.assert_array_equal(matches.image_ids, np.nonzero(batch.salient)[0])
    assert matches.similarity.shape == (len(matches),) * 2
    assert matches.similarity.dtype == np.float32


def test_blocks_equal_the_oracle_in_one_direction_or_the_other(matches):
    images, batch, whitening = photographs(), proposals(), load_whitening(0.01)
    described = []
    for image, boxes, valid in zip(images, batch.boxes, batch.valid, strict=True):
        features = np.asarray(whitened_descriptors(image, boxes, *whitening), dtype=np.float64)
        described.append((boxes[valid], features[valid]))
    directions = set()
    for i in (0, 1, 2, 4):
        for j in (0, 1, 2, 4):
            block = matches.similarity[np.ix_(matches.image_ids == i, matches.image_ids == j)]
            rows, columns = batch.salient[i][batch.valid[i]], batch.salient[j][batch.valid[j]]
            there = oracle.lom(described[i], described[j])[np.ix_(rows, columns)]
            back = oracle.lom(described[j], described[i])[np.ix_(columns, rows)].T
            if i == j:
                np.testing.assert_allclose(block, (there + there.T) / 2, atol=1e-4 * there.max())
                continue
            direction = int(np.abs(block - there).max() > np.abs(block - back).max())
            np.testing.assert_allclose(block, (there, back)[direction], atol=1e-4 * there.max())
            directions.add((min(i, j), max(i, j), direction ^ (i > j)))
    assert len(directions) == 6


def test_the_similarity_is_symmetric(matches):
    np.testing.assert_array_equal(matches.similarity, matches.similarity.T)
    assert matches.similarity.max() > 0


def test_best_mean_averages_the_best_scores_in_other_images():
    matches = match_class(photographs(), proposals(), MatchingConfig(best_matches=4))
    for row, image in enumerate(matches.image_ids):
        others = np.sort(matches.similarity[row, matches.image_ids != image])
        assert matches.best_mean[row] == pytest.approx(others[-4:].mean(), rel=1e-5)


def test_the_order_of_images_changes_the_order_of_rows_alone(matches):
    order = np.array([3, 1, 4, 0, 2])
    shuffled = match_class(photographs()[order], permuted(proposals(), order), MatchingConfig())
    rows = np.concatenate([np.flatnonzero(matches.image_ids == image) for image in order])
    np.testing.assert_allclose(shuffled.similarity, matches.similarity[np.ix_(rows, rows)], rtol=1e-5)
    np.testing.assert_array_equal(order[shuffled.image_ids], matches.image_ids[rows])


def test_tiles_do_not_show(matches, monkeypatch):
    monkeypatch.setattr(classwise, "_BLOCK", 2)
    monkeypatch.setattr(classwise, "_PAIRS_PER_CALL", 3)
    steps = []
    tiled = match_class(photographs(), proposals(), MatchingConfig(), progress=steps.append)
    np.testing.assert_allclose(tiled.similarity, matches.similarity, rtol=1e-5)
    assert sum(steps) == COUNT * (COUNT + 1) // 2


def test_large_arrays_may_live_in_a_file(matches):
    filed = match_class(photographs(), proposals(), MatchingConfig(host_bytes=1))
    assert isinstance(filed.similarity, np.memmap)
    np.testing.assert_array_equal(filed.similarity, matches.similarity)


def test_flipping_finds_mirrored_images(matches):
    images, batch = photographs(), proposals()
    images[1] = images[0][:, ::-1]
    mirrored = batch.boxes[0].copy()
    mirrored[:, 0] = SIDE - mirrored[:, 0] - mirrored[:, 2]
    boxes, valid, salient = batch.boxes.copy(), batch.valid.copy(), batch.salient.copy()
    boxes[1], valid[1], salient[1] = mirrored, valid[0], salient[0]
    both = ProposalBatch(boxes=boxes, valid=valid, salient=salient)
    plain = match_class(images, both, MatchingConfig())
    flipped = match_class(images, both, MatchingConfig(flip=True))
    assert (flipped.similarity >= plain.similarity - 1e-4).all()
    block = flipped.similarity[np.ix_(flipped.image_ids == 0, flipped.image_ids == 1)]
    assert (block.argmax(axis=1) == np.arange(len(block))).mean() > 0.9
    unflipped = plain.similarity[np.ix_(plain.image_ids == 0, plain.image_ids == 1)]
    assert np.diag(block).mean() > 2 * np.diag(unflipped).mean()


def test_flipping_takes_the_larger_of_the_oracles_two_scores():
    images, batch, whitening = photographs(), proposals(), load_whitening(0.01)

    def described(row, mirrored):
        boxes, shown = batch.boxes[row].copy(), images[row]
        if mirrored:
            boxes[:, 0] = SIDE - boxes[:, 0] - boxes[:, 2]
            shown = shown[:, ::-1]
        features = np.asarray(whitened_descriptors(shown, boxes, *whitening), dtype=np.float64)
        return boxes[batch.valid[row]], features[batch.valid[row]]

    matches = match_class(images, batch, MatchingConfig(flip=True))
    rows, columns = (batch.salient[row][batch.valid[row]] for row in (0, 1))
    block = matches.similarity[np.ix_(matches.image_ids == 0, matches.image_ids == 1)]
    scored = [oracle.lom(described(0, False), described(1, mirrored))[np.ix_(rows, columns)] for mirrored in (0, 1)]
    back = [oracle.lom(described(1, False), described(0, mirrored))[np.ix_(columns, rows)].T for mirrored in (0, 1)]
    errors = [np.abs(block - np.maximum(*both)).max() / np.max(both) for both in (scored, back)]
    assert min(errors) < 1e-4


def test_one_image_matches_itself_and_has_no_best_scores():
    batch = permuted(proposals(), np.array([0]))
    matches = match_class(photographs()[:1], batch, MatchingConfig())
    assert np.diag(matches.similarity).min() > 0
    assert not matches.best_mean.any()


def test_no_salient_box_gives_no_row():
    batch = proposals()
    empty = ProposalBatch(boxes=batch.boxes, valid=batch.valid, salient=np.zeros_like(batch.salient))
    steps = []
    matches = match_class(photographs(), empty, MatchingConfig(), progress=steps.append)
    assert len(matches) == 0
    assert matches.similarity.shape == (0, 0)
    assert sum(steps) == 15


def test_selected_rows_keep_their_similarities(matches):
    keep = np.arange(len(matches)) % 3 == 0
    selected = matches.select(keep)
    np.testing.assert_array_equal(selected.similarity, matches.similarity[::3, ::3])
    np.testing.assert_array_equal(selected.boxes, matches.boxes[::3])


def test_proposals_of_other_images_are_refused():
    with pytest.raises(ValueError, match=r"^`proposals` must have one row per image, got 5 for 2 images\.$"):
        match_class(photographs()[:2], proposals(), MatchingConfig())
