import numpy as np
import pytest

from vissum_jax.data.part_points import read_part_points

TEXT = """file,part_id,part,x,y
birds/a.jpg,2,beak,10.0,20.5
birds/a.jpg,7,left eye,30,40
birds/b.jpg,11,Right  eye,1,2
birds/b.jpg,2,beak,3,4
"""


@pytest.fixture
def table(tmp_path):
    def write(text):
        path = tmp_path / "parts.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_photograph_s_parts_and_centres_are_found_by_the_end_of_its_path(table):
    points = read_part_points(table(TEXT))
    assert points.names == ("beak", "left eye", "Right eye")
    parts, centres = points.of("a.png")
    np.testing.assert_array_equal(parts, [0, 1])
    np.testing.assert_array_equal(centres, [[10.0, 20.5], [30.0, 40.0]])
    parts, _ = points.of("photos/birds/b.jpg")
    np.testing.assert_array_equal(parts, [2, 0])
    assert points.of("birds/c.jpg") is None


def test_sides_are_parts_of_their_own_unless_they_are_merged(table):
    points = read_part_points(table(TEXT), merge_sides=True)
    assert points.names == ("beak", "eye")
    np.testing.assert_array_equal(points.of("b.jpg")[0], [1, 0])
    np.testing.assert_array_equal(points.of("a.jpg")[0], [0, 1])


def test_a_part_that_only_begins_like_a_side_keeps_its_name(table):
    points = read_part_points(table("file,part,x,y\na.jpg,leftmost petal,1,2\na.jpg,left,1,2\n"), merge_sides=True)
    assert points.names == ("leftmost petal", "left")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,x,y\na.jpg,1,2\n", r"parts\.csv: no column 'part'; needed are file, part, x, y\.$"),
        ("", r"no column 'file'"),
        ("file,part,x,y\na.jpg,beak,1,\n", r"parts\.csv, line 2: needs numbers, got \['1', ''\]\.$"),
        ("file,part,x,y\na.jpg,beak,1,nan\n", r"line 2: needs finite numbers"),
        ("file,part,x,y\na.jpg, ,1,2\n", r"line 2: needs the name of a part, got ' '\.$"),
        ("file,part,x,y\na.jpg\n", r"line 2: needs the name of a part, got None\.$"),
        ('file,part,x,y\n"a.jpg', r"is not a CSV file in UTF-8"),
    ],
)
def test_what_is_no_such_table_is_named_with_its_line(table, text, message):
    with pytest.raises(ValueError, match=message):
        read_part_points(table(text))


def test_a_missing_or_binary_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^No annotations '.*nowhere\.csv'\.$"):
        read_part_points(tmp_path / "nowhere.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is not a CSV file in UTF-8"):
        read_part_points(tmp_path / "binary.csv")


@pytest.mark.shared
def test_the_birds_have_fifteen_parts_twelve_without_sides(shared_data):
    path = shared_data / "annotations" / "cub" / "parts.csv"
    assert len(read_part_points(path).names) == 15
    assert sorted(read_part_points(path, merge_sides=True).names) == [
        *("back", "beak", "belly", "breast", "crown", "eye", "forehead", "leg", "nape", "tail", "throat", "wing")
    ]
