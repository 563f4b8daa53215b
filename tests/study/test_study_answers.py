import json
import os

import pytest

from vissum_jax.study.answers import MAX_BYTES, Answers, read_answers

STUDY = "0123456789abcdef"


def answers(participant="Ann", **changes):
    return {
        "format": "vissum-study-answers",
        "version": 1,
        "study": STUDY,
        "participant": participant,
        "order": ["7-1", "7-0", "12-0"],
        "answers": {"7-0": {"nouns": ["ear", "Eyes"], "no_idea": False}, "12-0": {"nouns": [], "no_idea": True}},
        **changes,
    }


def write(folder, name, values):
    data = values if isinstance(values, bytes) else json.dumps(values).encode()
    (folder / name).write_bytes(data)
    return folder


def test_answers_are_read_by_file_name(tmp_path):
    write(tmp_path, "b.json", answers("Bob", answers={}))
    write(tmp_path, "a.json", answers())
    write(tmp_path, "notes.txt", b"not mine")
    (tmp_path / "score").mkdir()
    assert read_answers(tmp_path) == [
        Answers(file="a.json", study=STUDY, participant="Ann", nouns={(7, 0): ("ear", "Eyes"), (12, 0): ()}),
        Answers(file="b.json", study=STUDY, participant="Bob", nouns={}),
    ]


def one(nouns, no_idea=False):
    return {"answers": {"7-0": {"nouns": nouns, "no_idea": no_idea}}}


BAD = {
    "not JSON": (b"{", "it is not JSON"),
    "not UTF-8": (b'{"format": "\xff"}', "it is not JSON"),
    "too deep": (b"[" * 200_000, "it is not JSON"),
    "a number of endless digits": (b'{"version": ' + b"1" * 10_000 + b"}", "it is not JSON"),
    "a list": ([], "its `format` is not 'vissum-study-answers'"),
    "another format": (answers(format="coco"), "its `format` is not 'vissum-study-answers'"),
    "another version": (answers(version=2), "its `version` is 2, not 1"),
    "a name too many": (answers(more=1), "its names are ['answers', 'format', 'more',"),
    "another study's form": (answers(study="../../etc"), "its `study` is not 16 hexadecimal digits"),
    "study of a wrong type": (answers(study=["0"]), "its `study` is not 16 hexadecimal digits"),
    "no participant": (answers(participant=""), "its `participant` is not a text of 1 to 60 characters"),
    "participant of blanks": (answers(participant=" Ann"), "its `participant` is not a text of 1 to 60 characters"),
    "participant with control": (
        answers(participant="A\x1b[2J"),
        "its `participant` is not a text of 1 to 60 characters",
    ),
    "long participant": (answers(participant="A" * 61), "its `participant` is not a text of 1 to 60 characters"),
    "order of a wrong type": (answers(order={"7-0": 1}), "its `order` is no list of questions"),
    "order of paths": (answers(order=["../7"]), "its `order` is no list of questions"),
    "order of lists": (answers(order=[["7-0"]]), "its `order` is no list of questions"),
    "a question twice": (answers(order=["7-0", "12-0", "7-0"]), "its `order` asks a question twice"),
    "unasked": (answers(order=["7-0"]), "its `answers` are not to questions of its `order`"),
    "answers of a wrong type": (answers(answers=[]), "its `answers` are not to questions of its `order`"),
    "an answer of a wrong type": (answers(answers={"7-0": "ear"}), "its answer to 7-0 is not {nouns, no_idea}"),
    "an answer of other names": (
        answers(answers={"7-0": {"nouns": ["ear"]}}),
        "its answer to 7-0 is not {nouns, no_idea}",
    ),
    "no idea as a number": (answers(**one([], 1)), "its answer to 7-0 is not {nouns, no_idea}"),
    "a text of nouns": (answers(**one("ear")), "its answer to 7-0 is not a list of at most 10 nouns"),
    "many nouns": (answers(**one(["ear"] * 11)), "its answer to 7-0 is not a list of at most 10 nouns"),
    "a long noun": (answers(**one(["e" * 41])), "its answer to 7-0 is not a list of at most 10 nouns"),
    "a blank noun": (answers(**one([" "])), "its answer to 7-0 is not a list of at most 10 nouns"),
    "a noun of lines": (answers(**one(["ear\n| x |"])), "its answer to 7-0 is not a list of at most 10 nouns"),
    "half a character": (answers(**one(["\udcff"])), "its answer to 7-0 is not a list of at most 10 nouns"),
    "neither": (answers(**one([])), "its answer to 7-0 has both nouns and no idea, or neither"),
    "both": (answers(**one(["ear"], True)), "its answer to 7-0 has both nouns and no idea, or neither"),
}


@pytest.mark.parametrize("case", BAD)
def test_other_files_are_refused_in_a_line_that_names_them(tmp_path, case):
    values, why = BAD[case]
    write(tmp_path, "a.json", answers())
    write(tmp_path, "mal<i>.json", values)
    with pytest.raises(ValueError, match="mal<i>") as refused:
        read_answers(tmp_path)
    assert f"'mal<i>.json' is not a file of answers: {why}" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300


def test_large_files_are_refused_unread(tmp_path):
    with open(tmp_path / "large.json", "wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(
        ValueError, match=rf"'large.json' .*: it has {MAX_BYTES + 1} bytes; at most {MAX_BYTES} are read"
    ):
        read_answers(tmp_path)


def test_pipes_and_folders_are_refused_unopened(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(ValueError, match=r"'pipe\.json' is not a file of answers: it is not a regular file"):
        read_answers(tmp_path)


def test_a_participant_counts_once(tmp_path):
    for name in ("a.json", "b.json"):
        write(tmp_path, name, answers())
    with pytest.raises(ValueError, match=r"'a\.json' and 'b\.json' are both of participant 'Ann'"):
        read_answers(tmp_path)


def test_studies_are_not_mixed(tmp_path):
    write(tmp_path, "a.json", answers())
    write(tmp_path, "b.json", answers("Bob", study="f" * 16))
    with pytest.raises(
        ValueError, match=f"'b.json' answers study {'f' * 16}, 'a.json' study {STUDY}: score them apart"
    ):
        read_answers(tmp_path)


def test_a_folder_without_answers_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"holds no answers: no file ends in \.json"):
        read_answers(tmp_path)
    with pytest.raises(ValueError, match="nowhere' is not a folder of answers"):
        read_answers(tmp_path / "nowhere")
