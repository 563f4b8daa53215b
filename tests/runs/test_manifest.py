import dataclasses
import json

import pytest

from vissum_jax.runs.manifest import FORMAT, Manifest, differences, flat, load_manifest

MANIFEST = Manifest(
    configuration={"run": {"preset": "compact", "limit": None}, "masks": {"steps": 120, "blend": {"sigma": 10.0}}},
    fingerprint="f" * 64,
    request={"images": "/photos", "overrides": {}},
    model={"name": "tiny", "weights_sha256": "a" * 64, "input_height": 64, "input_width": 48, "classes": 3},
    versions={"jax": "0.10.2"},
    device="1 x cpu",
    entries=(("robin/größe\n<1>.jpg", 15, "robin"), ("robin/2.jpg", 15, "robin"), ("oboe/1.jpg", 683, "oboe")),
    shards=((0, 2), (2, 3)),
)


def changed(**values):
    return dataclasses.replace(MANIFEST, **values)


def test_a_manifest_reads_back_as_it_was_saved(tmp_path):
    MANIFEST.save(tmp_path)
    assert load_manifest(tmp_path) == MANIFEST


def test_saving_is_a_single_readable_json_file(tmp_path):
    MANIFEST.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]
    assert json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))["format"] == FORMAT


def test_it_names_its_classes():
    assert MANIFEST.classes == {15: "robin", 683: "oboe"}


def test_a_folder_without_a_manifest_is_no_run(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"is not a RUN folder: it holds no manifest\.json\.$"):
        load_manifest(tmp_path)


def stored(**values):
    return json.dumps({**dataclasses.asdict(MANIFEST), **values}).encode()


def without(name):
    values = dataclasses.asdict(MANIFEST)
    del values[name]
    return json.dumps(values).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff\xfe",
        without("shards"),
        without("entries"),
        without("device"),
        stored(entries=[["robin/1.jpg"]]),
        stored(entries=5),
        stored(shards=[[0]]),
        stored(surprise=1),
    ],
)
def test_a_damaged_manifest_is_said_to_be_damaged(tmp_path, data):
    (tmp_path / "manifest.json").write_bytes(data)
    with pytest.raises(ValueError, match=r"manifest\.json' is damaged: .+"):
        load_manifest(tmp_path)


@pytest.mark.parametrize(("data", "found"), [(stored(format=99), "99"), (b"{}", "None"), (b"[]", "None")])
def test_a_manifest_of_another_format_is_refused(tmp_path, data, found):
    (tmp_path / "manifest.json").write_bytes(data)
    with pytest.raises(ValueError, match=rf"has format {found}; this version reads {FORMAT}\.$"):
        load_manifest(tmp_path)


def test_nested_values_become_dotted_names():
    assert dict(flat({"a": {"b": {"c": 1}, "d": []}, "e": None})) == {"a.b.c": 1, "a.d": [], "e": None}


def test_equal_manifests_do_not_differ(tmp_path):
    MANIFEST.save(tmp_path)
    assert differences(load_manifest(tmp_path), MANIFEST) == []


def test_versions_and_device_may_change():
    assert differences(MANIFEST, changed(versions={"jax": "9"}, device="8 x tpu")) == []


def test_each_changed_setting_is_a_line_of_its_own():
    other = changed(
        configuration={"run": {"preset": "paper", "limit": 5}, "masks": {"steps": 120, "blend": {"sigma": 5.0}}}
    )
    assert differences(MANIFEST, other) == [
        "masks.blend.sigma: 10.0 -> 5.0",
        "run.limit: None -> 5",
        "run.preset: 'compact' -> 'paper'",
    ]


def test_settings_that_come_and_go_are_named():
    other = changed(configuration={"run": {"preset": "compact", "limit": None}, "masks": {"steps": 120, "new": 1}})
    assert differences(MANIFEST, other) == [
        "masks.blend.sigma: 10.0 -> '(unset)'",
        "masks.new: '(unset)' -> 1",
    ]


def test_other_weights_are_another_run():
    other = changed(model={**MANIFEST.model, "weights_sha256": "b" * 64})
    (line,) = differences(MANIFEST, other)
    assert "weights_sha256" in line
    assert line.endswith(f"{'a' * 64!r} -> {'b' * 64!r}")


def test_a_network_with_another_input_is_another_run():
    (line,) = differences(MANIFEST, changed(model={**MANIFEST.model, "input_width": 64}))
    assert "input_width: 48 -> 64" in line


def test_images_that_come_and_go_are_counted():
    entries = (*MANIFEST.entries[1:], ("oboe/2.jpg", 683, "oboe"), ("oboe/3.jpg", 683, "oboe"))
    assert differences(MANIFEST, changed(entries=entries)) == ["images: 3 -> 4 (1 gone, 2 added)"]


def test_an_image_that_moved_to_another_class_is_gone_and_added():
    entries = (("robin/größe\n<1>.jpg", 16, "robin"), *MANIFEST.entries[1:])
    assert differences(MANIFEST, changed(entries=entries)) == ["images: 3 -> 3 (1 gone, 1 added)"]
