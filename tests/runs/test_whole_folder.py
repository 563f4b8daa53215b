import os

import pytest

from vissum_jax.runs.folder import check_place, whole_folder

MARKER = ".mine"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def fill(out, **files):
    with whole_folder(out, MARKER, "my results") as folder:
        for name, text in files.items():
            (folder / name).write_text(text)


def test_a_folder_appears_whole_with_its_marker_and_nothing_beside_it(tmp_path):
    fill(tmp_path / "deep" / "out", a="1")
    assert names(tmp_path / "deep") == ["out"]
    assert names(tmp_path / "deep" / "out") == [MARKER, "a"]


def test_an_earlier_one_is_replaced_as_a_whole(tmp_path):
    fill(tmp_path / "out", a="1", old="")
    fill(tmp_path / "out", a="2")
    assert names(tmp_path / "out") == [MARKER, "a"]
    assert (tmp_path / "out" / "a").read_text() == "2"
    assert names(tmp_path) == ["out"]


def fail_half_way(out):
    with whole_folder(out, MARKER, "my results") as folder:
        (folder / "a").write_text("2")
        assert (out / "a").read_text() == "1"
        raise RuntimeError


def test_what_fails_leaves_the_earlier_one_as_it_was(tmp_path):
    fill(tmp_path / "out", a="1")
    with pytest.raises(RuntimeError):
        fail_half_way(tmp_path / "out")
    assert (tmp_path / "out" / "a").read_text() == "1"
    assert names(tmp_path) == ["out"]


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "out").mkdir()
    fill(tmp_path / "out", a="1")
    assert names(tmp_path / "out") == [MARKER, "a"]


def test_the_current_folder_and_a_link_are_taken_where_they_lead(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "here")
    fill(tmp_path / "link", a="1")
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path / "here") == [MARKER, "a"]
    monkeypatch.chdir(tmp_path / "here")
    fill(type(tmp_path)("."), b="1")
    assert names(tmp_path / "here") == [MARKER, "b"]


@pytest.mark.parametrize("kind", ["file", "folder", "dead link"])
def test_anything_else_is_refused_and_kept(tmp_path, kind):
    out = tmp_path / "out"
    if kind == "file":
        out.write_text("precious")
    elif kind == "folder":
        out.mkdir()
        (out / "precious").touch()
    else:
        out.symlink_to(tmp_path / "nowhere")
    for attempt in (lambda: check_place(out, MARKER, "my results"), lambda: fill(out, a="1")):
        with pytest.raises(ValueError, match=r"holds something else than my results; name another folder with --out\."):
            attempt()
    assert names(tmp_path) == ["out"]


def test_what_a_killed_process_with_our_number_left_is_cleared(tmp_path):
    left = tmp_path / f".out.{os.getpid()}.partial"
    left.mkdir()
    (left / "half").touch()
    fill(tmp_path / "out", a="1")
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == [MARKER, "a"]
