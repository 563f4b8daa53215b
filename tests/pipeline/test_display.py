import dataclasses

import numpy as np
import pytest
import toys
from toy_runs import summary

from vissum_jax.pipeline import SummarySet, display
from vissum_jax.types import ClassSummaries, ClusterDiagnostics, MaskBatch, MaskStatus

BOX = (4, 4, 16, 16)


@pytest.fixture
def summaries() -> SummarySet:
    """Four photographs of each of two classes; the part, told, is the upper left corner."""
    classes = (0, 1)
    index = np.repeat(classes, 4)
    images = np.stack([toys.photograph(class_index, seed) for class_index in classes for seed in range(4)])
    n, salient = len(images), np.zeros(images.shape[:3], bool)
    salient[:, 4:20, 4:20] = True
    ones = np.ones(n)
    masks = MaskBatch(
        soft=1.0 - salient,
        salient=salient,
        status=(MaskStatus.OK,) * n,
        reason=("",) * n,
        class_index=index,
        predicted_index=index,
        p_original=ones,
        p_soft=ones,
        p_binary=ones,
        area=ones,
        transfer_drop=ones,
        components=np.ones(n, int),
        passes=np.ones(n, int),
    )
    diagnostics = ClusterDiagnostics(images=4, proposals=4, clustered=4)
    found = ClassSummaries(
        class_index=0,
        summaries=(summary(0, dict.fromkeys(range(4), BOX), left_out=[3]), summary(1, {0: BOX}, kept=False)),
        diagnostics=diagnostics,
    )
    none = ClassSummaries(class_index=1, summaries=(), diagnostics=diagnostics, reason="nothing <is> alike")
    classifier = toys.make_classifier()
    return SummarySet(classifier=classifier, images=images, masks=masks, classes=(found, none))


def test_every_kept_member_of_a_kept_summary_is_pictured(summaries):
    html = summaries._repr_html_()
    assert "<strong>red disc</strong>: 1 of 2 clusters kept, of 4 images" in html
    assert [f"The part in image {row} of the class" in html for row in range(4)] == [True, True, True, False]
    assert html.count("<img") == 3


def test_a_class_without_summaries_says_why(summaries):
    assert "<strong>green square</strong>: nothing &lt;is&gt; alike" in summaries._repr_html_()


def test_the_part_is_drawn_where_it_is(summaries, monkeypatch):
    drawn = []
    monkeypatch.setattr(display.notebook, "thumbnail", lambda picture, alt, side: drawn.append(picture) or alt)
    display.summary_set_html(summaries)
    red = (drawn[0] == (255, 0, 0)).all(axis=-1)
    factor = len(red) // toys.SIDE
    rows, columns = np.nonzero(red)
    assert np.abs([rows.min(), columns.min()] - np.array(4 * factor)).max() <= factor
    assert np.abs([rows.max(), columns.max()] - np.array(20 * factor)).max() <= factor


def test_many_classes_and_members_are_cut_and_counted(summaries, monkeypatch):
    many = dataclasses.replace(summaries, classes=(summaries.classes[0],) * (display.MOST_CLASSES + 3))
    monkeypatch.setattr(display, "MOST_MEMBERS", 2)
    html = many._repr_html_()
    assert html.count("<img") == 2 * display.MOST_CLASSES
    assert ".. and 3 more classes" in html
