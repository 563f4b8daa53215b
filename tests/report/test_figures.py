import io
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image
from test_site import FACTS, make_class, make_empty_class

from vissum_jax.report import ReportConfig, write_report
from vissum_jax.report.figures import FigureStyle, Row, class_figures, montage
from vissum_jax.study.tags import Tag

RED, BLUE = (np.full((40, 40, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255)))


def pixels(png: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def test_a_montage_puts_rows_under_each_other_and_pictures_side_by_side():
    style = FigureStyle()
    picture = pixels(montage("title", [Row(["one"], [RED, BLUE]), Row(["two"], [BLUE])], "png", style=style))
    assert picture.shape == (
        round((style.title + 2 * (style.side + style.gap)) * style.dots),
        round((style.label + 2 * (style.side + style.gap)) * style.dots),
        3,
    )

    def at(row: int, column: int) -> tuple[int, ...]:
        y = style.title + (row + 0.5) * style.side + row * style.gap
        x = style.label + (column + 0.5) * style.side + column * style.gap
        return tuple(picture[round(y * style.dots), round(x * style.dots)].tolist())

    assert (at(0, 0), at(0, 1), at(1, 0)) == ((255, 0, 0), (0, 0, 255), (0, 0, 255))
    assert at(1, 1) == (255, 255, 255)
    assert picture[:, : round(style.label * style.dots)].min() < 100, "labels are written"


def test_a_montage_shows_as_many_pictures_as_asked_and_can_be_empty():
    style = FigureStyle(most_pictures=2)
    rows = [Row(["a"], [RED] * 9)]
    assert montage("", rows, "png", style=style) == montage("", [Row(["a"], [RED] * 2)], "png", style=style)
    assert pixels(montage("nothing", [], "png")).size


@pytest.mark.parametrize("kind", ["pdf", "png"])
def test_a_class_has_three_figures_the_same_each_time(kind):
    config = ReportConfig(figures=kind)
    figures = list(class_figures(make_class(), FACTS, config))
    assert [name for name, _, _ in figures] == ["summaries", "masks", "measures"]
    assert list(class_figures(make_class(), FACTS, config)) == figures
    for _, _, data in figures:
        if kind == "pdf":
            assert data.startswith(b"%PDF-")
        else:
            assert Image.open(io.BytesIO(data)).format == "PNG"


def test_the_name_that_people_gave_and_the_importance_are_part_of_the_figure():
    config = ReportConfig(figures="png")

    def summaries(report, facts):
        return next(data for name, _, data in class_figures(report, facts, config) if name == "summaries")

    report = make_class()
    plain = summaries(report, FACTS)
    tag = Tag(class_index=1, summary=0, tag="$beak_{", share=0.8, participants=5)
    assert summaries(report, replace(FACTS, tags={(1, 0): tag})) != plain
    first, *others = report.summaries.summaries
    important = replace(report.summaries, summaries=(replace(first, importance=0.5), *others))
    assert summaries(replace(report, summaries=important), FACTS) != plain


def test_a_class_without_masks_has_no_figures_and_none_are_made_unasked():
    assert not list(class_figures(make_empty_class(2, "crane"), FACTS, ReportConfig(figures="pdf")))
    assert not list(class_figures(make_class(), FACTS, ReportConfig()))


def test_the_class_page_leads_to_its_figures(tmp_path):
    site = write_report(
        tmp_path / "r", FACTS, [make_class(), make_empty_class(2, "crane")], config=ReportConfig(figures="pdf")
    ).parent
    page = (site / "classes" / "1" / "index.html").read_text()
    for name in ("summaries", "masks", "measures"):
        assert f'href="figure-{name}.pdf"' in page
        assert (site / "classes" / "1" / f"figure-{name}.pdf").is_file()
    assert "Figures for papers" not in (site / "classes" / "2" / "index.html").read_text()
    assert len(list(site.rglob("*.pdf"))) == 3


def test_other_formats_are_refused():
    with pytest.raises(ValueError, match=r"^`figures` must be one of pdf, png, got 'svg'\.$"):
        ReportConfig(figures="svg")  # pyright: ignore[reportArgumentType]
