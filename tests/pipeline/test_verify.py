"""What a network recognises among labelled photographs."""

import dataclasses
import math
import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import toys
from PIL import Image

from vissum_jax.pipeline.verify import Recognised, Verification, open_labelled, verify_classifier
from vissum_jax.types import Classifier, Outputs

IDS = ("n00000010", "n00000020", "n00000030", "n00000040")


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    toy = toys.make_classifier()
    return dataclasses.replace(toy, spec=dataclasses.replace(toy.spec, wordnet_ids=IDS))


def _save(path: Path, class_index: int, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(toys.photograph(class_index, seed)).save(path)


def wilson(successes: int, of: int) -> tuple[float, float]:
    """Wilson's interval as printed in textbooks, z = 1.96."""
    z, share = 1.959963984540054, successes / of
    centre = (share + z**2 / (2 * of)) / (1 + z**2 / of)
    half = z / (1 + z**2 / of) * math.sqrt(share * (1 - share) / of + z**2 / (4 * of**2))
    return centre - half, centre + half


@pytest.mark.parametrize(("right", "of"), [(0, 5), (1, 7), (49, 59), (115, 115)])
def test_the_interval_is_wilsons(right: int, of: int):
    np.testing.assert_allclose(Recognised(images=of, top1=right, top5=of).top1_interval, wilson(right, of), atol=1e-9)


def test_nothing_seen_says_nothing():
    none = Recognised(images=0, top1=0, top5=0)
    assert none.top1_interval == (0.0, 1.0)
    assert none.plain()["top1"] is None


@pytest.mark.parametrize(
    ("top1", "known", "far_below"),
    [(0, 0.6, True), (20, 0.7, True), (21, 0.7, False), (12, 0.7, True), (0, None, False), (50, 0.7, False)],
)
def test_far_below_is_the_upper_end_plus_a_margin(top1: int, known: float | None, far_below: bool):
    total = Recognised(images=50, top1=top1, top5=50)
    result = Verification(total=total, by_class={}, class_names={}, unreadable=(), known_top1=known)
    assert result.far_below is far_below
    if known is not None:
        assert far_below == (wilson(top1, 50)[1] + 0.15 < known)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_counts_by_class_and_in_all(tmp_path: Path, classifier: Classifier, batch_size: int):
    toys.write_photographs(tmp_path, {0: 3, 1: 2})
    _save(tmp_path / "red_disc" / "wrong.png", 2, 0)  # blue, in the folder of the red
    (tmp_path / "green_square" / "broken.png").write_bytes(b"no picture")
    progress = toys.Recorder()
    source = open_labelled(tmp_path, classifier.spec)
    result = verify_classifier(classifier, source, progress, batch_size=batch_size)
    progress.assert_complete()
    assert result.total == Recognised(images=6, top1=5, top5=6)
    assert result.by_class == {
        0: Recognised(images=4, top1=3, top5=4),
        1: Recognised(images=2, top1=2, top5=2),
    }
    ((image, reason),) = result.unreadable
    assert image == "green_square/broken.png"
    assert "not a picture" in reason
    plain = result.plain()
    assert [row["class_name"] for row in plain["classes"]] == ["red disc", "green square"]
    assert plain["top1"] == pytest.approx(5 / 6)


def test_answers_that_are_no_numbers_or_all_alike_are_wrong(tmp_path: Path, classifier: Classifier):
    toys.write_photographs(tmp_path, {0: 2})
    source = open_labelled(tmp_path, classifier.spec)
    for logits in (jnp.full(4, jnp.nan), jnp.zeros(4), jnp.array([jnp.inf, 0, 0, 0])):
        broken = dataclasses.replace(
            classifier,
            apply=lambda params, images, logits=logits: Outputs(jnp.tile(logits, (len(images), 1)), {}),
        )
        assert verify_classifier(broken, source, toys.Recorder()).total.top1 == 0


def test_top5_counts_the_right_class_among_the_first_five(tmp_path: Path):
    toy = toys.make_classifier()
    spec = dataclasses.replace(toy.spec, class_names=tuple("abcdefgh"))
    for name in "abcdefgh":
        _save(tmp_path / name / "1.png", 0, 0)
    descending = dataclasses.replace(
        toy, spec=spec, apply=lambda params, images: Outputs(jnp.tile(-jnp.arange(8.0), (len(images), 1)), {})
    )
    result = verify_classifier(descending, open_labelled(tmp_path, spec), toys.Recorder())
    assert result.total == Recognised(images=8, top1=1, top5=5)
    assert [counts.top5 for counts in result.by_class.values()] == [1, 1, 1, 1, 1, 0, 0, 0]


def test_one_folder_of_files_that_begin_with_wordnet_ids(tmp_path: Path, classifier: Classifier):
    for name, class_index in (("n00000020_green", 1), ("n00000010_red", 0), ("N00000010-other", 0), ("n00000030.x", 2)):
        _save(tmp_path / f"{name}.png", class_index, 0)
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / ".hidden.png").write_text("not seen")
    source = open_labelled(tmp_path, classifier.spec)
    assert [(entry.image, entry.class_index) for entry in source.entries] == [
        ("N00000010-other.png", 0),
        ("n00000010_red.png", 0),
        ("n00000020_green.png", 1),
        ("n00000030.x.png", 2),
    ]
    assert verify_classifier(classifier, source, toys.Recorder()).total.top1 == 4
    chosen = open_labelled(tmp_path, classifier.spec, classes=["red disc", "n00000030"], limit=1)
    assert [entry.image for entry in chosen.entries] == ["N00000010-other.png", "n00000030.x.png"]


def test_a_folder_without_labels_is_refused(tmp_path: Path, classifier: Classifier):
    def complaint(**arguments) -> str:
        with pytest.raises(ValueError, match=r"^\S+") as caught:
            open_labelled(tmp_path, classifier.spec, **arguments)
        return str(caught.value)

    assert complaint() == f"{str(tmp_path)!r} holds no class folders."
    _save(tmp_path / "n00000010_red.png", 0, 0)
    assert complaint(classes=["green square"]) == f"{str(tmp_path)!r} holds no photograph of green square."
    assert complaint(classes=["violet"]).startswith("'violet' names no class of toy")
    assert complaint(limit=0) == "`limit` must be at least 1, got 0."
    _save(tmp_path / "n00000099_none.png", 0, 0)
    assert complaint() == "'n00000099' is the WordNet id of no class of toy."
    (tmp_path / "n00000099_none.png").rename(tmp_path / "12.png")
    assert complaint() == (
        f"{str(tmp_path)!r} has no class folders, and its file '12.png' does not begin with a WordNet id."
    )
    with pytest.raises(FileNotFoundError, match=re.escape(f"No folder {str(tmp_path / 'none')!r}.")):
        open_labelled(tmp_path / "none", classifier.spec)


def test_class_folders_go_before_loose_files(tmp_path: Path, classifier: Classifier):
    toys.write_photographs(tmp_path, {1: 2})
    _save(tmp_path / "n00000010_red.png", 0, 0)
    assert [entry.class_index for entry in open_labelled(tmp_path, classifier.spec).entries] == [1, 1]
