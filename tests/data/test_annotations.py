import re
from pathlib import PurePosixPath as Path

import numpy as np
import pytest

from vissum_jax.data.annotations import Annotations, read_boxes, read_parts

XML = """<annotation><filename>%s</filename>
<object><name>dog</name><bndbox><xmin>24</xmin><ymin>7</ymin><xmax>499</xmax><ymax>329</ymax></bndbox></object>
{more}</annotation>"""
ANOTHER = "<object><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>5</ymax></bndbox></object>"


@pytest.fixture
def table(tmp_path):
    """Writes a CSV file."""

    def write(text):
        path = tmp_path / "truth.csv"
        path.write_text(text)
        return path

    return write


def test_boxes_of_a_table(table):
    boxes = read_boxes(table("file,id,x,y,w,h\nimages/a/0.jpg,7,1,2,3,4\nimages/b/0.jpg,8,5.5,6,7,8\n"))
    np.testing.assert_array_equal(boxes.of("a/0.jpg"), [[1, 2, 3, 4]])
    np.testing.assert_array_equal(boxes.of("b/0.png"), [[5.5, 6, 7, 8]])
    assert boxes.of("c/0.jpg") is None
    assert boxes.of("a/1.jpg") is None


def test_parts_of_a_file_are_rows_of_one_photograph(table):
    parts = read_parts(table("file,part,x,y\na/0.jpg,beak,1,2\nb/0.jpg,beak,3,4\na/0.jpg,tail,5,6\n"))
    np.testing.assert_array_equal(parts.of("a/0.jpg"), [[1, 2], [5, 6]])


def test_boxes_of_a_folder_of_xml_are_named_after_their_photographs(tmp_path):
    (tmp_path / "dogs").mkdir()
    (tmp_path / "dogs" / "n0209_10").write_text(XML.format(more=""))
    (tmp_path / "dogs" / "n0209_11.xml").write_text(XML.format(more=ANOTHER))
    boxes = read_boxes(tmp_path)
    np.testing.assert_array_equal(boxes.of("golden_retriever/n0209_10.jpg"), [[24, 7, 475, 322]])
    np.testing.assert_array_equal(boxes.of("n0209_11.JPEG"), [[24, 7, 475, 322], [1, 2, 2, 3]])


def test_the_same_name_in_two_folders_is_told_apart():
    first, second = np.ones((1, 4)), np.zeros((1, 4))
    boxes = Annotations({Path("x/images/red/0"): first, Path("x/images/green/0"): second})
    assert boxes.of("green/0.png") is second
    assert boxes.of("images/red/0.png") is first
    assert boxes.of("images/blue/0.png") is None


def test_a_dot_in_a_name_is_no_extension(table):
    parts = read_parts(table("file,x,y\na/photo.v2.jpg,1,2\n"))
    assert parts.of("a/photo.v2.png") is not None
    assert parts.of("a/photo.jpg") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,x,y,w\na,1,2,3\n", "no column 'h'; needed are file, x, y, w, h."),
        ("file,x,y,w,h\na,1,2,3,4\nb,1,two,3,4\n", "line 3: needs numbers, got ['1', 'two', '3', '4']."),
        ("file,x,y,w,h\na,1,2,3\n", "line 2: needs numbers, got ['1', '2', '3', None]."),
        ("file,x,y,w,h\na,1,2,3,inf\n", "line 2: needs finite numbers, got ['1', '2', '3', 'inf']."),
    ],
)
def test_a_table_that_is_none_is_refused_with_its_place(table, text, message):
    with pytest.raises(ValueError, match=rf"truth\.csv.*{re.escape(message)}$"):
        read_boxes(table(text))


def test_files_that_are_not_there_and_folders_without_a_box_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No annotations '.*nowhere\.csv'\."):
        read_parts(tmp_path / "nowhere.csv")
    with pytest.raises(ValueError, match="holds no annotated box"):
        read_boxes(tmp_path)
    (tmp_path / "note.xml").write_text("no XML")
    with pytest.raises(ValueError, match=r"note\.xml is not XML: "):
        read_boxes(tmp_path)


@pytest.mark.shared
def test_the_shared_annotations_know_their_photographs(shared_data):
    dogs = read_boxes(shared_data / "annotations" / "stanford_dogs")
    birds = read_boxes(shared_data / "annotations" / "cub" / "boxes.csv")
    parts = read_parts(shared_data / "annotations" / "cub" / "parts.csv")
    for folder, found in (("golden_retriever", dogs), ("German_shepherd", dogs), ("cub_Indigo_Bunting", birds)):
        files = sorted((shared_data / "images" / folder).iterdir())
        assert all(found.of(f"{folder}/{file.name}") is not None for file in files)
    assert parts.of("cub_Indigo_Bunting/Indigo_Bunting_0001_12469.jpg").shape == (11, 2)
