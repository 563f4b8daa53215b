import hashlib
import shutil

import pytest
import toys

from vissum_jax.data import open_folder
from vissum_jax.pipeline.splits import (
    OverlapError,
    content_hashes,
    link_split,
    make_split,
    open_source,
    parse_shares,
    read_lines,
    read_split,
    require_disjoint,
    write_split,
)

SHARES = {"summaries": 0.5, "train": 0.25, "test": 0.25}
SPEC = toys.make_classifier().spec


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return toys.write_photographs(tmp_path_factory.mktemp("photos"), {0: 8, 1: 8, 2: 4})


def test_each_class_is_divided_at_the_shares_without_overlap(photos):
    parts = make_split(photos, SHARES, seed=0)
    assert {name: len(images) for name, images in parts.items()} == {"summaries": 10, "train": 5, "test": 5}
    assert sum(name.startswith("blue_bar/") for name in parts["summaries"]) == 2
    assert len(set().union(*parts.values())) == 20


def test_the_seed_decides_and_names_do_not(photos, tmp_path):
    parts = make_split(photos, SHARES, seed=0)
    assert make_split(photos, SHARES, seed=0) == parts
    assert make_split(photos, SHARES, seed=1) != parts
    renamed = tmp_path / "renamed"
    shutil.copytree(photos, renamed)
    for path in (renamed / "red_disc").iterdir():
        path.rename(path.with_name(f"z{path.name}"))
    again = make_split(renamed, SHARES, seed=0)
    assert {name.replace("/z", "/") for name in again["test"]} == set(parts["test"])


def test_folders_that_are_left_out_change_nothing_for_the_others(photos):
    parts, fewer = make_split(photos, SHARES, seed=0), make_split(photos, SHARES, seed=0, exclude=["red_disc"])
    for name, images in parts.items():
        assert fewer[name] == tuple(image for image in images if not image.startswith("red_disc/"))
    with pytest.raises(ValueError, match=r"`exclude`: .* has no class folder 'red'\."):
        make_split(photos, SHARES, seed=0, exclude=["red"])


def test_copies_of_a_photograph_stay_together(tmp_path):
    photos = toys.write_photographs(tmp_path / "photos", {0: 4})
    for path in list((photos / "red_disc").iterdir()):
        shutil.copy(path, path.with_name(f"copy-{path.name}"))
    parts = make_split(photos, {"one": 0.5, "other": 0.5}, seed=3)
    for images in parts.values():
        assert {name.replace("copy-", "") for name in images if "copy-" in name} == {
            name for name in images if "copy-" not in name
        }


def test_what_is_left_over_is_in_no_list(photos):
    assert len(make_split(photos, {"some": 0.25}, seed=0)["some"]) == 5


def test_lists_come_back_as_they_were_written(photos, tmp_path):
    parts = make_split(photos, SHARES, seed=0)
    write_split(parts, tmp_path, about="by hand")
    assert (tmp_path / "test.txt").read_text().startswith("# by hand\n")
    assert read_split(tmp_path) == parts


def test_folders_of_a_split_are_ready_for_a_run(photos, tmp_path):
    labelled = tmp_path / "labelled"
    shutil.copytree(photos, labelled)
    (labelled / "red_disc").rename(labelled / "apples")
    (labelled / "labels.csv").write_text("folder,imagenet_index\napples,0\nblue_bar,2\n")
    parts = {"a": ("apples/0.png",), "b": ("apples/1.png", "green_square/0.png")}
    link_split(labelled, parts, tmp_path / "out")
    (entry,) = open_folder(tmp_path / "out" / "a", SPEC).entries
    assert (entry.image, entry.class_index) == ("apples/0.png", 0)
    assert (tmp_path / "out" / "a" / "apples" / "0.png").read_bytes() == (labelled / "apples" / "0.png").read_bytes()
    link_split(labelled, {"a": parts["a"]}, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".vissum-split", "a"]


def test_folders_take_no_one_else_s_place(photos, tmp_path):
    (tmp_path / "precious.txt").touch()
    with pytest.raises(ValueError, match="holds something else than an earlier split"):
        link_split(photos, {"a": ("red_disc/0.png",)}, tmp_path)
    with pytest.raises(FileNotFoundError, match=r"No file .*red_disc/99\.png"):
        link_split(photos, {"a": ("red_disc/99.png",)}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_names_that_lead_out_of_the_folder_are_refused(photos, tmp_path):
    (tmp_path / "list.txt").write_text("red_disc/../../elsewhere.png\n")
    with pytest.raises(ValueError, match=r"'red_disc/\.\./\.\./elsewhere\.png' leads out of"):
        open_source(tmp_path / "list.txt", photos, SPEC)
    with pytest.raises(ValueError, match="leads out of"):
        link_split(photos, {"a": ("/etc/passwd",)}, tmp_path / "out")


def test_a_list_names_photographs_of_a_folder(photos, tmp_path):
    (tmp_path / "list.txt").write_text("# two\ngreen_square/3.png\n\n  red_disc/0.png  \n")
    source = open_source(tmp_path / "list.txt", photos, SPEC)
    assert [(entry.image, entry.class_index) for entry in source.entries] == [
        ("green_square/3.png", 1),
        ("red_disc/0.png", 0),
    ]


def test_a_name_that_is_not_there_is_named(photos, tmp_path):
    (tmp_path / "list.txt").write_text("red_disc/0.png\nred_disc/99.png\nnowhere/0.png\n")
    with pytest.raises(ValueError, match=r"'red_disc/99\.png' is no photograph .*, nor are 1 others; .* --images\."):
        open_source(tmp_path / "list.txt", photos, SPEC)


def test_folders_are_sources_too(photos, tmp_path):
    assert len(open_source(photos, tmp_path, SPEC).entries) == 20
    named = tmp_path / "named"
    named.mkdir()
    shutil.copy(photos / "red_disc" / "0.png", named / "red_disc.png")
    (entry,) = open_source(named, tmp_path, SPEC).entries
    assert (entry.image, entry.class_index, entry.class_name) == ("red_disc.png", 0, "red disc")
    shutil.copy(photos / "red_disc" / "0.png", named / "zebra.png")
    with pytest.raises(ValueError, match="neither in a class folder nor named after a class: 'zebra' names no class"):
        open_source(named, tmp_path, SPEC)


def test_hashes_are_those_of_the_files(photos):
    data = (photos / "red_disc" / "0.png").read_bytes()
    assert content_hashes(photos, ["red_disc/0.png"]) == {"red_disc/0.png": hashlib.sha256(data).hexdigest()}
    with pytest.raises(ValueError, match=r"99\.png': no such file"):
        content_hashes(photos, ["red_disc/99.png"])


def test_a_photograph_that_serves_twice_is_named_with_both_purposes():
    require_disjoint({"the weight": {"a": "1", "copy of a": "1"}, "the test": {"b": "2"}})
    with pytest.raises(OverlapError, match=r"by their content: 'c' \(the test\) is 'a' \(the weight\); take them out"):
        require_disjoint({"the weight": {"a": "1"}, "the test": {"b": "2", "c": "1"}})
    many = {str(number): str(number) for number in range(9)}
    with pytest.raises(OverlapError, match=r"'4' \(two\) is '4' \(one\), and 4 more; take"):
        require_disjoint({"one": many, "two": many})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a", "must be NAME=SHARE,NAME=SHARE,.., got 'a'"),
        ("a=x", "must be NAME=SHARE,NAME=SHARE,.., got 'a=x'"),
        ("../a=0.5", r"a name has letters, digits, - and _, got '\.\./a'"),
        ("a=0.7,b=0.7", "must be positive and at most 1 in all"),
        ("a=-1", "must be positive"),
        ("a=nan", "must be positive"),
    ],
)
def test_shares_that_make_no_sense_are_refused(text, complaint):
    with pytest.raises(ValueError, match=complaint):
        parse_shares(text)


def test_lists_that_make_no_sense_are_refused(tmp_path):
    path = tmp_path / "list.txt"
    with pytest.raises(FileNotFoundError, match="No file"):
        read_lines(path)
    with pytest.raises(FileNotFoundError, match=r"holds no list NAME\.txt"):
        read_split(tmp_path)
    for data, complaint in ((b"# nothing\n", "is empty"), (b"\xff", "is not text"), (b"a\nb\na\n", "names 'a' twice")):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=complaint):
            read_lines(path)


def test_photographs_without_class_folders_are_divided_as_one(tmp_path):
    for number in range(8):
        (tmp_path / f"n0144{number}_fish.jpg").write_bytes(bytes([number]))
    (tmp_path / "notes.txt").write_text("no photograph")
    split = make_split(tmp_path, {"weight": 0.5, "test": 0.5}, seed=3)
    assert (len(split["weight"]), len(split["test"])) == (4, 4)
    assert sorted(split["weight"] + split["test"]) == [f"n0144{number}_fish.jpg" for number in range(8)]
    link_split(tmp_path, split, tmp_path / "parts")
    assert sorted(path.name for path in (tmp_path / "parts" / "test").iterdir()) == list(split["test"])


def test_a_folder_without_photographs_cannot_be_divided(tmp_path):
    with pytest.raises(FileNotFoundError, match="No folder"):
        make_split(tmp_path / "nowhere", SHARES, seed=0)
    with pytest.raises(ValueError, match="holds neither class folders nor photographs"):
        make_split(tmp_path, SHARES, seed=0)
