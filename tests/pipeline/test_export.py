import json

import numpy as np
import pytest
import toy_runs
import toys
from PIL import ExifTags, Image
from pycocotools.coco import COCO
from records import write_tar

from vissum_jax.pipeline import export as export_module
from vissum_jax.pipeline.export import FORMATS, check_export, export_run
from vissum_jax.pipeline.finished import open_finished
from vissum_jax.study.tags import Tag, tags_object

# pycocotools 2.0 exports its arrays by a protocol that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
BOX = (8, 4, 16, 20)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Photographs of 192 x 128, twice the network's input and then some: 32 columns of it are cut off on each side."""
    root = toys.write_photographs(tmp_path_factory.mktemp("photos"), {0: 3, 1: 2})
    for path in root.rglob("*.png"):
        wide = np.full((128, 192, 3), 120, np.uint8)
        wide[:, 32:160] = np.asarray(Image.open(path)).repeat(2, 0).repeat(2, 1)
        Image.fromarray(wide).save(path)
    return root


@pytest.fixture
def run(photos, tmp_path):
    kept = toy_runs.summary(0, {2: BOX, 0: BOX, 1: BOX}, left_out=(1,))
    dropped = toy_runs.summary(1, {0: BOX}, kept=False)
    written = toy_runs.write_run(photos, tmp_path / "run", {0: [kept, dropped], 1: []})
    return open_finished(written.folder)


def export(run, format, out, progress=None):
    recorder = progress or toys.Recorder()
    counts = export_run(run, format, out, recorder)
    recorder.assert_complete()
    return counts


def test_coco_lies_on_the_photographs(run, photos, tmp_path):
    counts = export(run, "coco", tmp_path / "out")
    masks, members = COCO(tmp_path / "out" / "masks.json"), COCO(tmp_path / "out" / "summaries.json")
    rows = {row["image"]: row for found in run.classes() for row in found.rows.to_pylist()}
    assert {(image["width"], image["height"]) for image in masks.imgs.values()} == {(192, 128)}
    assert all((photos / image["file_name"]).is_file() for image in masks.imgs.values())
    assert len(masks.anns) == counts["masks"] == sum(row["rle"] is not None for row in rows.values()) > 0
    for annotation in masks.anns.values():
        row = rows[masks.imgs[annotation["image_id"]]["file_name"]]
        whole = masks.annToMask(annotation)
        assert whole.mean() == pytest.approx(row["area"] * 128 / 192)
        assert not whole[:, :32].any()
        assert not whole[:, 160:].any()
    # The kept members of the kept summary alone.
    assert [members.imgs[a["image_id"]]["file_name"] for a in members.anns.values()] == [
        "red_disc/2.png",
        "red_disc/0.png",
    ]
    assert all(a["bbox"] == [32 + 2 * 8, 2 * 4, 2 * 16, 2 * 20] for a in members.anns.values())
    assert masks.dataset["info"]["run"] == run.manifest.fingerprint


def test_photographs_that_lie_on_their_side_are_upright(photos, tmp_path):
    own = tmp_path / "photos"
    (own / "red_disc").mkdir(parents=True)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    with Image.open(photos / "red_disc" / "0.png") as lying:
        lying.save(own / "red_disc" / "0.jpg", exif=exif)
    export(open_finished(toy_runs.write_run(own, tmp_path / "run", {0: []}).folder), "coco", tmp_path / "out")
    masks = COCO(tmp_path / "out" / "masks.json")
    assert (masks.imgs[1]["width"], masks.imgs[1]["height"]) == (128, 192)
    rows = masks.annToMask(masks.anns[1]).any(axis=1)
    assert (rows[:32].any(), rows[32:160].all(), rows[160:].any()) == (False, True, False)


def test_npz_holds_the_rows(run, tmp_path):
    counts = export(run, "npz", tmp_path / "out")
    assert (counts["images"], counts["summaries"], counts["members"]) == (5, 1, 2)
    with np.load(tmp_path / "out" / "class-00000.npz", allow_pickle=False) as arrays:
        assert arrays["masks"].shape == (3, 64, 64)
        assert arrays["member_box"].tolist() == [list(BOX)] * 2
        assert arrays["member_box_photograph"].tolist() == [[48, 8, 32, 40]] * 2


def test_names_that_people_gave_come_along(run, tmp_path):
    tag = Tag(class_index=0, summary=0, tag="disc", share=1.0, participants=2)
    (run.folder / "study").mkdir()
    tags = tags_object([tag], fingerprint=run.manifest.fingerprint, study="0" * 16)
    (run.folder / "study" / "tags.json").write_text(json.dumps(tags))
    export(run, "coco", tmp_path / "out")
    assert COCO(tmp_path / "out" / "summaries.json").cats[1]["tag"] == "disc"


@pytest.mark.parametrize("format", ["coco", "npz"])
def test_the_same_run_gives_the_same_bytes_and_replaces_what_was_there(run, tmp_path, format):
    def content():
        export(run, format, tmp_path / "out")
        return {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    first = content()
    (tmp_path / "out" / "stale.json").touch()
    assert content() == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"]


def test_a_break_leaves_the_earlier_export(run, tmp_path):
    export(run, "coco", tmp_path / "out")
    before = (tmp_path / "out" / "masks.json").read_bytes()

    class Broken(toys.Recorder):
        def advance(self, count):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_run(run, "coco", tmp_path / "out", Broken())
    assert (tmp_path / "out" / "masks.json").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"]


class Recording:
    """Stands in for FiftyOne's writer: where is each photograph, and is it a file by then?"""

    def __init__(self, folder, locate, info):
        self.folder, self.locate = folder, locate
        type(self).found = {}

    def add_class(self, exported):
        type(self).found |= {image: self.locate(image) for image in exported.images}

    def finish(self):
        return {}

    def close(self):
        pass


@pytest.mark.parametrize("kind", ["folder", "webdataset"])
def test_fiftyone_gets_photographs_that_are_files(run, photos, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(export_module, "FiftyOneWriter", Recording)
    if kind == "folder":
        names = ["red_disc/0.png", "red_disc/1.png", "red_disc/2.png", "green_square/0.png", "green_square/1.png"]
        wanted = {name: photos / name for name in names}
    else:
        files = {f"{seed}.png": (photos / "red_disc" / f"{seed}.png").read_bytes() for seed in range(3)}
        tar = write_tar(tmp_path / "all.tar", files | {f"{seed}.cls": b"0" for seed in range(3)})
        run = open_finished(toy_runs.write_run(f"webdataset:{tar}", tmp_path / "records", {0: []}).folder)
        wanted = {f"all.tar/{name}": tmp_path / "out" / "photographs" / "all.tar" / name for name in files}
    export(run, "fiftyone", tmp_path / "out")
    assert Recording.found == wanted
    assert all(
        path.read_bytes() == (photos / "red_disc" / path.name).read_bytes()
        for path in wanted.values()
        if path.parent.name != "green_square"
    )
    assert (tmp_path / "out" / "photographs").exists() == (kind == "webdataset")


def test_other_folders_and_formats_are_refused(run, tmp_path):
    assert FORMATS == ("coco", "fiftyone", "npz")
    with pytest.raises(ValueError, match="--format must be one of coco, fiftyone, npz, got 'csv'"):
        check_export("csv", tmp_path / "out")
    with pytest.raises(ValueError, match="run' holds something else than an earlier export"):
        export(run, "coco", run.folder)
    assert (run.folder / "manifest.json").is_file()
