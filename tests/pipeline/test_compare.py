import dataclasses
import json
import re
import shutil
from urllib.parse import unquote, urldefrag

import pytest
import toys
from PIL import Image
from toy_runs import summary, write_run

from vissum_jax.pipeline import open_run, report_stage
from vissum_jax.pipeline.compare import CompareConfig, compare_runs, plan_compare
from vissum_jax.runs.store import PartStore
from vissum_jax.types import Classifier

A, B, C, D = (0, 0, 24, 24), (36, 0, 24, 24), (0, 36, 24, 24), (36, 36, 24, 24)


def make_large_classifier() -> Classifier:
    """The toys' network with inputs twice as wide."""
    classifier = toys.make_classifier()
    spec = dataclasses.replace(classifier.spec, name="large", input_height=128, input_width=128, resize_short_side=128)
    return dataclasses.replace(classifier, spec=spec)


LARGE = f"{__name__}:make_large_classifier"


def twice(box):
    return tuple(2 * side for side in box)


def everywhere(box, count=5):
    return dict.fromkeys(range(count), box)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return toys.write_photographs(tmp_path_factory.mktemp("photos"), {0: 5, 1: 3})


@pytest.fixture(scope="module")
def folders(photos, tmp_path_factory):
    """Both have A; the first alone B and, dropped, C; the second alone D. It does not see the last photograph."""
    root = tmp_path_factory.mktemp("runs")
    first = write_run(
        photos,
        root / "first",
        {0: [summary(0, everywhere(B)), summary(1, everywhere(A)), summary(2, everywhere(C), kept=False)]},
    )
    second = write_run(
        photos,
        root / "second",
        {0: [summary(0, everywhere(twice(A), 4)), summary(1, {0: twice(D), 1: twice(D), 2: twice(D)})]},
        model=LARGE,
        answers={"red_disc/4.png": 1},
    )
    return first.folder, second.folder


@pytest.fixture(scope="module")
def values(folders, tmp_path_factory):
    progress = toys.Recorder()
    plan = plan_compare(*folders, out=tmp_path_factory.mktemp("compared") / "page")
    found = compare_runs(plan, progress)
    progress.assert_complete()
    return {**found, "out": plan.out}


def test_the_same_boxes_match_whatever_the_inputs_sizes_are(values):
    discs, squares = values["classes"]
    assert discs["matched"] == [
        {
            "summaries": [1, 0],
            "members": [5, 4],
            "similarity": pytest.approx(1.0),
            "photographs": 4,
            "mean_iou": pytest.approx(1.0),
        }
    ]
    assert (discs["photographs"], discs["summaries"]) == (4, [2, 2])
    assert (squares["photographs"], squares["matched"], squares["only"]) == (3, [], [[], []])
    assert squares["reasons"] == ["no cluster is large and consistent enough"] * 2


def test_what_only_one_network_has_is_listed(values):
    first, second = values["classes"][0]["only"]
    assert first == [{"summary": 0, "members": 5, "members_in_shared": 4, "best_similarity": 0.0}]
    assert second == [{"summary": 1, "members": 3, "members_in_shared": 3, "best_similarity": 0.0}]


def test_exchanging_the_runs_mirrors_the_result(folders, values, tmp_path):
    back = compare_runs(plan_compare(*folders[::-1], out=tmp_path / "page"), toys.Recorder())
    there, here = values["classes"][0], back["classes"][0]
    assert here["only"] == there["only"][::-1]
    assert here["matched"][0]["summaries"] == there["matched"][0]["summaries"][::-1]
    assert here["matched"][0]["similarity"] == pytest.approx(there["matched"][0]["similarity"])


def test_the_page_shows_first_what_only_one_has_with_pictures_of_both(values):
    page = (values["out"] / "index.html").read_text(encoding="utf-8")
    places = [page.index(text) for text in ("<h3>Only toy</h3>", "<h3>Only large</h3>", "<h3>Both</h3>")]
    assert places == sorted(places)
    assert page.count("<img") == 5 + 3 + 5 + 4
    for picture in re.findall(r'src="(classes[^"]+)"', page):
        with Image.open(values["out"] / picture) as shown:
            assert min(shown.size) >= CompareConfig().picture_side
    assert json.loads((values["out"] / "compare.json").read_text())["classes"] == values["classes"]


def test_a_pair_s_pictures_begin_with_the_photographs_of_both(values):
    page = (values["out"] / "index.html").read_text(encoding="utf-8")
    left, right = page[page.index("<h3>Both</h3>") :].split('aria-label="Summary')[1:3]
    names = [re.findall(r'title="([^"]+)"', side) for side in (left, right)]
    assert names[0][:4] == names[1] == [f"red_disc/{row}.png" for row in range(4)]


def test_summaries_that_overlap_too_little_are_two(folders, photos, tmp_path):
    """A fifth of the photographs at an overlap of one third."""
    moved = write_run(photos, tmp_path / "moved", {0: [summary(0, {0: (12, 0, 24, 24)})]}).folder
    for least, pairs in ((0.1, 0), (0.05, 1)):
        plan = plan_compare(folders[0], moved, out=tmp_path / "page", config=CompareConfig(least=least))
        found = compare_runs(plan, toys.Recorder())["classes"][0]
        assert len(found["matched"]) == pairs
        if pairs:
            assert found["matched"][0]["similarity"] == pytest.approx(1 / 3 / 5)


def test_the_page_has_a_place_of_its_own_and_is_replaced(folders):
    plan = plan_compare(*folders)
    assert plan.out == folders[0] / "evaluation" / "compare-second"
    compare_runs(plan, toys.Recorder())
    before = {path: path.read_bytes() for path in plan.out.rglob("*") if path.is_file()}
    compare_runs(plan_compare(*folders), toys.Recorder())
    assert {path: path.read_bytes() for path in plan.out.rglob("*") if path.is_file()} == before


def test_photographs_of_other_names_or_other_contents_are_not_common(folders, tmp_path):
    photos = toys.write_photographs(tmp_path / "other", {0: 1})
    Image.fromarray(toys.photograph(0, 77)).save(photos / "red_disc" / "0.png")
    Image.fromarray(toys.photograph(0, 1)).save(photos / "red_disc" / "renamed.png")
    other = write_run(photos, tmp_path / "run", {0: [summary(0, {0: A})]}).folder
    with pytest.raises(ValueError, match=r"have no photograph in common: the same file in the same class; name runs"):
        plan_compare(folders[0], other, out=tmp_path / "page")
    assert not (tmp_path / "page").exists()


def test_classes_of_one_run_are_named(folders, tmp_path):
    photos = toys.write_photographs(tmp_path / "other", {0: 5, 2: 1})
    other = write_run(photos, tmp_path / "run", {0: [summary(0, everywhere(A))]}).folder
    found = compare_runs(plan_compare(folders[0], other, out=tmp_path / "page"), toys.Recorder())
    assert found["classes_of_one_run"] == [["green square"], ["blue bar"]]
    assert [entry["class_name"] for entry in found["classes"]] == ["red disc"]


def test_a_run_of_another_configuration_is_said_before_its_rows_are_read(folders, tmp_path):
    other = shutil.copytree(folders[1], tmp_path / "other")
    manifest = json.loads((other / "manifest.json").read_text())
    del manifest["configuration"]["matching"]["score"]
    (other / "manifest.json").write_text(json.dumps(manifest))
    part = next((other / "summaries").glob("*.parquet"))
    store = PartStore(other / "summaries")
    store.commit(int(part.stem.split("-")[1]), store.read(0).drop_columns(["similarity"]))
    with pytest.raises(ValueError, match=r"holds a run with another configuration; .* matching\.score: "):
        plan_compare(folders[0], other)


def test_a_run_is_not_compared_with_itself(folders):
    with pytest.raises(ValueError, match=r"first' is compared with itself; name two runs\.$"):
        plan_compare(folders[0], folders[0])


def test_a_users_folder_is_not_replaced(folders, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="holds something else than a report; name another folder with --out"):
        plan_compare(*folders, out=tmp_path)
    assert (tmp_path / "thesis.tex").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"least": 0}, "`least` must be in (0, 1], got 0."),
        ({"pictures": 0}, "`pictures` must be positive, got 0."),
        ({"picture_side": 0}, "`picture_side` must be positive, got 0."),
    ],
)
def test_constants_out_of_range_are_refused(values, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        CompareConfig(**values)


def test_page_and_reports_lead_to_each_other(photos, folders, tmp_path):
    first, second = (
        shutil.copytree(folder, tmp_path / f"{name} x", ignore=shutil.ignore_patterns("evaluation"))
        for name, folder in zip("ab", folders, strict=True)
    )
    report_stage(open_run(first), toys.Recorder())
    plan = plan_compare(first, second, figures="png")
    compare_runs(plan, toys.Recorder())
    page = plan.out / "index.html"
    text = page.read_text(encoding="utf-8")
    links = [unquote(urldefrag(link)[0]) for link in re.findall(r'href="([^"]+)"', text)]
    assert all((page.parent / link).is_file() for link in links if link not in ("", "data:,"))
    report = first / "report"
    reached = {(page.parent / link).resolve() for link in links}
    assert {report / "index.html", report / "classes/0/index.html", report / "classes/0/photograph-0.html"} <= reached
    assert (plan.out / "classes/0/figure.png").resolve() in reached
    assert not any(str(second) in str(path) for path in reached), "the second has no report"
    assert "../evaluation/compare-b%20x/index.html" not in (report / "run.html").read_text()
    report_stage(open_run(first), toys.Recorder())
    (back,) = re.findall(r'href="(\.\./evaluation[^"]+)"', (report / "run.html").read_text())
    assert (report / unquote(back)).resolve() == page.resolve()
