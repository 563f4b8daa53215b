import json

import numpy as np
import pytest
import toys
from oracles import coherency as oracle
from PIL import Image
from records import png, write_tar
from toy_runs import summary, write_run

from vissum_jax.analysis.coherency import CoherencyConfig
from vissum_jax.analysis.wordnet import fused
from vissum_jax.data.an8flower import FlowerConfig, flower_classes
from vissum_jax.data.an8flower.dataset import IMAGES_FOLDER, TRUTH_FOLDER, read_labels, write_dataset
from vissum_jax.models import load_classifier
from vissum_jax.pipeline import ChangedError, NotReadyError
from vissum_jax.pipeline.evaluate_coherency import (
    EvaluateCoherencyConfig,
    check_tagger,
    coherency_markdown,
    default_tagger,
    evaluate_coherency,
)
from vissum_jax.pipeline.finished import open_finished
from vissum_jax.pipeline.originals import part_square
from vissum_jax.pipeline.taggers import LabelTagger

UPPER, LOWER = (8, 8, 16, 16), (36, 36, 16, 16)
# Tags of the red discs: the first three are alike, up to words that mean the same.
TAGS = [["cars", "sky"], ["automobile", "sky"], ["The car", "sky"], ["tree"], ["bird", "tree"], ["fish"]]
CONFIG = EvaluateCoherencyConfig(measure=CoherencyConfig(draws=20), batch_size=4)


class Told:
    """Knows each photograph."""

    name = "told"

    def __init__(self, tags):
        self.tags, self.shapes = tags, []

    def tag(self, images):
        self.shapes += [image.shape for image in images]
        return [tuple(self.tags.get(image.tobytes(), ())) for image in images]


def told(tags):
    return Told({toys.photograph(0, seed).tobytes(): nouns for seed, nouns in enumerate(tags)})


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return toys.write_photographs(tmp_path_factory.mktemp("photos"), {0: 6, 1: 3, 2: 2})


@pytest.fixture
def run(photos, tmp_path):
    kept = [summary(0, {0: UPPER, 1: UPPER, 2: LOWER}), summary(1, {3: UPPER, 5: LOWER, 4: UPPER}, left_out=[4])]
    squares = [summary(0, {0: UPPER}), summary(1, {1: UPPER, 2: UPPER}, kept=False)]
    return open_finished(write_run(photos, tmp_path / "run", {0: kept, 1: squares}).folder)


def measure(run, tagger, **options):
    progress = toys.Recorder()
    values = evaluate_coherency(run, tagger, progress, config=CONFIG, **options)
    progress.assert_complete()
    return values


def test_mu_s_is_that_of_the_tags_in_their_common_form(run):
    found = measure(run, told(TAGS))["classes"][0]
    car = fused("car")
    common = [frozenset({car, "sky"})] * 3 + [frozenset({"tree"}), frozenset({"bird", "tree"}), frozenset({"fish"})]
    assert found["distances"] == [0.0, 1.0]
    assert found["mu_s"] == pytest.approx(oracle.mu(common, [[0, 1, 2], [3, 5]])) == 0.5
    assert found["common"][0] == {car: 3, "sky": 3}
    assert (found["images_per_summary"], found["untagged"], found["reason"]) == ([3, 2], 0, "")


def test_classes_that_cannot_be_measured_say_why(run):
    values = measure(run, told(TAGS))
    reasons = [each["reason"] for each in values["classes"]]
    assert reasons == [
        "",
        "none of its summaries has two images",
        "no cluster is large and consistent enough",
    ]
    assert (values["measured"], values["lower"], values["test"]) == (1, 1, None)
    assert values["test_reason"] == "it takes at least 2 classes, and 1 could be measured"
    assert "No test over classes: it takes at least 2 classes" in coherency_markdown(values)


def test_a_tagger_that_says_nothing_is_named(run):
    found = measure(run, told([]))["classes"][0]
    assert (found["mu_s"], found["untagged"]) == (None, 6)
    assert found["reason"] == "told gave no noun for any of its 6 photographs"


def test_a_test_over_classes_needs_two(photos, tmp_path):
    both = {index: [summary(0, {0: UPPER, 1: UPPER})] for index in (0, 1)}
    run = open_finished(write_run(photos, tmp_path / "run", both).folder)
    values = measure(run, LabelTagger(toys.make_classifier(), labels=2))
    assert values["test"]["classes"] == values["measured"] == 2
    assert "Wilcoxon" in coherency_markdown(values)


def test_parts_are_tagged_in_place_of_photographs(run):
    tagger = told([])
    found = measure(run, tagger, crops=True)["classes"][0]
    assert tagger.shapes == [(18, 18, 3)] * 6, "squares a little wider than the boxes, of members left out, too"
    assert found["reason"] == "told gave no noun for any of its 6 parts"


def test_one_summary_s_parts_cannot_be_compared_with_the_class_s(photos, tmp_path):
    run = open_finished(write_run(photos, tmp_path / "run", {0: [summary(0, {0: UPPER, 1: UPPER})]}).folder)
    (found, *_) = measure(run, told(TAGS), crops=True)["classes"]
    assert found["reason"].startswith("its one summary holds all its parts")


def test_random_parts_come_from_clusters_that_were_dropped_too(photos, tmp_path):
    clusters = [summary(0, {0: UPPER, 1: UPPER}), summary(1, {2: LOWER, 3: LOWER, 4: UPPER}, kept=False)]
    run = open_finished(write_run(photos, tmp_path / "run", {0: clusters}).folder)
    (found, *_) = measure(run, LabelTagger(toys.make_classifier(), labels=1), crops=True)["classes"]
    assert (found["pool"], found["images_per_summary"]) == (5, [2])
    assert found["mu_r"] is not None


def test_colours_of_parts_are_told_apart(photos, tmp_path):
    """Half of the parts lie on grey noise, half on discs: sorted they are coherent, mixed they are not."""
    discs, noise = {}, {}
    for seed in range(6):
        red = toys.photograph(0, seed)[..., 0].astype(int) - toys.photograph(0, seed)[..., 1]
        corners = [(x, y, 16, 16) for y in (8, 40) for x in (8, 40)]
        strength = [red[y : y + 16, x : x + 16].mean() for x, y, _, _ in corners]
        discs[seed], noise[seed] = corners[int(np.argmax(strength))], corners[int(np.argmin(strength))]
    sorted_run = open_finished(write_run(photos, tmp_path / "a", {0: [summary(0, discs), summary(1, noise)]}).folder)
    values = measure(sorted_run, LabelTagger(toys.make_classifier(), labels=1), crops=True)
    found = values["classes"][0]
    assert found["mu_s"] == 0.0
    assert found["mu_r"] > 0.3
    assert [list(common) for common in found["common"]] == [["red disc"], ["grey noise"]]


def test_the_same_seed_writes_the_same_bytes(run):
    values = measure(run, told(TAGS))
    names = ("coherency.json", "coherency.md", "coherency.png")
    folder = run.folder / "evaluation"
    before = [(folder / name).read_bytes() for name in names]
    assert json.loads(before[0], parse_constant=pytest.fail) == json.loads(json.dumps(values))
    assert before[2].startswith(b"\x89PNG")
    measure(run, told(TAGS))
    assert [(folder / name).read_bytes() for name in names] == before


def test_a_photograph_that_changed_is_refused(tmp_path):
    photos = toys.write_photographs(tmp_path / "photos", {0: 2})
    run = open_finished(write_run(photos, tmp_path / "run", {0: [summary(0, {0: UPPER, 1: UPPER})]}).folder)
    Image.fromarray(toys.photograph(0, 9)).save(photos / "red_disc" / "1.png")
    with pytest.raises(ChangedError, match=r"'red_disc/1\.png' has changed"):
        measure(run, told(TAGS))


def test_photographs_in_tar_files_are_tagged_like_files(run, tmp_path):
    files = {}
    for index, count in {0: 6, 1: 3, 2: 2}.items():
        for seed in range(count):
            files |= {f"{index}{seed}.png": png(toys.photograph(index, seed)), f"{index}{seed}.cls": b"%d" % index}
    tar = write_tar(tmp_path / "all.tar", files)
    kept = [summary(0, {0: UPPER, 1: UPPER, 2: LOWER}), summary(1, {3: UPPER, 5: LOWER, 4: UPPER}, left_out=[4])]
    other = open_finished(write_run(f"webdataset:{tar}", tmp_path / "records", {0: kept}).folder)
    assert measure(other, told(TAGS))["classes"][0] == measure(run, told(TAGS))["classes"][0]
    tar.unlink()
    with pytest.raises(NotReadyError, match=r"No tar file '.*all\.tar'"):
        measure(other, told(TAGS))


def test_the_network_explained_is_no_judge(run):
    classifier = toys.make_classifier()
    check_tagger(LabelTagger(classifier), run)  # no file, no hash: nobody knows
    spec = type(classifier.spec)(**{**vars(classifier.spec), "weights_sha256": "1" * 64})
    run.manifest.model["weights_sha256"] = "1" * 64
    with pytest.raises(ValueError, match=r"`tagger` 'toy' is the network that .* explains; name another"):
        check_tagger(LabelTagger(type(classifier)(classifier.params, classifier.apply, spec)), run)
    assert default_tagger(run) == "efficientnet-lite0"
    run.manifest.model["name"] = "efficientnet-lite0"
    assert default_tagger(run) == "efficientnet-lite1"


def test_squares_stay_inside_the_photograph():
    photograph = np.arange(40 * 60 * 3, dtype=np.uint32).reshape(40, 60, 3)
    row = {"crop_x": 10.0, "crop_y": 0.0, "crop_w": 40.0, "crop_h": 40.0, "width": 20, "height": 20}
    square = part_square(photograph, row, (5, 5, 5, 2), 1.0)
    np.testing.assert_array_equal(square, photograph[7:17, 20:30])
    corner = part_square(photograph, row, (18, 18, 2, 2), 3.0)
    np.testing.assert_array_equal(corner, photograph[28:40, 42:54])
    everything = part_square(photograph, row, (0, 0, 20, 20), 1.5)
    assert everything.shape == (40, 60, 3)


def test_what_is_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"`part_margin` must be at least 1, got 0\.5\."):
        EvaluateCoherencyConfig(part_margin=0.5)


class Colour:
    """Names the colour of what stands out most in a picture."""

    name = "colour"

    def tag(self, images):
        names = []
        for image in images:
            pixels = image.reshape(-1, 3).astype(int)
            vivid = pixels[np.argsort(np.ptp(pixels, axis=1))[-len(pixels) // 10 :]].mean(axis=0)
            names.append((("red", "green", "blue")[int(np.argmax(vivid))],))
        return names


def test_parts_of_rendered_flowers_are_more_alike_than_random_ones(tmp_path):
    """The truth says where each part is; summaries of one part each have one colour, mixed ones have not."""
    write_dataset(tmp_path, variant="demo", images_per_class=4, seed=3, config=FlowerConfig())
    photos, truth = tmp_path / IMAGES_FOLDER, tmp_path / TRUTH_FOLDER
    spec = load_classifier("flowernet").spec
    told_summaries = {}
    for entry in flower_classes("demo"):
        files = sorted((truth / entry.name).glob("*.png"))
        boxes = [{row: box for row, file in enumerate(files) if (box := part_box(file, spec, p))} for p in range(5)]
        shown = [members for members in boxes if len(members) == len(files)]
        told_summaries[spec.class_names.index(entry.name)] = [summary(n, each) for n, each in enumerate(shown)]
    run = open_finished(write_run(photos, tmp_path / "run", told_summaries, model="flowernet").folder)
    values = measure(run, Colour(), crops=True)
    assert values["measured"] == values["lower"] == len(flower_classes("demo"))
    assert values["test"]["difference"]["high"] < 0


def part_box(file, spec, part):
    """The box of a part in the network's input, or None where it is not."""
    labels = np.array(Image.fromarray(read_labels(file)).resize((spec.input_width, spec.input_height), 0))
    rows, columns = np.nonzero(labels == part + 1)
    if not len(rows):
        return None
    x, y = int(columns.min()), int(rows.min())
    return x, y, int(columns.max()) + 1 - x, int(rows.max()) + 1 - y
