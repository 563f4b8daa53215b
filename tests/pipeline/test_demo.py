"""The demo with half the flowers: of two kinds, or of all in `make test-slow`."""

import functools

import pytest
from toys import Recorder

from vissum_jax.pipeline import RunConfig, demo

TWO = ("red_petals", "blue_pot")


@pytest.fixture(scope="module", params=[TWO, pytest.param((), marks=pytest.mark.slow)], ids=["two kinds", "all kinds"])
def finished(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "IMAGES_PER_CLASS", 8)
        patch.setattr(demo, "RunConfig", functools.partial(RunConfig, classes=request.param))
        progress = Recorder()
        demo.render_flowers(out, progress)
        return demo.explain_flowers(demo.start_demo(out), out, progress)


def test_masks_hide_the_class_with_little_of_the_picture(finished):
    assert len(finished.outcome.classes) in (2, 6)
    for result in finished.outcome.classes:
        assert result.statuses.get("ok", 0) >= 7
        assert result.drop_binary_mean > 0.99
        assert result.area_mean < 0.3


def test_summaries_coincide_with_rendered_parts_and_shuffled_ones_do_not(finished):
    assert finished.parts.members >= 12
    assert finished.parts.purity >= 0.8
    assert finished.parts.shuffled_purity < finished.parts.purity - 0.1
    assert finished.own_part_share >= 0.8


def test_the_report_is_written(finished):
    assert finished.report.is_file()


def test_figures_are_plain_values(finished):
    plain = finished.plain()
    assert plain["parts"]["purity"] == finished.parts.purity
    assert len(plain["classes"]) == len(finished.outcome.classes)
