import dataclasses

import numpy as np
import pyarrow.compute as pc
import pytest
import toys

from vissum_jax.masks.measures import CurveConfig
from vissum_jax.pipeline import measure_masks
from vissum_jax.pipeline.contenders import Contender, Found, Photographs, Subject
from vissum_jax.pipeline.measure_masks import (
    EQUAL_AREA,
    MEASURES,
    OWN,
    SCHEMA,
    SOFT,
    MeasureConfig,
    mean_drop_curve,
    measure_binary,
    measure_method,
    measured_columns,
)
from vissum_jax.runs.rows import decode_mask

CONFIG = MeasureConfig(curves=CurveConfig(steps=5))
COMPACT = Contender(name="quick", method="compact", config=toys.mask_config())
SUBJECT = Subject(toys.make_classifier(), None)
AREA = np.array([0.1, 0.2, 0.3], np.float32)


@pytest.fixture(scope="module")
def photographs():
    classes = np.array([0, 1, 0])
    images = np.stack([toys.photograph(index, seed) for seed, index in enumerate(classes)])
    return Photographs(names=("a", "b", "c"), images=images, class_index=classes)


def rows_of(table, form):
    return table.filter(pc.equal(table["form"], form)).to_pylist()


@pytest.fixture(scope="module")
def compact(photographs):
    return measure_method(SUBJECT, photographs, COMPACT, None, CONFIG, batch_size=2)


def test_a_preset_has_rows_of_three_kinds(compact):
    assert compact.schema.equals(SCHEMA)
    assert compact["form"].to_pylist() == [SOFT] * 3 + [OWN] * 3 + [EQUAL_AREA] * 3
    assert compact["image"].to_pylist() == ["a", "b", "c"] * 3


def test_the_reference_has_its_own_masks_at_equal_area(compact):
    for own, equal in zip(rows_of(compact, OWN), rows_of(compact, EQUAL_AREA), strict=True):
        assert own["rle"] == equal["rle"]
        assert own["drop"] == equal["drop"] > 0.9
        assert own["deletion"] is None
        assert len(equal["deletion"]) == len(equal["insertion"]) == 6


def test_masks_of_equal_area_have_it_and_are_measured(photographs):
    table = measure_method(SUBJECT, photographs, Contender.of("gradient"), AREA, CONFIG, batch_size=2)
    assert set(table["form"].to_pylist()) == {EQUAL_AREA}
    for row, area in zip(table.to_pylist(), AREA, strict=True):
        salient = decode_mask(row["rle"], toys.SIDE, toys.SIDE)
        assert salient.sum() == round(area * salient.size)
        assert row["area"] == pytest.approx(salient.mean())
        assert row["passes"] == 1
        assert row["redrawn_iou"] is None


def test_measures_of_known_masks(photographs):
    salient = np.zeros((3, toys.SIDE, toys.SIDE), bool)
    salient[1, :10, :10], salient[1, 40:50, 40:60] = True, True
    salient[2] = True
    columns = measure_binary(SUBJECT.classifier, photographs, salient, batch_size=2)
    assert list(columns["components"]) == [0, 2, 1]
    np.testing.assert_allclose(columns["area"], [0.0, 300 / toys.SIDE**2, 1.0])
    assert columns["drop"][0] == pytest.approx(0.0, abs=1e-5)
    assert columns["drop"][2] > 0.9
    assert columns["transfer_mean_colour"][0] == pytest.approx(0.0, abs=1e-5)


def test_the_order_of_the_photographs_and_the_batches_make_no_difference(photographs, compact):
    order = np.array([2, 0, 1])
    shuffled = measure_method(SUBJECT, photographs.select(order), COMPACT, None, CONFIG, batch_size=3)
    for form in (SOFT, OWN, EQUAL_AREA):
        one, other = rows_of(compact, form), rows_of(shuffled, form)
        for row, place in enumerate(order):
            assert other[row]["image"] == one[place]["image"]
            assert other[row]["drop"] == pytest.approx(one[place]["drop"], abs=1e-3)


def test_a_map_that_failed_leaves_nulls_and_the_others_alone(photographs, monkeypatch):
    find = measure_masks.find

    def broken(*args, **options):
        found = find(*args, **options)
        found.importance[1] = np.nan
        return found

    sound = measure_method(SUBJECT, photographs, Contender.of("gradient"), AREA, CONFIG, batch_size=2).to_pylist()
    monkeypatch.setattr(measure_masks, "find", broken)
    rows = measure_method(SUBJECT, photographs, Contender.of("gradient"), AREA, CONFIG, batch_size=2).to_pylist()
    assert all(rows[1][measure] is None for measure in MEASURES)
    assert [rows[0], rows[2]] == [sound[0], sound[2]]


def test_only_a_preset_has_areas_of_its_own(photographs):
    with pytest.raises(ValueError, match=r"^`area` is needed: 'gradient' has no areas of its own\.$"):
        measure_method(SUBJECT, photographs, Contender.of("gradient"), None, CONFIG, batch_size=2)


# The model-randomisation check.


def agreement(photographs, contender, check, progress=None):
    return measure_method(
        SUBJECT,
        photographs,
        contender,
        AREA,
        CONFIG,
        batch_size=2,
        check_randomised=np.array(check),
        progress=progress,
    ).to_pylist()


def test_a_map_that_knows_nothing_of_the_network_does_not_change_with_its_weights(photographs):
    done = []
    rows = agreement(photographs, Contender.of("random"), [True, False, True], done.append)
    assert [row["redrawn_iou"] for row in rows] == [1.0, None, 1.0]
    assert [row["redrawn_correlation"] for row in rows] == [pytest.approx(1.0), None, pytest.approx(1.0)]
    assert [row["chance_iou"] for row in rows] == [pytest.approx(a / (2 - a), abs=1e-3) for a in AREA[:1]] + [
        None,
        pytest.approx(AREA[2] / (2 - AREA[2]), abs=1e-3),
    ]
    assert sum(done) == 3 + 2


def test_a_map_of_the_network_changes_with_its_weights(photographs, monkeypatch):
    """The check finds masks of another network; here one that ranks the pixels the other way round."""
    find = measure_masks.find

    def reversed_for_others(subject, *args, **options):
        found = find(subject, *args, **options)
        return found if subject is SUBJECT else Found(-found.importance, found.passes)

    monkeypatch.setattr(measure_masks, "find", reversed_for_others)
    rows = agreement(photographs, Contender.of("random"), [True, True, True])
    assert all(row["redrawn_iou"] == 0.0 for row in rows)
    assert all(row["redrawn_correlation"] == pytest.approx(-1.0) for row in rows)


# Reading rows again.


def test_localisation_comes_from_the_masks_and_the_truth(compact, photographs):
    own = compact.filter(pc.equal(compact["form"], OWN))
    everything, nothing = np.array([[0.0, 0.0, 64.0, 64.0]]), np.array([[-5.0, -5.0, 1.0, 1.0]])
    salient = decode_mask(own["rle"][1].as_py(), toys.SIDE, toys.SIDE)
    y, x = np.argwhere(salient)[0]
    columns = measured_columns(
        own,
        {"a": everything, "b": nothing},
        {"b": np.array([[x + 0.5, y + 0.5]]), "z": nothing[:, :2]},
        height=toys.SIDE,
        width=toys.SIDE,
    )
    np.testing.assert_array_equal(columns["in_box"], [1.0, 0.0, np.nan])
    np.testing.assert_array_equal(columns["parts_hit"], [np.nan, 1.0, np.nan])
    np.testing.assert_allclose(columns["drop"], [row["drop"] for row in own.to_pylist()], rtol=1e-6)
    assert np.isnan(columns["deletion_auc"]).all()


def test_the_mean_curve_is_the_drop_against_area(compact):
    curve = mean_drop_curve(compact)
    deletion = np.array([row["deletion"] for row in rows_of(compact, EQUAL_AREA)])
    np.testing.assert_allclose(curve, np.mean(1 - deletion / deletion[:, :1], axis=0))
    assert curve[0] == 0.0
    assert curve[-1] > 0.9


def test_continuous_masks_cover_what_they_perturb(photographs):
    phased = dataclasses.replace(Contender.of("iebb"), name="short")
    phases = (dataclasses.replace(phased.config.phases[0], iterations=3),)
    phased = dataclasses.replace(phased, config=dataclasses.replace(phased.config, phases=phases))
    table = measure_method(SUBJECT, photographs, phased, AREA, CONFIG, batch_size=3)
    soft, own = rows_of(table, SOFT), rows_of(table, OWN)
    # After three steps the disc is still there: a mask between 0 and 1 on more than what is below 1/2.
    assert all(0.1 < row["area"] < 0.9 for row in soft)
    assert all(s["area"] != o["area"] for s, o in zip(soft, own, strict=True))
    assert all(row["rle"] is None for row in soft)
