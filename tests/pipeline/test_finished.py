import pytest
import toy_runs
import toys

from vissum_jax.pipeline import NotReadyError
from vissum_jax.pipeline.finished import open_finished


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return toys.write_photographs(tmp_path_factory.mktemp("photos"), {0: 3, 1: 2})


@pytest.fixture
def run(photos, tmp_path):
    first = toy_runs.summary(0, {2: (8, 8, 16, 16), 0: (8, 8, 16, 16)})
    return toy_runs.write_run(photos, tmp_path / "run", {0: [first], 1: []})


def test_classes_come_with_their_photographs_rows_and_summaries(run):
    one, other = open_finished(run.folder).classes()
    assert (one.class_index, one.class_name, one.images) == (
        0,
        "red disc",
        tuple(f"red_disc/{n}.png" for n in range(3)),
    )
    assert one.rows["image"].to_pylist() == list(one.images)
    assert one.summaries == run.class_result(0)
    assert [member.image for member in one.summaries.summaries[0].members] == [2, 0]
    assert (other.class_index, len(other.rows), other.summaries.summaries) == (1, 2, ())


def test_neither_the_network_nor_the_photographs_are_needed(run, monkeypatch):
    monkeypatch.setattr("vissum_jax.pipeline.run.load_classifier", None)
    monkeypatch.setattr("vissum_jax.pipeline.run.open_images", None)
    assert len(list(open_finished(run.folder).classes())) == 2


@pytest.mark.parametrize(("stage", "remedy"), [("masks", "vissum masks"), ("summaries", "vissum summarize")])
def test_what_is_not_done_is_named_with_the_remedy(run, stage, remedy):
    marker = sorted((run.folder / stage).glob("*.done"))[0]
    marker.unlink()
    with pytest.raises(NotReadyError, match=rf"1 of \d parts of its {stage} are not done; .* `{remedy} "):
        open_finished(run.folder)


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a RUN folder"):
        open_finished(tmp_path)
