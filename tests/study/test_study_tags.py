import json

import pytest

from vissum_jax.study.tags import Tag, read_tags, tags_object

EAR = Tag(class_index=7, summary=0, tag="ear", share=0.8, participants=5)
LEG = Tag(class_index=9, summary=2, tag="<b>leg", share=0.5, participants=2)


@pytest.fixture
def run(tmp_path):
    (tmp_path / "study").mkdir()
    return tmp_path


def write(run, values):
    (run / "study" / "tags.json").write_text(values if isinstance(values, str) else json.dumps(values))


def test_tags_come_back(run):
    write(run, tags_object([EAR, LEG], fingerprint="f00", study="0" * 16))
    assert read_tags(run, fingerprint="f00") == {(7, 0): EAR, (9, 2): LEG}


def test_tags_of_another_configuration_name_nothing(run):
    write(run, tags_object([EAR], fingerprint="f00", study="0" * 16))
    assert read_tags(run, fingerprint="f01") == {}


def test_no_study_no_tags(run):
    assert read_tags(run, fingerprint="f00") == {}


@pytest.mark.parametrize(
    "damage",
    [
        "{",
        "[]",
        {},
        {**tags_object([EAR], fingerprint="f00", study="0"), "tags": [{"tag": "ear"}]},
        {**tags_object([EAR], fingerprint="f00", study="0"), "tags": 3},
    ],
)
def test_damage_is_told(run, damage):
    write(run, damage)
    with pytest.raises(ValueError, match=r"tags\.json' is damaged: "):
        read_tags(run, fingerprint="f00")


def test_another_version_is_told(run):
    write(run, {**tags_object([EAR], fingerprint="f00", study="0"), "version": 2})
    with pytest.raises(ValueError, match=r"another format than vissum-tags 1; score the study again\."):
        read_tags(run, fingerprint="f00")
