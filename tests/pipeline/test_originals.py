"""Photographs in their own size, from folders, prepared data sets and tar files: by the names of a run's rows alone."""

import hashlib

import numpy as np
import pytest
import toys
from records import Sample, png, write_tar, write_tfds

from vissum_jax.data import DecodeLimits, open_files
from vissum_jax.pipeline import ChangedError
from vissum_jax.pipeline.originals import read_originals, write_originals

PIXELS = [toys.photograph(0, seed) for seed in range(3)]
FILES = [png(pixels) for pixels in PIXELS]
NAMES = {
    "folder": ["red_disc/0.png", "red_disc/1.png", "red_disc/2.png"],
    "tfds": ["00000000", "00000001", "00000002"],
    "webdataset": ["all.tar/0.png", "all.tar/1.png", "all.tar/2.png"],
}
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorflow_datasets")


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """The same three photographs, kept in three ways; the records' labels name no class of any network."""
    root = tmp_path_factory.mktemp("places")
    toys.write_photographs(root / "photos", {0: 3})
    prepared = write_tfds(root / "tfds", ("wonder",), [Sample(f"{n}", data, 0) for n, data in enumerate(FILES)])
    files = {f"{n}.png": data for n, data in enumerate(FILES)}
    write_tar(root / "all.tar", files | {f"{n}.cls": b"wonder" for n in range(3)})
    return {
        "folder": str(root / "photos"),
        "tfds": f"tfds:{prepared}/validation",
        "webdataset": f"webdataset:{root}/all.tar",
    }


@pytest.fixture
def rows(places, kind):
    """What a run's rows say of the photographs."""
    names = NAMES[kind]
    if kind == "tfds":  # which keeps records in an order of its own
        kept = open_files(places[kind]).fetch(names, DecodeLimits())
        names = [names[kept.index(data)] for data in FILES]
    hashes = [hashlib.sha256(data).hexdigest() for data in FILES]
    return [{"image": name, "content_sha256": known} for name, known in zip(names, hashes, strict=True)]


@pytest.mark.parametrize("kind", NAMES)
def test_photographs_are_read_by_name_wherever_they_are_kept(places, kind, rows):
    found = read_originals(open_files(places[kind]), rows[::-1])
    assert all(np.array_equal(pixels, wanted) for pixels, wanted in zip(found, PIXELS[::-1], strict=True))


@pytest.mark.parametrize("kind", ["tfds", "webdataset"])
def test_files_are_written_as_they_were_with_an_ending_that_says_their_format(places, kind, rows, tmp_path):
    rows[1]["content_sha256"] = None  # unreadable from the first
    written = write_originals(open_files(places[kind]), rows, tmp_path)
    assert list(written) == [rows[0]["image"], rows[2]["image"]]
    assert [(tmp_path / path).read_bytes() for path in written.values()] == [FILES[0], FILES[2]]
    assert {path.suffix for path in written.values()} == {".png"}


@pytest.mark.parametrize("kind", NAMES)
def test_one_that_changed_or_went_is_named(places, kind, rows):
    source, (row, *_) = open_files(places[kind]), rows
    with pytest.raises(ChangedError, match=f"'{row['image']}' has changed since its mask was found; put it back"):
        read_originals(source, [{**row, "content_sha256": "0" * 64}])
    gone = row["image"].replace("0", "9")
    with pytest.raises(ChangedError, match=rf"'{gone}' has changed since its mask was found \(.*\); put it back"):
        read_originals(source, [{**row, "image": gone}])
