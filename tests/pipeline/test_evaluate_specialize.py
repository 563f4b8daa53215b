import json
import shutil

import jax
import numpy as np
import pytest
import specialize_toys
import toys
from PIL import Image
from toy_runs import summary, write_run

from vissum_jax.analysis.specialize import SpecializeConfig
from vissum_jax.data import decode
from vissum_jax.data.an8flower import FlowerConfig
from vissum_jax.data.an8flower.dataset import write_dataset
from vissum_jax.models import load_classifier
from vissum_jax.pipeline.evaluate_specialize import evaluate_specialize
from vissum_jax.pipeline.finished import open_finished
from vissum_jax.pipeline.specialize_plan import EvaluateSpecializeConfig, plan_specialize
from vissum_jax.pipeline.specialize_report import specialize_markdown
from vissum_jax.pipeline.splits import OverlapError, link_split, make_split

BOX = (8, 8, 16, 16)
CONFIG = EvaluateSpecializeConfig(train=SpecializeConfig(weight_steps=20), random_draws=1)


def take_apart(photos, out):
    """Photographs for summaries, training and tests."""
    link_split(photos, make_split(photos, {"summaries": 0.4, "train": 0.3, "test": 0.3}, seed=0), out)
    return out


def told(rows, numbers=2):
    """Summaries that share a class's photographs."""
    return [summary(n, {row: BOX for row in rows[n::numbers]}) for n in range(numbers)]


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    root = tmp_path_factory.mktemp("toys")
    return take_apart(toys.write_photographs(root / "photos", {0: 20, 1: 20, 2: 20}), root / "parts")


def biased_run(parts, folder, summaries=None):
    summaries = {index: told(range(8)) for index in range(3)} if summaries is None else summaries
    run = write_run(parts / "summaries", folder, summaries, model="specialize_toys:make_biased")
    return run, open_finished(folder)


@pytest.fixture
def biased(parts, tmp_path):
    return biased_run(parts, tmp_path / "run")


def measure(run, config=CONFIG, **places):
    progress = toys.Recorder()
    values = evaluate_specialize(plan_specialize(*run, config=config, **places), progress, batch_size=8)
    progress.assert_complete()
    return values


def test_a_network_that_could_do_better_does(biased, parts):
    """The classes' colours tell them apart; the last layer takes them for noise."""
    values = measure(biased, train=[parts / "train"], test=[parts / "test"])
    (found,) = values["variants"]["summaries"]
    assert found["chosen"]["images"] == 18
    assert found["chosen"]["before"] < 0.8
    assert found["chosen"]["after"] == 1.0
    assert found["chosen"]["difference"]["low"] > 0
    assert found["weight"] > 0
    assert (found["machines"], values["photographs"]["the test"]) == (6, 18)
    assert found["others"] == {
        "images": 0,
        "before": None,
        "after": None,
        "corrected": 0,
        "spoiled": 0,
        "difference": None,
    }
    assert len(values["corrected"]) - len(values["spoiled"]) == found["all"]["corrected"] - found["all"]["spoiled"]


def test_a_class_without_summaries_has_no_svms_and_says_why(parts, tmp_path):
    run = biased_run(parts, tmp_path / "run", {index: told(range(8)) for index in range(2)})
    values = measure(run, train=[parts / "train"], test=[parts / "test"])
    assert [each["machines"] for each in values["classes"]] == [2, 2, 0]
    assert values["classes"][2]["reason"] == "no cluster is large and consistent enough"


def test_groups_of_classes_are_those_of_the_run(parts, tmp_path):
    two = tmp_path / "two"
    shutil.copytree(parts / "summaries", two / "summaries")
    shutil.rmtree(two / "summaries" / "blue_bar")
    values = measure(biased_run(two, tmp_path / "run"), train=[parts / "train"], test=[parts / "test"])
    (found,) = values["variants"]["summaries"]
    assert [found[name]["images"] for name in ("chosen", "all", "others")] == [12, 18, 6]
    assert found["all"]["corrected"] == found["chosen"]["corrected"] + found["others"]["corrected"]
    text = specialize_markdown(values)
    assert "an SVM a class" in text
    assert "n = 6)" in text


def test_photographs_of_other_classes_all_guard_the_weight(parts, tmp_path):
    """Half of the twelve of the run's classes choose it, and all six of the class that the run does not have."""
    two = tmp_path / "two"
    shutil.copytree(parts / "summaries", two / "summaries")
    shutil.rmtree(two / "summaries" / "blue_bar")
    values = measure(biased_run(two, tmp_path / "run"), train=[parts / "train"], test=[parts / "test"])
    (found,) = values["variants"]["summaries"]
    assert (values["photographs"]["the weight"], values["photographs"]["further negatives"]) == (6 + 6, 6)
    assert values["guards"] == 6
    assert found["others"]["after"] >= found["others"]["before"]
    chosen = next(each for each in values["weights_tried"] if each["weight"] == found["weight"])
    assert chosen["others"] >= values["weights_tried"][0]["others"]
    assert "the 6 photographs of classes without SVMs" in specialize_markdown(values)


def test_nothing_guarding_the_weight_is_said(biased, parts):
    values = measure(biased, train=[parts / "train"], test=[parts / "test"])
    assert values["guards"] == 0
    assert "nothing kept it from costing other classes" in specialize_markdown(values)


def test_what_is_saved_answers_as_what_was_measured(biased, parts):
    values = measure(biased, train=[parts / "train"], test=[parts / "test"])
    folder = biased[0].folder / "evaluation"
    made = load_classifier(f"specialized:{folder / 'specialized.safetensors'}")
    paths = sorted((parts / "test").rglob("*.png"))
    images = np.stack([decode(path, made.spec).image for path in paths]) / 255.0
    labels = np.array([toys.CLASSES.index(path.parent.name.replace("_", " ")) for path in paths])
    rightly = np.asarray(made(images.astype(np.float32)).logits).argmax(axis=1) == labels
    assert rightly.mean() == values["variants"]["summaries"][0]["all"]["after"]
    spec = specialize_toys.make_biased().spec
    assert (made.spec.class_names, made.spec.name) == (spec.class_names, "toy-specialized")


def test_corrected_photographs_are_shown_with_the_summary(biased, parts):
    values = measure(biased, train=[parts / "train"], test=[parts / "test"])
    page = (biased[0].folder / "evaluation" / "specialize" / "index.html").read_text()
    for change in values["corrected"]:
        assert change["image"] in page
        assert change["after"] == change["class_name"] != change["before"]
        assert change["summary"] in (0, 1)
    assert f"summary {values['corrected'][0]['summary'] + 1} of {values['corrected'][0]['after']}" in page


def test_the_same_seed_writes_the_same_bytes(biased, parts):
    folder = biased[0].folder / "evaluation"
    names = ("specialize.json", "specialize.md", "specialized.safetensors", "specialize/index.html")
    values = measure(biased, train=[parts / "train"], test=[parts / "test"])
    before = [(folder / name).read_bytes() for name in names]
    assert json.loads(before[0], parse_constant=pytest.fail)["variants"] == json.loads(json.dumps(values["variants"]))
    measure(biased, train=[parts / "train"], test=[parts / "test"])
    assert [(folder / name).read_bytes() for name in names] == before


def test_further_photographs_become_negatives_where_the_weight_has_its_own(biased, parts, tmp_path):
    (tmp_path / "test" / "red_disc").mkdir(parents=True)
    Image.fromarray(toys.photograph(0, 77)).save(tmp_path / "test" / "red_disc" / "77.png")
    values = measure(biased, train=[parts / "train"], weight=[parts / "test"], test=[tmp_path / "test"])
    assert values["photographs"] == {
        "masks, summaries and SVMs": 24,
        "further negatives": 18,
        "the weight": 18,
        "the test": 1,
    }


def test_a_photograph_of_the_run_in_the_test_is_an_error(biased, parts, tmp_path):
    used = next((parts / "summaries" / "red_disc").iterdir())
    shutil.copytree(parts / "test", tmp_path / "test")
    shutil.copy(used, tmp_path / "test" / "red_disc" / "innocent.png")
    with pytest.raises(OverlapError, match=r"innocent\.png' \(the test\) is .*\(masks, summaries and SVMs\)"):
        plan_specialize(*biased, train=[parts / "train"], test=[tmp_path / "test"])


def test_a_photograph_of_the_weight_in_the_test_is_an_error(biased, parts):
    with pytest.raises(OverlapError, match=r"\(the test\) is .* \((the weight|further negatives)\)"):
        plan_specialize(*biased, train=[parts / "train"], test=[parts / "train"])


def test_fewer_than_two_classes_with_summaries_are_refused(parts, tmp_path):
    places = {"train": [parts / "train"], "test": [parts / "test"]}
    with pytest.raises(ValueError, match=r"2 classes with summaries are needed, and only 'red disc' has any; make"):
        plan_specialize(*biased_run(parts, tmp_path / "one", {0: told(range(8))}), **places)
    with pytest.raises(ValueError, match=r"2 classes with summaries are needed, and none has any"):
        plan_specialize(*biased_run(parts, tmp_path / "none", {}), **places)


def test_a_summary_with_one_image_has_no_svm_and_says_why(parts, tmp_path):
    summaries = {0: told(range(8)), 1: [*told(range(8), 1), summary(1, {3: BOX})]}
    values = measure(biased_run(parts, tmp_path / "run", summaries), train=[parts / "train"], test=[parts / "test"])
    # Others: 16 of the run's other classes, 7 of the class's other summary, and those of --train's negatives.
    assert values["classes"][1]["without_machine"] == {
        "1": "1 image to recognise and 26 others; an SVM needs 2 of each"
    }
    alone = {0: told(range(8)), 1: [summary(0, {3: BOX})]}
    with pytest.raises(ValueError, match=r"fewer than 2 classes can have an SVM \(class 1, summary 0: 1 image"):
        measure(biased_run(parts, tmp_path / "alone", alone), train=[parts / "train"], test=[parts / "test"])


def test_what_is_missing_is_asked_for(biased, parts):
    with pytest.raises(ValueError, match="`test` must name photographs"):
        plan_specialize(*biased, test=[], train=[parts / "train"])
    with pytest.raises(ValueError, match="name some with --train"):
        plan_specialize(*biased, test=[parts / "test"])
    with pytest.raises(ValueError, match=r"`test` names '.*' twice"):
        plan_specialize(*biased, test=[parts / "test"] * 2, train=[parts / "train"])
    with pytest.raises(FileNotFoundError, match="No file"):
        plan_specialize(*biased, test=[parts / "nowhere.txt"], train=[parts / "train"])


def test_a_class_that_the_head_forgot_comes_back(tmp_path):
    """Rendered flowers: the features know the class, the network cannot say it; nothing else gets worse."""
    write_dataset(tmp_path / "flowers", variant="demo", images_per_class=10, seed=5, config=FlowerConfig())
    parts = take_apart(tmp_path / "flowers" / "images", tmp_path / "parts")
    model = "specialize_toys:make_forgetful"
    summaries = {index: told(range(4), 1) for index in range(len(load_classifier("flowernet").spec.class_names))}
    run = write_run(parts / "summaries", tmp_path / "run", summaries, model=model)
    values = measure((run, open_finished(run.folder)), train=[parts / "train"], test=[parts / "test"])
    forgotten = next(each for each in values["classes"] if each["class_index"] == specialize_toys.FORGOTTEN)
    assert (forgotten["before"], forgotten["after"]) == (0.0, 1.0)
    assert all(each["after"] >= each["before"] for each in values["classes"])
    assert {change["class_index"] for change in values["corrected"]} == {specialize_toys.FORGOTTEN}
    made = load_classifier(f"specialized:{run.folder / 'evaluation' / 'specialized.safetensors'}")
    probabilities = jax.nn.softmax(made(np.zeros((1, 112, 112, 3), np.float32)).logits)
    np.testing.assert_allclose(probabilities.sum(), 1, atol=1e-5)
