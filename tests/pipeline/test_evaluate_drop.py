import json
import re

import numpy as np
import pytest
import toys

from vissum_jax.data.annotations import read_boxes, read_parts
from vissum_jax.pipeline import NotReadyError, RunConfig, evaluate_drop, mask_stage, open_run, start_run
from vissum_jax.pipeline.evaluate_drop import plan_drop
from vissum_jax.pipeline.progress import Silent
from vissum_jax.runs.rows import decode_mask


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of six photographs whose masks are done, one of them unreadable; not to be changed."""
    folder = tmp_path_factory.mktemp("run")
    photos = toys.write_photographs(folder / "photos", {0: 3, 1: 3})
    (photos / "green_square" / "broken.png").write_bytes(b"no picture")
    config = RunConfig(images=str(photos), model=toys.MODEL, overrides=toys.overrides())
    run = start_run(config, folder / "run")
    mask_stage(run, Silent())
    return run


@pytest.fixture(scope="module")
def values(run):
    """A whole evaluation, computed once."""
    return evaluate_drop.evaluate_drop(plan_drop(run, methods=("random", "gradient")), Silent())


def measures(values, label):
    (row,) = [row for row in values["rows"] if row["label"] == label]
    return row["measures"]


def test_the_table_has_the_three_rows_of_the_paper_and_the_baselines(values):
    assert [row["label"] for row in values["rows"]] == [
        "compact (this run), continuous",
        "compact (this run), binary",
        "IEBB",
        "IEBB, binary at 1/2",
        "IEBB thresh",
        "random, equal area",
        "gradient, equal area",
    ]
    assert values["images"] == 6
    assert values["left_out"] == {"unreadable": 1}
    assert list(values["curves"]) == ["iebb", "random", "gradient"]


def test_the_runs_own_rows_are_those_of_its_masks(run, values):
    rows = [row for row in run.mask_rows().to_pylist() if row["status"] == "ok"]
    for label, column in (("continuous", "drop_soft"), ("binary", "drop_binary")):
        found = measures(values, f"compact (this run), {label}")["drop"]
        drops = np.array([row[column] for row in rows], np.float64)
        assert found["mean"] == pytest.approx(drops.mean(), abs=1e-4)
        assert found["variance"] == pytest.approx(drops.var(), abs=1e-4)
        assert found["count"] == 6
    binary = measures(values, "compact (this run), binary")
    assert binary["transfer_mean_colour"]["mean"] == pytest.approx(
        np.mean([r["transfer_drop"] for r in rows]), abs=1e-4
    )
    assert binary["area"]["mean"] == pytest.approx(np.mean([row["area"] for row in rows]), abs=1e-6)
    assert binary["components"]["mean"] == np.mean([row["components"] for row in rows])


def test_every_other_mask_is_as_large_as_the_runs(values):
    area = measures(values, "compact (this run), binary")["area"]
    for label in ("IEBB thresh", "random, equal area", "gradient, equal area"):
        assert measures(values, label)["area"] == pytest.approx(area, rel=1e-5)


def test_masks_that_know_the_network_beat_those_that_do_not(values):
    drops = {row["label"]: row["measures"]["drop"]["mean"] for row in values["rows"]}
    assert drops["compact (this run), binary"] > 0.9
    assert drops["gradient, equal area"] > drops["random, equal area"] + 0.2


def test_the_files_hold_what_was_answered(run, values):
    folder = run.folder / "evaluation"
    assert json.loads((folder / "drop.json").read_text()) == json.loads(json.dumps(values))
    assert (folder / "drop.md").read_text().count("\n") == 2 + len(values["rows"])
    assert (folder / "drop.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_done_is_not_computed_again(run, values, monkeypatch):
    monkeypatch.setattr(evaluate_drop, "measure_method", None)
    monkeypatch.setattr(evaluate_drop, "measure_binary", None)
    progress = toys.Recorder()
    again = evaluate_drop.evaluate_drop(plan_drop(run, methods=("random", "gradient")), progress)
    assert again == values
    assert [stage for stage, *_ in progress.stages] == ["run", "iebb", "random", "gradient"]
    progress.assert_complete()


def test_another_method_is_added_to_what_is_done(run, values, monkeypatch):
    computed = []
    measure = evaluate_drop.measure_method

    def remember(subject, photographs, contender, *args, **options):
        computed.append(contender.name)
        return measure(subject, photographs, contender, *args, **options)

    monkeypatch.setattr(evaluate_drop, "measure_method", remember)
    more = evaluate_drop.evaluate_drop(plan_drop(run, methods=("random", "smoothed_gradient")), Silent())
    assert computed == ["smoothed_gradient"]
    assert measures(more, "random, equal area") == measures(values, "random, equal area")
    assert measures(more, "smoothed_gradient, own area")["drop"]["mean"] > 0.98


def test_annotations_come_in_without_computing_anything_again(run, values, monkeypatch, tmp_path):
    monkeypatch.setattr(evaluate_drop, "measure_method", None)
    row = next(row for row in run.mask_rows().to_pylist() if row["image"] == "red_disc/1.png")
    salient = decode_mask(row["rle"], row["height"], row["width"])
    y, x = np.argwhere(salient)[0] + 0.5
    boxes, parts = tmp_path / "boxes.csv", tmp_path / "parts.csv"
    boxes.write_text(f"file,x,y,w,h\nred_disc/0.png,0,0,64,64\nred_disc/1.png,0,0,64,{y + 0.1}\n")
    parts.write_text(f"file,x,y\nred_disc/1.png,{x},{y}\n")
    plan = plan_drop(run, methods=("random", "gradient"), boxes=read_boxes(boxes), parts=read_parts(parts))
    found = measures(evaluate_drop.evaluate_drop(plan, Silent()), "compact (this run), binary")
    in_box = salient[: int(y + 0.5)].sum() / salient.sum()
    assert found["in_box"]["mean"] == pytest.approx((1.0 + in_box) / 2)
    assert found["in_box"]["count"] == 2
    assert found["parts_hit"] == {"mean": 1.0, "variance": 0.0, "count": 1}


def test_a_limit_takes_the_first_of_each_class(run):
    plan = plan_drop(run, methods=(), limit=2)
    assert plan.rows["image"].to_pylist() == [
        f"{name}/{n}.png" for name in ("red_disc", "green_square") for n in (0, 1)
    ]


def test_unknown_methods_are_refused_with_the_nearest(run):
    with pytest.raises(ValueError, match="unknown method 'gradcam': did you mean 'grad_cam'"):
        plan_drop(run, methods=("gradcam",))


def test_methods_that_the_network_cannot_have_are_refused(run):
    with pytest.raises(ValueError, match="method 'guided_backprop' needs the network with guided activations"):
        plan_drop(run, methods=("guided_backprop",))


def test_no_image_of_a_class_is_refused(run):
    with pytest.raises(ValueError, match=re.escape("`limit` must be at least 1, got 0.")):
        plan_drop(run, limit=0)


def test_annotations_of_other_photographs_are_refused(run, tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_text("file,x,y,w,h\nother/0.png,0,0,1,1\n")
    with pytest.raises(
        ValueError, match=r"^--boxes: nothing is annotated in any of the 6 images, as red_disc/0\.png\.$"
    ):
        plan_drop(run, boxes=read_boxes(path))


def test_a_run_whose_masks_are_not_done_is_refused_with_the_remedy(tmp_path):
    photos = toys.write_photographs(tmp_path / "photos", {0: 1})
    run = start_run(RunConfig(images=str(photos), model=toys.MODEL, overrides=toys.overrides()), tmp_path / "run")
    with pytest.raises(NotReadyError, match=re.escape(f"finish them with `vissum masks {tmp_path / 'run'}`.")):
        plan_drop(open_run(run.folder))


def test_a_run_without_a_mask_is_refused(tmp_path):
    (tmp_path / "photos" / "red_disc").mkdir(parents=True)
    (tmp_path / "photos" / "red_disc" / "0.png").write_bytes(b"no picture")
    run = start_run(
        RunConfig(images=str(tmp_path / "photos"), model=toys.MODEL, overrides=toys.overrides()), tmp_path / "run"
    )
    mask_stage(run, Silent())
    with pytest.raises(ValueError, match=r"no image has a mask \(1 unreadable\); there is nothing to evaluate\.$"):
        plan_drop(run)
