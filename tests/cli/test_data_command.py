import json

import pytest

ARGUMENTS = ("--variant", "part-2c", "--images-per-class", 3, "--size", 24, "--processes", 1)


def test_a_data_set_is_made_and_told_of(vissum, tmp_path):
    out = tmp_path / "flowers"
    answer = vissum("data", "an8flower", out, *ARGUMENTS, "--seed", 4, "--json")
    assert answer.code == 0
    told = json.loads(answer.out)
    assert told.pop("seconds") >= 0
    assert told == {
        "out": str(out),
        "variant": "part-2c",
        "seed": 4,
        "classes": ["red_petals", "red_pot"],
        "images": {"train": 2, "val": 2, "test": 2},
        "annotations": {"train": 10, "val": 10, "test": 10},
    }
    assert "flowers: 6/6 in" in answer.err
    assert sorted(path.name for path in (out / "images").iterdir()) == told["classes"]
    again = vissum("data", "an8flower", out, *ARGUMENTS, "--seed", 4)
    assert again.code == 0
    assert "2 classes of part-2c: red_petals, red_pot" in again.out
    assert vissum("data", "an8flower", out, *ARGUMENTS, "--seed", 5).complaint == (
        f"vissum: error: {str(out)!r} holds flowers of other settings: seed 4; name another folder."
    )


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (("--variant", "triple"), "`variant` must be one of single-6c, double-12c, part-2c, got 'triple'."),
        (("--images-per-class", 0), "`images_per_class` must be at least 3, one for each of train, val, test, got 0."),
        (("--seed", -1), "`seed` must not be negative, got -1."),
        (("--size", 0), "`size` must be positive, got 0."),
        (("--processes", 0), "--processes must be at least 1, got 0."),
    ],
)
def test_mistakes_are_named_in_one_line(vissum, tmp_path, wrong, complaint):
    arguments = dict(zip(ARGUMENTS[::2], ARGUMENTS[1::2], strict=True)) | {wrong[0]: wrong[1]}
    answer = vissum("data", "an8flower", tmp_path / "out", *(piece for pair in arguments.items() for piece in pair))
    assert (answer.code, answer.complaint) == (2, f"vissum: error: {complaint}")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_refused(vissum, tmp_path):
    (tmp_path / "precious").touch()
    answer = vissum("data", "an8flower", tmp_path, *ARGUMENTS)
    assert answer.code == 2
    assert "holds something else than rendered flowers" in answer.complaint


def test_help_has_examples(vissum):
    answer = vissum("data", "an8flower", "--help")
    assert answer.code == 0
    assert "\n  vissum data an8flower flowers --variant single-6c" in answer.out
    assert "None" not in answer.out
