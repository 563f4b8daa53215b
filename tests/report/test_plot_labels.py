import pytest

from vissum_jax.report.coherency_plot import CoherencyBar, coherency_picture
from vissum_jax.report.counts_plot import CountPoint, counts_picture
from vissum_jax.report.parts_plot import parts_picture
from vissum_jax.report.plot_labels import plain_label

HOSTILE = ("x" * 300, "$\\frac$ _{", "\u5b57\u0007\udcff", "_hidden", "")


@pytest.mark.parametrize(
    ("name", "most_letters", "keep", "expected"),
    [
        ("golden retriever", 16, "start", "golden retriever"),
        ("golden retriever", 15, "start", "golden retri..."),
        ("/where/runs/lie/a", 10, "end", "...s/lie/a"),
        ("\u5b57\n\u00e9", 20, "start", "\\u5b57\\n\u00e9"),
    ],
)
def test_labels_are_short_lines_in_letters_that_the_font_has(name, most_letters, keep, expected):
    assert plain_label(name, most_letters, keep=keep) == expected


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_drawn_without_a_warning(name):
    # Warnings are errors here: letters that the font lacks, mathematics that is none, a plot without room.
    for picture in (
        coherency_picture([CoherencyBar(name, 2, 0.3, 0.5, 0.1)]),
        counts_picture([CountPoint(name, 3.0, 0.5, 0.5)]),
        parts_picture([name], {"summaries": [0.5]}, [0.3]),
    ):
        assert picture.startswith(b"\x89PNG")
