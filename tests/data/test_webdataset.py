import io
import os
import re
import tarfile

import pytest
from records import SPEC, colours, grey, write_tar

from vissum_jax.data import DecodeLimits, UnreadableImage
from vissum_jax.data.webdataset import open_webdataset, shards_of


@pytest.fixture
def shards(tmp_path):
    """Two tar files of three samples each, with what else such files hold."""
    for shard in range(2):
        files = {}
        for number in range(3):
            key = f"{3 * shard + number:04d}"
            files |= {f"{key}.png": grey(10 * (3 * shard + number)), f"{key}.cls": f"{number % 2}\n".encode()}
            files[f"{key}.json"] = b"{}"
        write_tar(tmp_path / f"part-{shard:03d}.tar", files)
    return f"{tmp_path}/part-{{000..001}}.tar"


def test_samples_of_all_shards_are_listed_by_class_and_read_where_they_lie(shards, tmp_path):
    source = open_webdataset(shards, SPEC)
    assert source.classes == {0: "tench", 1: "golden_retriever"}
    images = [entry.image for entry in source.entries]
    assert images == [
        *("part-000.tar/0000.png", "part-000.tar/0002.png", "part-001.tar/0003.png", "part-001.tar/0005.png"),
        *("part-000.tar/0001.png", "part-001.tar/0004.png"),
    ]
    assert colours(source, source.entries) == [0, 20, 30, 50, 10, 40]
    assert colours(source, source.of_class(1)) == [10, 40]
    assert source.fetch(images[:1], DecodeLimits()) == [grey(0)]
    assert source.where(images[0]) == f"{tmp_path}/part-000.tar/0000.png"
    assert sorted(os.listdir(tmp_path)) == ["part-000.tar", "part-001.tar"]


def test_classes_and_limit(shards):
    assert [e.image for e in open_webdataset(shards, SPEC, classes=["tench"], limit=1).entries] == [
        "part-000.tar/0000.png"
    ]
    assert open_webdataset(shards, SPEC, classes=["n02099601"]).classes == {1: "golden_retriever"}
    with pytest.raises(ValueError, match=r"No label stands for 'crane' \(class 2, crane\)"):
        open_webdataset(shards, SPEC, classes=["crane"])


def test_labels_are_names_wordnet_ids_or_indices(tmp_path):
    files = {
        "a/x.jpg": grey(1),
        "a/x.cls": b"golden retriever",
        "b.webp": grey(2),
        "b.cls": b"n02012849",
        "c.cls": b"0",
    }
    files["c.png"] = grey(3)
    write_tar(tmp_path / "one.tar", files)
    source = open_webdataset(f"{tmp_path}/*.tar", SPEC)
    assert [(entry.image, entry.class_index) for entry in source.entries] == [
        ("one.tar/c.png", 0),
        ("one.tar/a/x.jpg", 1),
        ("one.tar/b.webp", 2),
    ]


def test_patterns(tmp_path):
    for name in ("a-08.tar", "a-09.tar", "a-10.tar", "b-08.tar"):
        (tmp_path / name).touch()

    def names(pattern):
        return [path.name for path in shards_of(f"{tmp_path}/{pattern}")]

    assert names("a-{08..10}.tar") == ["a-08.tar", "a-09.tar", "a-10.tar"]
    assert names("{a,b}-08.tar") == ["a-08.tar", "b-08.tar"]
    assert names("*-08.tar") == ["a-08.tar", "b-08.tar"]
    assert names("a-1?.tar") == ["a-10.tar"]
    with pytest.raises(FileNotFoundError, match=r"No tar file '.*a-11\.tar'"):
        names("a-{10..11}.tar")
    with pytest.raises(FileNotFoundError, match="No tar files"):
        names("c-*.tar")
    for braces in ("{3..1}", "{0..999999}"):
        with pytest.raises(ValueError, match="names no shards, or too many"):
            names(f"a-{braces}.tar")
    with pytest.raises(ValueError, match="at most 100000 are read"):
        names("a-{0..9999}-{0..99}.tar")


def refused(tmp_path, message, files=None):
    if files is not None:
        write_tar(tmp_path / "x.tar", files)
    with pytest.raises(ValueError, match=message) as error:
        open_webdataset(f"{tmp_path}/x.tar", SPEC)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name", ["../x.png", "/etc/x.png", "a/../../x.png", "a\\..\\x.png", "a\nb.png", "\x1b[31m.png"]
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, name):
    refused(tmp_path, "leads elsewhere", {name: grey(0), "x.cls": b"0"})


def test_what_is_wrong_with_labels_is_said(tmp_path):
    refused(tmp_path, "picture 'x.tar/a.png' has no label; a 'a.cls' must say its class", {"a.png": grey(0)})
    refused(tmp_path, "'7' names no class|has no class 7", {"a.png": grey(0), "a.cls": b"7"})
    refused(tmp_path, "names no class of net", {"a.png": grey(0), "a.cls": b"\xff\xfe\n\n"})
    refused(tmp_path, "the file has 10000 bytes; at most 200 are read", {"a.png": grey(0), "a.cls": b"0" * 10_000})
    refused(tmp_path, "sample 'a' holds two pictures", {"a.png": grey(0), "a.jpg": grey(0), "a.cls": b"0"})
    refused(tmp_path, "holds no pictures with labels", {"a.txt": b"0", "a.cls": b"0"})


def test_compressed_damaged_and_cut_off_tar_files_are_refused(tmp_path):
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w:gz"):
        pass
    refused(tmp_path, "is no tar file, or compressed, or damaged")
    path.write_bytes(b"")
    refused(tmp_path, "is no tar file, or compressed, or damaged")
    write_tar(path, {"a.png": grey(0), "a.cls": b"0", "b.png": grey(1), "b.cls": b"1"})
    whole = path.read_bytes()
    second = whole.index(b"b.png")
    path.write_bytes(whole[:second] + b"?" * 512 + whole[second + 512 :])
    refused(tmp_path, f"is damaged at byte {second}")
    path.write_bytes(whole[: second + 700])  # in the middle of a picture
    with pytest.raises(ValueError, match=re.escape(str(path))):
        open_webdataset(str(path), SPEC)


def test_one_name_in_two_shards_of_one_name_is_refused(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_tar(tmp_path / folder / "x.tar", {"a.png": grey(0), "a.cls": b"0"})
    with pytest.raises(ValueError, match=r"holds 'x.tar/a.png', which .* holds too"):
        open_webdataset(f"{tmp_path}/*/x.tar", SPEC)


def test_links_are_rows_that_say_so_and_lead_nowhere(tmp_path):
    (tmp_path / "secret.png").write_bytes(grey(99))
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for name, kind in (("a.png", tarfile.SYMTYPE), ("b.png", tarfile.LNKTYPE), ("c.png", tarfile.CHRTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, str(tmp_path / "secret.png")
            tar.addfile(member)
            label = tarfile.TarInfo(f"{name[0]}.cls")
            label.size = 1
            tar.addfile(label, io.BytesIO(b"0"))
    source = open_webdataset(f"{tmp_path}/x.tar", SPEC)
    found = source.read(source.entries, SPEC, workers=1)
    assert [str(result) for result in found] == ["not a regular file"] * 3


def test_what_is_wrong_with_a_member_is_a_row(shards, tmp_path):
    write_tar(tmp_path / "x.tar", {"a.png": b"no picture", "a.cls": b"0", "b.png": b"", "b.cls": b"0"})
    source = open_webdataset(f"{tmp_path}/x.tar", SPEC)
    reasons = [str(result) for result in source.read(source.entries, SPEC, workers=1)]
    assert reasons[0].startswith("not a picture of a known kind")
    assert reasons[1] == "the file is empty"
    (large,) = source.fetch(["x.tar/a.png"], DecodeLimits(max_bytes=5))
    assert str(large) == "the file has 10 bytes; at most 5 are read"
    os.truncate(tmp_path / "x.tar", 515)
    assert str(source.fetch(["x.tar/a.png"], DecodeLimits())[0]) == "the tar file ends before its member"
    (tmp_path / "x.tar").unlink()
    (gone,) = source.fetch(["x.tar/a.png"], DecodeLimits())
    assert isinstance(gone, UnreadableImage)
    assert str(gone).startswith("the tar file cannot be read")
