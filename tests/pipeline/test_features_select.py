"""Selection and averages of relevant features, from photographs to pages."""

import dataclasses
import json

import feature_toys
import numpy as np
import pytest
from PIL import Image
from toys import Recorder

from vissum_jax.pipeline.features_average import AverageConfig, average_features, average_picture, plan_averages
from vissum_jax.pipeline.features_run import SelectRequest, open_features, select_request, start_select
from vissum_jax.pipeline.features_select import select_features, select_markdown
from vissum_jax.pipeline.stages import ChangedError


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return feature_toys.write_photographs(tmp_path_factory.mktemp("photos"), 8)


def request_of(photos, **changes):
    return SelectRequest(images=str(photos), model=feature_toys.MODEL, draws=3, holdout=0.25, **changes)


@pytest.fixture(scope="module")
def selected(photos, tmp_path_factory):
    """A finished selection and its values; not to be changed."""
    opened = start_select(request_of(photos), tmp_path_factory.mktemp("features") / "out")
    progress = Recorder()
    values = select_features(opened, progress, batch_size=4)
    progress.assert_complete()
    assert [stage for stage, *_ in progress.stages] == ["responses", "moments", "selection", "check"]
    return opened, values


def test_the_filters_that_the_answer_depends_on_are_found(selected):
    opened, values = selected
    selection = opened.selection()
    for class_index in range(3):
        relevant = selection.relevant(class_index)
        for_it = [selection.columns.filter(k) for k in relevant.tolist() if selection.weights[k, class_index] > 0]
        assert for_it[0][1] == class_index, "the class's colour, as it is or told from the others"
        assert ("colours", class_index) in for_it
    assert [each["class_name"] for each in values["classes"]] == list(feature_toys.CLASSES)
    assert all(each["converged"] and each["norm"] <= 10 * (1 + 1e-8) for each in values["classes"])
    assert values["photographs"] == 18
    assert values["statuses"] == {"ok": 24}


def test_switching_them_off_costs_far_more_than_others(selected):
    check = selected[1]["check"]
    assert check["photographs"] == 6
    assert check["accuracy"] == 1.0
    # Without the colours' detectors the last class is answered, which is right for a third.
    assert check["own"]["accuracy_lost"] >= 0.6
    assert check["own"]["probability_lost"] > 3 * check["own"]["random_probability_lost"]
    assert len(check["own"]["random_draws"]) == 3


def test_values_and_table_are_written_and_come_back(selected):
    opened, values = selected
    folder = opened.run.folder
    assert json.loads((folder / "features.json").read_text()) == values
    table = (folder / "features.md").read_text()
    assert table == select_markdown(values)
    assert "| red | 6 |" in table
    again = Recorder()
    assert select_features(open_features(folder), again) == values
    assert not again.stages, "nothing is computed twice"


def test_a_stopped_selection_goes_on_and_ends_alike(photos, selected, tmp_path):
    class Stopped(Recorder):
        def start(self, stage, total):
            if stage == "moments":
                raise KeyboardInterrupt
            super().start(stage, total)

    with pytest.raises(KeyboardInterrupt):
        select_features(start_select(request_of(photos), tmp_path / "out"), Stopped(), batch_size=4)
    progress = Recorder()
    values = select_features(open_features(tmp_path / "out"), progress, batch_size=4)
    assert values["classes"] == selected[1]["classes"]
    assert values["check"] == selected[1]["check"]


def test_another_configuration_is_refused(photos, selected):
    with pytest.raises(ValueError, match=r"another configuration.*lasso\.mu: 10\.0 -> 3\.0"):
        start_select(
            select_request({"images": str(photos), "model": feature_toys.MODEL}, mu=3.0, draws=3, holdout=0.25),
            selected[0].run.folder,
        )


def test_photographs_of_a_check_may_be_others_but_no_copies(photos, tmp_path):
    test = tmp_path / "test"
    for class_index, name in enumerate(feature_toys.CLASSES[:2]):
        (test / name).mkdir(parents=True)
        for seed in (7, 50, 51):  # the first is a copy
            Image.fromarray(feature_toys.photograph(class_index, seed)).save(test / name / f"{seed}.png")
    (test / "red" / "broken.png").write_bytes(b"no picture")
    opened = start_select(request_of(photos, test=str(test)), tmp_path / "out")
    values = select_features(opened, Recorder(), batch_size=4)
    assert values["photographs"] == 24, "none is held out"
    check = values["check"]
    assert (check["photographs"], check["passed_over"], check["unreadable"]) == (4, 2, 1)


def test_without_photographs_held_out_there_is_no_check(photos, tmp_path):
    broken = feature_toys.write_photographs(tmp_path / "photos", 2)
    (broken / "red" / "broken.png").write_bytes(b"no picture")
    opened = start_select(dataclasses.replace(request_of(broken), holdout=0.0), tmp_path / "out")
    values = select_features(opened, Recorder(), batch_size=4)
    assert values["check"] is None
    assert [image for image, _ in values["failed"]] == ["red/broken.png"]
    assert "No photographs were held out" in select_markdown(values)


def test_averages_show_what_filters_respond_to(selected):
    opened, _ = selected
    progress = Recorder()
    values = average_features(
        plan_averages(opened, AverageConfig(images=5, features=2, shown=3)), progress, batch_size=4
    )
    progress.assert_complete()
    selection = opened.selection()
    for class_index, each in enumerate(values["classes"]):
        column = int(selection.relevant(class_index)[0])
        weight = float(selection.weights[column, class_index])
        assert each["filters"][0] == {"column": column, "weight": weight, "photographs": 5}
        mean = np.asarray(Image.open(average_picture(opened.run.folder, column))).astype(int)
        assert mean.shape == (3, 3, 3), "what a 3x3 mean sees"
        others = np.delete(mean, class_index, axis=-1)
        assert (mean[..., class_index] > others.max(-1) + 50).all(), "the class's own colour"
        with Image.open(each["sheet"]) as sheet:
            assert sheet.format == "PNG"
    page = opened.run.folder / "report" / "index.html"
    assert values["report"] == str(page)
    first = (page.parent / "classes" / "0" / "index.html").read_text()
    assert " ".join(map(str, selection.columns.filter(int(selection.relevant(0)[0])))) in first
    assert values["averages"] == sum(len(each["filters"]) for each in values["classes"])


def test_a_changed_photograph_is_noticed(tmp_path):
    photos = feature_toys.write_photographs(tmp_path / "photos", 3)
    opened = start_select(request_of(photos), tmp_path / "out")
    select_features(opened, Recorder(), batch_size=4)
    Image.fromarray(feature_toys.photograph(0, 99)).save(photos / "red" / "1.png")
    with pytest.raises(ChangedError, match=r"'red/1\.png' has changed since features were selected"):
        average_features(plan_averages(open_features(tmp_path / "out"), AverageConfig()), Recorder(), batch_size=4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"holdout": 1.0}, r"`holdout` must be in \[0, 1\), got 1\.0\."),
        ({"draws": 0}, r"`draws` must be at least 1, got 0\."),
    ],
)
def test_requests_check_themselves(changes, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        SelectRequest(images="photos", model="flowernet", **changes)


def test_a_run_lends_its_photographs_and_network(selected, photos):
    folder = selected[0].run.folder
    options = {"images": str(folder), "model": "", "weights": None, "class_names_file": None}
    options |= {"precision": "float32", "classes": (), "limit": None}
    asked = select_request(options, mu=5.0, draws=2)
    assert (asked.images, asked.model) == (str(photos), feature_toys.MODEL)
    with pytest.raises(
        ValueError, match=r"^--model must name the network, unless the photographs are those of a run\.$"
    ):
        select_request(options | {"images": str(photos)}, mu=5.0)
