"""Files of class names: the three forms, and the text of every error."""

import re
from pathlib import Path

import jax
import pytest

from vissum_jax.models import init_classifier, load_classifier, read_class_names, save_weights
from vissum_jax.models.checkpoint import read_checkpoint

NAMES = ("daisy", "tulip", "Gänseblümchen")


@pytest.mark.parametrize(
    "text",
    [
        "daisy\ntulip\nGänseblümchen\n",
        "daisy\r\ntulip\r\nGänseblümchen",
        "\ufeff daisy \ntulip\nGänseblümchen\n\n\n",
        '["daisy", "tulip", "Gänseblümchen"]',
        '{"1": "tulip", "0": "daisy", "2": "Gänseblümchen"}',
    ],
)
def test_names_are_read(tmp_path: Path, text: str):
    (tmp_path / "names").write_text(text, encoding="utf-8")
    assert read_class_names(tmp_path / "names") == NAMES


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"daisy\n\ntulip\n", "name 2 of 3 in {path} is empty"),
        (b'["daisy", " "]', "name 2 of 2 in {path} is empty"),
        (b"", "name 1 of 1 in {path} is empty"),
        (b"daisy\ntulip\ndaisy\n", "'daisy' is twice in {path} (names 1 and 3); every class needs its own"),
        (
            b'{"0": "daisy", "2": "tulip"}',
            "{path} cannot be read: its keys must be the indices 0 to 1, and 1 is missing",
        ),
        (b'{"0": "daisy", "0": "tulip"}', "{path} cannot be read: its key '0' occurs twice"),
        (b'["daisy", 3]', "{path} cannot be read: neither a list of names nor an object from index to name"),
        (b"[]", "{path} cannot be read: neither a list of names nor an object from index to name"),
        (b"{}", "{path} cannot be read: neither a list of names nor an object from index to name"),
        (b'["daisy"', "{path} cannot be read: Expecting ',' delimiter: line 1 column 9 (char 8)"),
        (
            b"daisy\xff",
            "{path} cannot be read: 'utf-8' codec can't decode byte 0xff in position 5: invalid start byte",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "names.txt"
    path.write_bytes(content)
    expected = f"`class_names`: {message.format(path=path)}."
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        read_class_names(path)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=re.escape(f"`class_names`: there is no file {tmp_path / 'none'}.")):
        read_class_names(tmp_path / "none")


def test_names_from_a_file_name_a_fine_tuned_head(tmp_path: Path):
    save_weights(init_classifier("flowernet", class_names="abc", key=jax.random.key(0)), tmp_path / "w.npz")
    (tmp_path / "names").write_text("\n".join(NAMES), encoding="utf-8")
    loaded = load_classifier("flowernet", weights=tmp_path / "w.npz", class_names=read_class_names(tmp_path / "names"))
    assert loaded.spec.class_names == NAMES
    save_weights(loaded, tmp_path / "named.safetensors")
    assert read_checkpoint(tmp_path / "named.safetensors").class_names == NAMES
