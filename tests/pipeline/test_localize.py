import json
import shutil

import numpy as np
import pytest
import toys
from PIL import Image
from pycocotools.coco import COCO

from vissum_jax.data.annotations import read_boxes
from vissum_jax.deep_inside.graph_cut import GraphCutConfig
from vissum_jax.pipeline import NotReadyError
from vissum_jax.pipeline.evaluate_localization import as_table, evaluate_localization, read_names
from vissum_jax.pipeline.localize import (
    LocalizeRequest,
    localize_outcome,
    localize_report,
    localize_stage,
    open_localize,
    start_localize,
    write_coco,
)
from vissum_jax.pipeline.progress import Silent

CUT = GraphCutConfig(sigma=1.0, threshold_sigma=2.0, side=64, background_quantile=0.5)


def scene(class_index, seed):
    """One blob of the class's colour on grey noise, on a photograph of 96 x 64, and its box."""
    random = np.random.default_rng([class_index, seed])
    picture = random.normal(120, 4, (64, 96, 3))
    x, y = int(random.integers(8, 60)), int(random.integers(6, 34))
    colour = np.full(3, 30.0)
    colour[class_index] = 230.0
    picture[y : y + 24, x : x + 28] = colour + random.normal(0, 4, 3)
    return np.clip(picture, 0, 255).astype(np.uint8), (x, y, 28, 24)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two red and two green blobs, a green one among the reds, a grey photograph, a file that is no picture."""
    root = tmp_path_factory.mktemp("photos")
    boxes = ["file,x,y,w,h"]
    for name, class_index, seed in (
        *((f"red_disc/{seed}.png", 0, seed) for seed in range(2)),
        *((f"green_square/{seed}.png", 1, seed) for seed in range(2)),
        ("red_disc/wrong.png", 1, 5),
    ):
        picture, box = scene(class_index, seed)
        (root / name).parent.mkdir(exist_ok=True)
        # Twice as large as the network sees it: boxes are in the pixels of the file.
        Image.fromarray(picture).resize((192, 128), Image.Resampling.NEAREST).save(root / name)
        boxes.append(",".join([name, *(str(2 * side) for side in box)]))
    Image.new("RGB", (96, 64), (120, 120, 120)).save(root / "red_disc" / "grey.png")
    (root / "red_disc" / "broken.png").write_text("no picture")
    (root / "boxes.csv").write_text("\n".join([*boxes, "red_disc/grey.png,0,0,40,40", "red_disc/broken.png,1,1,9,9"]))
    return root


def request_for(photos, **values):
    return LocalizeRequest(
        **{"images": str(photos), "model": "toys:make_classifier", "top": 2, "graph_cut": CUT, **values}
    )


@pytest.fixture(scope="module")
def finished(photos, tmp_path_factory):
    """A finished run; not to be changed."""
    opened = start_localize(request_for(photos), tmp_path_factory.mktemp("runs") / "run")
    localize_stage(opened, Silent(), batch_size=4)
    return opened


@pytest.fixture
def own(finished, tmp_path):
    """A finished run of one's own."""
    return open_localize(shutil.copytree(finished.run.folder, tmp_path / "run"))


def rows_of(opened, image):
    return [row for row in opened.rows().to_pylist() if row["image"] == image]


def test_boxes_are_where_the_objects_are_in_pixels_of_the_file(finished, photos):
    truth = read_boxes(photos / "boxes.csv")
    for image in ("red_disc/0.png", "red_disc/1.png", "green_square/0.png", "green_square/1.png"):
        first = rows_of(finished, image)[0]
        assert (first["rank"], first["candidate_index"]) == (0, first["class_index"])
        (expected,) = truth.of(image)
        np.testing.assert_allclose([first[f"box_{side}"] for side in "xywh"], expected, atol=6)
        assert (first["photograph_width"], first["photograph_height"]) == (192, 128)


def test_the_folders_class_has_a_row_wherever_it_ranks_and_never_two(finished):
    assert [row["candidate_name"] for row in rows_of(finished, "red_disc/wrong.png")][-1] == "red disc"
    for image in ("red_disc/0.png", "green_square/0.png", "red_disc/wrong.png"):
        rows = rows_of(finished, image)
        own = [row for row in rows if row["candidate_index"] == row["class_index"]]
        assert len(own) == 1
        assert [row["rank"] for row in rows[:2]] == [0, 1]


def test_no_saliency_and_no_picture_are_marked(finished):
    (broken,) = rows_of(finished, "red_disc/broken.png")
    assert (broken["status"], broken["candidate_index"], broken["box_x"]) == ("unreadable", None, None)
    grey = rows_of(finished, "red_disc/grey.png")
    assert {row["status"] for row in grey} == {"infeasible"}
    assert all("the same everywhere" in row["reason"] and row["rle"] is None for row in grey)
    outcome = localize_outcome(finished)
    assert outcome["statuses"] == {"ok": 5, "infeasible": 1, "unreadable": 1}
    assert [image for image, _ in outcome["failed"]] == ["red_disc/broken.png"]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
def test_coco_reads_the_boxes_and_segments(own):
    path = write_coco(own)
    coco = COCO(str(path))
    assert {image["file_name"] for image in coco.imgs.values()} == {
        *("red_disc/0.png", "red_disc/1.png", "red_disc/wrong.png", "red_disc/grey.png"),
        *("green_square/0.png", "green_square/1.png"),
    }
    assert coco.anns
    for annotation in coco.anns.values():
        image = coco.imgs[annotation["image_id"]]
        mask = coco.annToMask(annotation)
        assert mask.shape == (image["height"], image["width"]) == (128, 192)
        assert mask.sum() == annotation["area"] > 0
        rows, columns = np.nonzero(mask)
        around = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        np.testing.assert_allclose(annotation["bbox"], around, atol=3)
        assert annotation["category_id"] in coco.cats
        assert annotation["rank"] < 2


def test_a_stopped_run_goes_on(finished, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("vissum_jax.pipeline.run.SHARD_SIZE", 4)
    opened = start_localize(request_for(photos), tmp_path / "run")
    localize_stage(opened, Silent(), batch_size=4)
    before = opened.store.part(0).stat().st_mtime_ns
    opened.store.discard(1)
    progress = toys.Recorder()
    localize_stage(open_localize(tmp_path / "run"), progress, batch_size=4)
    progress.assert_complete()
    assert opened.store.part(0).stat().st_mtime_ns == before
    assert opened.rows().equals(finished.rows())


def test_more_answers_than_classes_are_refused(photos, tmp_path):
    with pytest.raises(ValueError, match="`top` must be at most 4, the classes of 'toy', got 5"):
        start_localize(request_for(photos, top=5), tmp_path / "run")
    with pytest.raises(ValueError, match="`top` must be at least 1, got 0"):
        start_localize(request_for(photos, top=0), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_measures_are_those_of_ilsvrc(own, photos):
    values = evaluate_localization(own, [read_boxes(photos / "boxes.csv")])
    assert values["images"] == 6
    assert values["left_out"] == {"excluded": 0, "not annotated": 0, "unreadable": 1}
    # Right: the four blobs. Wrong: the grey photograph, and the green one among the reds, whose class is wrong.
    assert values["top1_error"]["share"] == pytest.approx(2 / 6)
    assert values["classification_top1_error"]["count"] == 2
    assert values["given_label"]["graph cut"]["count"] == 4
    assert values["given_label"]["whole"]["count"] == 0
    assert values["mean_size"] == pytest.approx([(5 * 56 / 192 + 40 / 96) / 6, (5 * 48 / 128 + 40 / 64) / 6])
    low, share, high = (values["given_label"]["graph cut"][name] for name in ("low", "share", "high"))
    assert 0 < low < share < high < 1
    assert values["gain_over"]["whole"]["mean"] == pytest.approx(4 / 6)
    saved = json.loads((own.run.folder / "evaluation" / "localization.json").read_text())
    assert saved == json.loads(json.dumps(values))
    page = localize_report(own, Silent(), as_table(values))
    assert "Box given the label: graph cut" in page.read_text()
    assert "not a picture of a known kind" in (page.parent / "classes" / "0" / "index.html").read_text()


def test_photographs_can_be_left_out(own, photos, tmp_path):
    (tmp_path / "names.txt").write_text("red_disc/grey.png\n\nred_disc/wrong.png\n")
    values = evaluate_localization(own, [read_boxes(photos / "boxes.csv")], exclude=read_names(tmp_path / "names.txt"))
    assert (values["images"], values["left_out"]["excluded"]) == (4, 2)
    assert values["top_error"]["count"] == 0


def test_boxes_of_other_photographs_are_refused(own, photos, tmp_path):
    (tmp_path / "other.csv").write_text("file,x,y,w,h\nred_disc/77.png,1,1,5,5\n")
    with pytest.raises(ValueError, match=r"no photograph .* is left to compare .*7 not annotated"):
        evaluate_localization(own, [read_boxes(tmp_path / "other.csv")])
    (tmp_path / "empty.csv").write_text("file,x,y,w,h\n")
    with pytest.raises(ValueError, match="7 not annotated"):
        evaluate_localization(own, [read_boxes(tmp_path / "empty.csv")])
    with pytest.raises(FileNotFoundError, match=r"No file .none\.txt."):
        read_names("none.txt")


def test_an_unfinished_run_is_not_measured(own, photos):
    own.store.discard(0)
    with pytest.raises(NotReadyError, match="give the same `vissum localize` command again"):
        evaluate_localization(own, [read_boxes(photos / "boxes.csv")])


def test_another_kind_of_run_is_not_opened(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a RUN folder"):
        open_localize(tmp_path)
