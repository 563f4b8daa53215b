"""``vissum bench``: what it prints, and every exit code."""

import json

import pytest
import toys

from vissum_jax.masks.batch_size import DeviceMemoryError
from vissum_jax.pipeline import bench as module


@pytest.fixture
def quick(vissum, settings):
    """``vissum bench`` of the toy for a moment."""

    def run(*arguments):
        return vissum("bench", "--model", toys.MODEL, "--config", settings, "--seconds", "0.5", *arguments)

    return run


def test_it_says_what_was_measured_and_what_is_extrapolated(quick):
    answer = quick("--batch-size", 3, "--json")
    assert answer.code == 0
    found = json.loads(answer.out)
    assert (found["model"], found["preset"], found["precision"], found["batch_size"]) == (
        "toy",
        "compact",
        "float32",
        3,
    )
    assert found["measured"]["mask_images"] % 3 == 0
    assert found["measured"]["boxes_per_image"] == 100  # of the configuration file
    assert set(found["extrapolated"]["mask_hours"]) == {"50000", "1281167"}
    assert found["method"].startswith("Measured: ")


def test_people_get_a_table(quick):
    answer = quick("--batch-size", 3)
    assert answer.code == 0
    assert "Measured: " in answer.out
    assert "masks of 50,000 images" in answer.out
    assert "matching a class of 50 images" in answer.out
    assert "Extrapolated: " in answer.out


def test_help_has_an_example(vissum):
    answer = vissum("bench", "--help")
    assert answer.code == 0
    assert "\n  vissum bench " in answer.out
    assert "None" not in answer.out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "--model is missing"),
        (("--model", "resnet5"), "did you mean 'resnet50'?"),
        (("--model", "flowernet", "--preset", "compct"), "did you mean 'compact'?"),
        (("--model", "flowernet", "--precision", "float16"), "`precision` must be float32 or bfloat16"),
        (("--model", "flowernet", "--batch-size", 0), "--batch-size must be at least 1, got 0."),
        (("--model", "flowernet", "--seconds", 0), "--seconds must be positive, got 0.0."),
    ],
)
def test_mistakes_are_named_in_one_line(vissum, arguments, complaint):
    answer = vissum("bench", *arguments)
    assert answer.code == 2
    assert complaint in answer.complaint


def test_a_batch_that_does_not_fit_ends_with_the_setting_that_would_help(quick, monkeypatch):
    def too_large(*_, **__):
        raise DeviceMemoryError("64 images do not fit; give a smaller --batch-size.")

    monkeypatch.setattr(module, "extract", too_large)
    answer = quick("--batch-size", 64)
    assert answer.code == 1
    assert answer.complaint == "vissum: stopped: 64 images do not fit; give a smaller --batch-size."
