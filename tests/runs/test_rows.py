import math

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from vissum_jax.runs.rows import (
    MASK_SCHEMA,
    SUMMARY_SCHEMA,
    class_summaries,
    decode_mask,
    decode_soft,
    encode_mask,
    encode_soft,
    mask_batch,
    mask_table,
    soft_masks,
    summary_table,
)
from vissum_jax.types import (
    ClassSummaries,
    ClusterDiagnostics,
    Crop,
    MaskBatch,
    MaskStatus,
    Member,
    Summary,
)

# The contract of the rows, relied on from outside.
MASK_COLUMNS = [
    "image",
    "class_index",
    "class_name",
    "predicted_index",
    "status",
    "reason",
    "p_original",
    "p_soft",
    "p_binary",
    "drop_soft",
    "drop_binary",
    "area",
    "transfer_drop",
    "components",
    "passes",
    "rle",
    "height",
    "width",
    "crop_x",
    "crop_y",
    "crop_w",
    "crop_h",
]
SUMMARY_COLUMNS = [
    "class_index",
    "summary",
    "rank",
    "image",
    "box_x",
    "box_y",
    "box_w",
    "box_h",
    "similarity",
    "ssim",
    "exemplar",
    "kept",
    "importance",
    "stability",
]
STATUSES = {"ok", "skipped_prediction", "infeasible", "unreadable", "non_finite"}

binary_masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=17))


@given(binary_masks)
def test_run_lengths_hold_the_whole_mask(mask):
    decoded = decode_mask(encode_mask(mask), *mask.shape)
    assert decoded.dtype == bool
    np.testing.assert_array_equal(decoded, mask)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools 2.0 on NumPy 2
@given(binary_masks)
def test_other_readers_of_coco_see_the_same_mask(mask):
    rle = {"size": list(mask.shape), "counts": encode_mask(mask)}
    assert coco_mask.area(rle) == mask.sum()
    np.testing.assert_array_equal(coco_mask.decode(rle), mask)


def test_rows_and_columns_of_a_mask_stay_apart():
    mask = np.zeros((5, 9), bool)
    mask[0, 1:4] = True  # wide, at the top, left of the middle
    mask[4, 8] = True
    np.testing.assert_array_equal(decode_mask(encode_mask(mask), 5, 9), mask)
    wide = coco_mask.toBbox({"size": [4, 9], "counts": encode_mask(mask[:4])})
    np.testing.assert_array_equal(wide, [1, 0, 3, 1])  # x, y, width, height


def test_a_mask_in_any_memory_order_has_the_same_run_lengths():
    mask = np.random.default_rng(0).random((6, 7)) < 0.5
    assert encode_mask(mask) == encode_mask(np.asfortranarray(mask)) == encode_mask(mask.repeat(2, axis=1)[:, ::2])


NAN = math.nan
NAMES = ("robin/1.jpg", 'oboe/<b>"ö"\n.png', "robin/2.jpg", "robin/half.jpg", "robin/black.jpg")
CLASS_NAMES = ("robin", "oboe", "robin", "robin", "robin")
CROPS = (Crop(0.0, 12.5, 300.0, 300.0), Crop(1.0, 2.0, 3.0, 4.0), Crop(0.0, 0.0, 9.0, 9.0), None, Crop(0, 0, 1, 1))
HASHES = ("0" * 64, "1" * 64, "2" * 64, None, "4" * 64)


@pytest.fixture
def masks():
    """One image of each status, on a mask that is not square."""
    salient = np.zeros((5, 6, 4), bool)
    salient[0, :2, 1:] = True
    salient[1, 5, :] = True
    return MaskBatch(
        soft=1.0 - salient.astype(np.float32),
        salient=salient,
        status=(
            MaskStatus.OK,
            MaskStatus.INFEASIBLE,
            MaskStatus.SKIPPED_PREDICTION,
            MaskStatus.UNREADABLE,
            MaskStatus.NON_FINITE,
        ),
        reason=("", "no mask reached", "answers oboe", "damaged", "the network answers NaN"),
        class_index=np.array([15, 683, 15, 15, 15]),
        predicted_index=np.array([15, 683, 683, -1, -1]),
        p_original=np.array([0.9, 0.5, 0.1, NAN, NAN], np.float32),
        p_soft=np.array([0.01, 0.25, NAN, NAN, NAN], np.float32),
        p_binary=np.array([0.009, 0.3, NAN, NAN, NAN], np.float32),
        area=np.array([0.25, 1 / 6, NAN, NAN, NAN], np.float32),
        transfer_drop=np.array([0.7, -0.2, NAN, NAN, NAN], np.float32),
        components=np.array([1, 1, 0, 0, 0], np.int32),
        passes=np.array([150, 160, 0, 0, 0], np.int32),
    )


@pytest.fixture
def table(masks):
    return mask_table(masks, NAMES, CLASS_NAMES, CROPS, HASHES)


def test_mask_rows_have_every_column_of_the_contract(table):
    assert set(MASK_COLUMNS) <= set(table.column_names)
    assert table.schema.names == MASK_SCHEMA.names
    assert table.schema.types == MASK_SCHEMA.types
    assert {str(status) for status in MaskStatus} == STATUSES


def test_a_mask_row_says_what_is_known_of_its_image(table):
    row = table.to_pylist()[0]
    expected = {
        "image": "robin/1.jpg",
        "class_index": 15,
        "class_name": "robin",
        "predicted_index": 15,
        "status": "ok",
        "reason": "",
        "components": 1,
        "passes": 150,
        "height": 6,
        "width": 4,
        "crop_x": 0.0,
        "crop_y": 12.5,
        "crop_w": 300.0,
        "crop_h": 300.0,
        "content_sha256": "0" * 64,
    }
    assert {name: row[name] for name in expected} == expected
    measured = [row[name] for name in ("p_original", "p_soft", "p_binary", "area", "transfer_drop")]
    np.testing.assert_allclose(measured, [0.9, 0.01, 0.009, 0.25, 0.7], rtol=1e-6)
    np.testing.assert_allclose([row["drop_soft"], row["drop_binary"]], [0.89 / 0.9, 0.99], rtol=1e-6)


@pytest.mark.parametrize(
    ("row", "present"),
    [
        (1, {"p_original", "p_soft", "drop_binary", "area", "components", "rle", "predicted_index", "crop_x"}),
        (2, {"p_original", "predicted_index", "crop_w", "content_sha256"}),
        (3, set()),
        (4, {"crop_x", "content_sha256"}),
    ],
)
def test_what_an_image_does_not_have_is_null_and_not_nan(table, row, present):
    optional = {
        *("predicted_index", "p_original", "p_soft", "p_binary", "drop_soft", "drop_binary", "area", "transfer_drop"),
        *("components", "rle", "crop_x", "crop_y", "crop_w", "crop_h", "content_sha256", "soft"),
    }
    values = table.to_pylist()[row]
    assert all(values[name] is not None for name in present)
    assert not any(isinstance(value, float) and math.isnan(value) for value in values.values())
    assert all(values[name] is not None for name in set(values) - optional)
    if row == 3:
        assert all(values[name] is None for name in optional)


def assert_same_masks(actual: MaskBatch, expected: MaskBatch):
    for name, value in vars(expected).items():
        if isinstance(value, tuple):
            assert getattr(actual, name) == value, name
        else:
            np.testing.assert_array_equal(getattr(actual, name), value, err_msg=name)


def test_masks_come_back_from_their_rows(table, masks):
    assert_same_masks(mask_batch(table), masks)


def test_masks_come_back_from_a_file(table, masks, tmp_path):
    pq.write_table(table, tmp_path / "part.parquet")
    read = pq.read_table(tmp_path / "part.parquet")
    assert read["image"].to_pylist() == list(NAMES)
    assert_same_masks(mask_batch(read), masks)


def test_some_rows_give_some_masks_in_their_order(table, masks):
    assert_same_masks(mask_batch(table.take([4, 1])), masks.select(np.array([4, 1])))


def test_a_continuous_mask_is_reduced_to_its_binary_one(masks):
    soft = np.where(masks.salient, 0.3, 0.8).astype(np.float32)
    continuous = MaskBatch(**{**vars(masks), "soft": soft})
    read = mask_batch(mask_table(continuous, NAMES, CLASS_NAMES, CROPS, HASHES))
    np.testing.assert_array_equal(read.soft, np.where(masks.salient, 0.0, 1.0))
    np.testing.assert_array_equal(read.salient, masks.salient)


def test_no_rows_give_no_masks():
    assert len(mask_batch(MASK_SCHEMA.empty_table())) == 0


def test_rows_of_unreadable_images_alone_keep_their_types(masks):
    rows = np.array([3])
    table = mask_table(masks.select(rows), [NAMES[3]], ["robin"], [None], [None])
    assert table.schema.types == MASK_SCHEMA.types
    assert table["crop_x"].to_pylist() == [None]
    assert_same_masks(mask_batch(table), masks.select(rows))


IMAGES = ("robin/1.jpg", "robin/2.jpg", "robin/3.jpg", "robin/4.jpg")


def member(image: int, rank: int, *, ssim: float = 0.5, kept: bool = True) -> Member:
    # Binary fractions: float32 holds them.
    return Member(
        image=image,
        box=(image, 2, 30 + rank, 40),
        rank=rank,
        similarity=8.0 - rank,
        ssim=ssim,
        exemplar=rank == 0,
        kept=kept,
    )


RESULT = ClassSummaries(
    class_index=15,
    summaries=(
        Summary(
            number=0,
            members=(member(2, 0), member(0, 1), member(3, 2, kept=False)),
            ssim=0.5,
            kept=True,
            importance=0.25,
            stability=0.75,
        ),
        Summary(number=1, members=(member(1, 0, ssim=NAN),), ssim=NAN, kept=False, reason="1 members, fewer than 3"),
    ),
    diagnostics=ClusterDiagnostics(
        images=4,
        proposals=90,
        clustered=7,
        similarity_max=1 / 3,
        similarity_median=0.1,
        converged=True,
        damping=0.9,
        global_ssim=0.7,
    ),
)


def assert_same_summaries(actual: ClassSummaries, expected: ClassSummaries):
    # Unlike ==, takes NaN for equal to NaN.
    assert repr(actual) == repr(expected)


def test_summary_rows_have_every_column_of_the_contract():
    table = summary_table(RESULT, "robin", IMAGES)
    assert set(SUMMARY_COLUMNS) <= set(table.column_names)
    assert table.schema.names == SUMMARY_SCHEMA.names
    assert table.schema.types == SUMMARY_SCHEMA.types


def test_a_summary_row_is_a_member():
    rows = summary_table(RESULT, "robin", IMAGES).to_pylist()
    assert len(rows) == 4
    assert rows[2] == {
        "class_index": 15,
        "class_name": "robin",
        "summary": 0,
        "rank": 2,
        "image": "robin/4.jpg",
        "box_x": 3,
        "box_y": 2,
        "box_w": 32,
        "box_h": 40,
        "similarity": 6.0,
        "ssim": 0.5,
        "exemplar": False,
        "kept": False,
        "summary_kept": True,
        "summary_ssim": 0.5,
        "summary_reason": "",
        "importance": 0.25,
        "stability": 0.75,
    }
    assert rows[3]["ssim"] is None
    assert rows[3]["summary_ssim"] is None
    assert rows[3]["importance"] is None
    assert rows[3]["stability"] is None
    assert rows[3]["summary_reason"] == "1 members, fewer than 3"


def test_summaries_come_back_from_a_file(tmp_path):
    pq.write_table(summary_table(RESULT, "robin", IMAGES), tmp_path / "part.parquet")
    assert_same_summaries(class_summaries(pq.read_table(tmp_path / "part.parquet"), IMAGES), RESULT)


def test_summaries_come_back_whatever_the_order_of_their_rows():
    table = summary_table(RESULT, "robin", IMAGES)
    assert_same_summaries(class_summaries(table.take([3, 1, 2, 0]), IMAGES), RESULT)


def test_members_find_their_image_in_another_order():
    table = summary_table(RESULT, "robin", IMAGES)
    again = class_summaries(table, IMAGES[::-1])
    assert [m.image for m in again.summaries[0].members] == [1, 3, 0]


def test_a_class_without_summaries_keeps_its_reason_and_its_diagnostics(tmp_path):
    nothing = ClassSummaries(
        class_index=7,
        summaries=(),
        diagnostics=ClusterDiagnostics(images=1, proposals=0, clustered=0),
        reason="no proposal lies within the mask, größe",
    )
    table = summary_table(nothing, "cock", IMAGES[:1])
    assert table.num_rows == 0
    assert table.schema.types == SUMMARY_SCHEMA.types
    pq.write_table(table, tmp_path / "part.parquet")
    assert_same_summaries(class_summaries(pq.read_table(tmp_path / "part.parquet"), IMAGES[:1]), nothing)


def test_summary_parts_of_several_classes_are_read_as_one_table(tmp_path):
    nothing = ClassSummaries(
        class_index=7, summaries=(), diagnostics=ClusterDiagnostics(images=1, proposals=0, clustered=0), reason="none"
    )
    for number, result in enumerate((nothing, RESULT)):
        pq.write_table(summary_table(result, "x", IMAGES), tmp_path / f"part-{number}.parquet")
    assert pq.read_table(tmp_path).num_rows == 4


@pytest.mark.parametrize("shape", [(64, 48), (33, 50), (9, 5)])
def test_continuous_masks_are_kept_well_enough_to_be_looked_at(shape):
    y, x = np.mgrid[: shape[0], : shape[1]]
    soft = 0.5 + 0.5 * np.sin(y / 9) * np.cos(x / 11)
    again = decode_soft(encode_soft(soft), *shape)
    assert again.shape == shape
    assert again.dtype == np.float32
    assert np.abs(again - soft).max() < 0.12
    assert np.abs(again - soft).mean() < 0.03
    for value in (0.0, 1.0):
        np.testing.assert_array_equal(decode_soft(encode_soft(np.full(shape, value)), *shape), np.full(shape, value))


def test_rows_give_their_continuous_masks_as_far_as_there_are_any(table, masks):
    soft = soft_masks(table)
    assert soft is not None
    assert soft.shape == masks.soft.shape
    assert (soft[~masks.has_mask] == 1).all()
    assert (soft[masks.has_mask] < 1).any()
    assert soft_masks(table.drop_columns(["soft"])) is None, "an earlier version made the run"
