import json
import os
import subprocess
import sys

import pytest
from records import SPEC, Sample, colours, grey, write_tfds

from vissum_jax.data import DecodeLimits, UnreadableImage
from vissum_jax.data.tfds_source import open_tfds

LABELS = ("n02099601", "n01440764")  # in another order than the network's classes
BROKEN = b"this is no picture"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorflow_datasets")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Nine records, the labels by turns; the eighth holds no picture."""
    samples = [Sample(f"v{n}.png", BROKEN if n == 7 else grey(20 * n), n % 2) for n in range(9)]
    return write_tfds(tmp_path_factory.mktemp("tfds"), LABELS, samples, file_name=True)


def test_labels_stand_for_classes_by_wordnet_id_and_records_are_read_by_class(folder):
    source = open_tfds(f"{folder}/validation", SPEC)
    assert source.classes == {0: "tench", 1: "golden_retriever"}
    assert len(source.entries) == 9
    assert [len(source.of_class(index)) for index in (0, 1, 2)] == [4, 5, 0]
    known = {entry.image.partition("_v")[2]: entry.class_index for entry in source.entries}
    assert known == {f"{n}.png": 1 - n % 2 for n in range(9)}


def test_pixels_and_hashes_are_those_of_the_encoded_files(folder):
    source = open_tfds(f"{folder}/validation", SPEC)
    for entry in source.entries:
        number = int(entry.image.partition("_v")[2].removesuffix(".png"))
        (file,) = source.fetch([entry.image], DecodeLimits())
        assert file == (BROKEN if number == 7 else grey(20 * number))
    found = dict(zip([entry.image for entry in source.entries], colours(source, source.entries), strict=True))
    good = {image: colour for image, colour in found.items() if not image.endswith("v7.png")}
    assert all(colour == 20 * int(image.partition("_v")[2].removesuffix(".png")) for image, colour in good.items())
    (broken,) = set(found) - set(good)
    assert found[broken].startswith("not a picture of a known kind")


def test_order_and_names_do_not_depend_on_what_is_taken(folder):
    every = open_tfds(f"{folder}/validation", SPEC)
    some = open_tfds(f"{folder}/validation", SPEC, classes=["tench"], limit=2)
    assert some.entries == every.of_class(0)[:2]
    by_label = open_tfds(f"{folder}/validation", SPEC, classes=["n02099601"])
    assert by_label.entries == every.of_class(1)
    assert some.where(some.entries[0].image) == f"tfds:{folder}/validation/{some.entries[0].image}"


def test_what_is_known_is_not_listed_again(folder, monkeypatch):
    first = open_tfds(f"{folder}/validation", SPEC, limit=2)
    monkeypatch.setattr("vissum_jax.data.tfds_source._listed", None)
    again = open_tfds(f"{folder}/validation", SPEC, limit=2, known=first.entries)
    assert again.entries == first.entries
    assert colours(again, again.entries) == colours(first, first.entries)


def test_a_data_set_prepared_anew_is_noticed_record_by_record(folder, tmp_path):
    source = open_tfds(f"{folder}/validation", SPEC)
    other = [Sample(f"v{n}.png", grey(n), 0) for n in range(5)]
    changed = write_tfds(tmp_path, LABELS, other, file_name=True)
    again = open_tfds(f"{changed}/validation", SPEC, known=source.entries)
    found = again.read(source.entries, SPEC, workers=1)
    readable = [e for e, result in zip(source.entries, found, strict=True) if not isinstance(result, UnreadableImage)]
    assert {str(result).partition(":")[0] for result in found if isinstance(result, UnreadableImage)} <= {
        "the record is another one now",
        "the record cannot be read",
    }
    assert all(entry.class_index == 1 for entry in readable)
    assert len(readable) < 5


def test_slices_of_a_split_and_labels_without_names(tmp_path):
    folder = write_tfds(tmp_path, 3, [Sample("", grey(n), n % 3) for n in range(6)])
    source = open_tfds(f"{folder}/validation[:4]", SPEC)
    assert len(source.entries) == 4
    assert all(entry.image.isdigit() and len(entry.image) == 8 for entry in source.entries)
    assert set(source.classes) <= {0, 1, 2}


def test_a_file_name_that_is_a_path_is_left_out_of_the_record_name(tmp_path):
    names = ["../../etc/passwd", "/etc/passwd", ".hidden", "a\nb", "x" * 200, "good.png"]
    folder = write_tfds(tmp_path, LABELS, [Sample(name, grey(9), 0) for name in names], file_name=True)
    images = [entry.image for entry in open_tfds(f"{folder}/validation", SPEC).entries]
    assert sum(image.endswith("_good.png") for image in images) == 1
    assert all(image.isdigit() for image in images if not image.endswith("_good.png"))


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("validation", "does not name a data set and a split"),
        ("/validation", "does not name a data set and a split"),
        ("no_such_set_at_all/validation", "Dataset no_such_set_at_all not found."),
        ("{folder}/test", "Unknown split 'test'. Should be one of ['validation']."),
        ("{folder}/validation[:x]", "Error parsing split 'validation[:x]'"),
    ],
)
def test_a_place_that_is_none_is_named_in_one_line(folder, place, message):
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        open_tfds(place.format(folder=folder), SPEC)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_data_set_that_is_not_prepared_or_not_as_array_record_says_what_to_do(tmp_path, monkeypatch, folder):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises((ValueError, FileNotFoundError), match="file_format='array_record'"):
        open_tfds("imagenet2012/validation", SPEC)


@pytest.mark.parametrize("classes", [[], ["unheard"]])
def test_a_label_that_names_no_class_is_an_error_where_it_is_taken(tmp_path, classes):
    samples = [Sample("", grey(0), 0), Sample("", grey(1), 1)]
    folder = write_tfds(tmp_path, ("unheard", "tench"), samples)
    with pytest.raises(ValueError, match="'unheard' names no class of net"):
        open_tfds(f"{folder}/validation", SPEC, classes=classes)
    assert len(open_tfds(f"{folder}/validation", SPEC, classes=["tench"]).entries) == 1


def test_records_without_labels_are_an_error(tmp_path):
    folder = write_tfds(tmp_path, LABELS, [Sample("", grey(0), -1)], split="test")
    with pytest.raises(ValueError, match="record 0 has no label; take a split that has labels"):
        open_tfds(f"{folder}/test", SPEC)


@pytest.mark.parametrize("file", ["features.json", "dataset_info.json"])
@pytest.mark.parametrize("text", ["{", '{"pythonClassName": "os.system"}', "[]", ""])
def test_damaged_descriptions_end_in_one_line(tmp_path, file, text):
    folder = write_tfds(tmp_path, LABELS, [Sample("", grey(0), 0)])
    (folder / file).write_text(text)
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        open_tfds(f"{folder}/validation", SPEC)
    assert "\n" not in str(error.value)


def test_records_that_are_gone_or_damaged_become_rows_once_they_are_listed(tmp_path):
    folder = write_tfds(tmp_path, LABELS, [Sample("", grey(9 * n), 0) for n in range(5)])
    source = open_tfds(f"{folder}/validation", SPEC)
    (shard,) = folder.glob("*.array_record*")
    data = bytearray(shard.read_bytes())
    for place in range(len(data)):
        data[place] ^= 0x5A
    shard.write_bytes(data)
    fresh = open_tfds(f"{folder}/validation", SPEC, known=source.entries)
    assert all(
        str(result).startswith("the record cannot be read") for result in fresh.read(source.entries, SPEC, workers=1)
    )
    shard.unlink()
    fresh = open_tfds(f"{folder}/validation", SPEC, known=source.entries)
    assert all(isinstance(result, UnreadableImage) for result in fresh.read(source.entries, SPEC, workers=1))
    with pytest.raises(ValueError, match="record 0: the record cannot be read"):
        open_tfds(f"{folder}/validation", SPEC)


def test_it_needs_no_tensorflow(folder):
    code = (
        "import sys, json\n"
        "from vissum_jax.data.tfds_source import open_tfds\n"
        "import records\n"
        f"source = open_tfds({f'{folder}/validation'!r}, records.SPEC)\n"
        "colours = records.colours(source, source.of_class(1))\n"
        "assert 'tensorflow' not in sys.modules\n"
        "print(json.dumps(colours))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(json.loads(answer.stdout)) == [0, 40, 80, 120, 160]
