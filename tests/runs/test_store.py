import errno
import hashlib
import json
import os
import time

import pyarrow as pa
import pytest

from vissum_jax.runs.store import LocalFolder, PartState, PartStore, write_atomically

TABLE = pa.table({"image": ["a", "b", "c"], "area": [0.25, None, 1.0]})


@pytest.fixture
def store(tmp_path):
    return PartStore(tmp_path / "masks")


def hidden(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_a_file_is_written_whole_and_nothing_else_is_left(tmp_path):
    write_atomically(tmp_path / "new" / "file.bin", b"\x00\xff")
    assert (tmp_path / "new" / "file.bin").read_bytes() == b"\x00\xff"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file.bin"]


def test_a_crash_before_the_rename_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file.bin"
    write_atomically(path, b"old")

    def crash(source, target):
        assert source.read_bytes() == b"new", "the new file is whole before it is renamed"
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert hidden(tmp_path) == []


def test_the_bytes_reach_the_disk_before_the_name_does(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (order.append("fsync"), fsync(handle)))
    monkeypatch.setattr(os, "replace", lambda *names: (order.append("replace"), replace(*names)))
    write_atomically(tmp_path / "file", b"x")
    assert order == ["fsync", "replace", "fsync"], "the file, its name, the folder that holds the name"


def test_a_committed_part_is_done_and_reads_back(store):
    store.commit(3, TABLE)
    assert store.done(3)
    assert store.read(3).equals(TABLE)
    assert sorted(path.name for path in store.folder.iterdir()) == ["part-00003.done", "part-00003.parquet"]


def test_the_marker_holds_the_rows_and_the_hash_of_the_part(store):
    store.commit(0, TABLE)
    record = json.loads(store.marker(0).read_text())
    assert record == {"rows": 3, "sha256": hashlib.sha256(store.part(0).read_bytes()).hexdigest()}


def test_a_part_that_was_never_written_is_not_done(store):
    assert not store.done(0)


def damage_nothing_but_remove_the_marker(store):
    store.marker(0).unlink()


def remove_the_part(store):
    store.part(0).unlink()


def truncate_the_part(store):
    data = store.part(0).read_bytes()
    store.part(0).write_bytes(data[: len(data) // 2])


def empty_the_part(store):
    store.part(0).write_bytes(b"")


def change_one_byte(store):
    data = bytearray(store.part(0).read_bytes())
    data[len(data) // 2] ^= 1
    store.part(0).write_bytes(data)


def truncate_the_marker(store):
    store.marker(0).write_bytes(store.marker(0).read_bytes()[:10])


def empty_the_marker(store):
    store.marker(0).write_bytes(b"")


def fill_the_marker_with_noise(store):
    store.marker(0).write_bytes(b"\x80\x81\x82\x83")


def make_the_marker_another_kind_of_json(store):
    store.marker(0).write_bytes(b"[]")


@pytest.mark.parametrize(
    "damage",
    [
        damage_nothing_but_remove_the_marker,
        remove_the_part,
        truncate_the_part,
        empty_the_part,
        change_one_byte,
        truncate_the_marker,
        empty_the_marker,
        fill_the_marker_with_noise,
        make_the_marker_another_kind_of_json,
    ],
)
def test_a_damaged_part_is_not_done_and_a_second_commit_mends_it(store, damage):
    store.commit(0, TABLE)
    damage(store)
    assert not store.done(0)
    store.commit(0, TABLE)
    assert store.done(0)
    assert store.read(0).equals(TABLE)


def test_a_crash_between_part_and_marker_leaves_the_part_undone(store, monkeypatch):
    replace = os.replace

    def crash_at_the_marker(source, target):
        if str(target).endswith(".done"):
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", crash_at_the_marker)
    with pytest.raises(KeyboardInterrupt):
        store.commit(0, TABLE)
    assert store.part(0).exists()
    assert not store.done(0)


def test_another_part_under_an_old_marker_is_not_done(store):
    store.commit(0, TABLE)
    store.commit(1, TABLE.slice(0, 1))
    store.part(1).replace(store.part(0))
    assert not store.done(0)


def test_a_discarded_part_is_not_done_and_may_be_discarded_again(store):
    store.commit(0, TABLE)
    store.discard(0)
    assert not store.done(0)
    assert list(store.folder.iterdir()) == []
    store.discard(0)


@pytest.mark.parametrize(
    ("damage", "state"),
    [
        (damage_nothing_but_remove_the_marker, PartState.NO_MARKER),
        (remove_the_part, PartState.NO_PART),
        (truncate_the_part, PartState.MISFIT),
        (truncate_the_marker, PartState.BAD_MARKER),
        (make_the_marker_another_kind_of_json, PartState.MISFIT),
    ],
)
def test_what_is_wrong_with_a_part_is_told(store, damage, state):
    assert store.state(0) is PartState.MISSING
    store.commit(0, TABLE)
    assert store.state(0) is PartState.DONE
    damage(store)
    assert store.state(0) is state


def test_what_killed_writers_left_goes_with_the_next_commit(store):
    store.commit(1, TABLE)
    (store.folder / ".part-00000.parquet.0a1b2c3d.partial").write_bytes(b"PAR1")
    (store.folder / ".part-00001.parquet.0a1b2c3d.partial").write_bytes(b"somebody may be writing it")
    store.commit(0, TABLE)
    assert hidden(store.folder) == [".part-00001.parquet.0a1b2c3d.partial"]


# What leases are made of.


@pytest.fixture
def folder(tmp_path):
    return LocalFolder(tmp_path / "new")


def test_a_name_is_created_once(folder):
    assert folder.create("lease", b"mine")
    assert not folder.create("lease", b"yours")
    assert folder.read("lease") == b"mine"


def test_what_a_full_disk_did_not_take_was_not_created(folder, monkeypatch):
    def full(handle, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            folder.create("lease", b"mine")
    assert folder.create("lease", b"mine")


def test_a_version_changes_with_every_write_and_touch(folder):
    assert folder.version("lease") is None
    assert not folder.touch("lease")
    folder.create("lease", b"mine")
    versions = [folder.version("lease")]
    assert folder.version("lease") == versions[0]
    for change in (lambda: folder.touch("lease"), lambda: folder.write("lease", b"mine")):
        time.sleep(0.01)
        change()
        versions.append(folder.version("lease"))
    assert len(set(versions)) == 3
    folder.remove("lease")
    folder.remove("lease")
    assert folder.version("lease") is None
